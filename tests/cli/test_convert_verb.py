"""`convatlas convert`, called as a user calls it."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

import convatlas as ca
from convatlas.cli import main

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def run(*args: str | Path) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    """Caffe's LeNet with weights that no training has touched."""
    state = ca.create("lenet_caffe").state_dict()
    renamed = {key.partition(".")[2]: tensor for key, tensor in state.items()}
    torch.save(renamed, tmp_path / "lenet.pth")
    return tmp_path / "lenet.pth"


def test_a_converted_file_predicts(call, lenet: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    ended = call("convert", lenet, "lenet_caffe", "--source", "caffe", "--classes", "names.txt")
    assert ended == (0, "lenet_caffe.safetensors: lenet_caffe, converted from caffe's lenet\n", "")
    Image.new("L", (28, 28), 100).save("grey.png")
    ended = call("predict", "lenet_caffe.safetensors", "grey.png", "--json")
    guesses = json.loads(ended.out)["predictions"][0]["guesses"]
    assert {guess["name"] for guess in guesses} <= set(NAMES)


def test_json_tells_what_was_written(call, lenet: Path) -> None:
    ended = call(
        "convert",
        lenet,
        "lenet_caffe",
        "--source=caffe",
        "--out=new/l.safetensors",
        "--json",
        '--preprocessing={"size": [28, 28], "mean": [0.1], "std": [0.3]}',
    )
    told = json.loads(ended.out)
    assert told["file"] == "new/l.safetensors"
    assert told["converted_from"] == {"source": "caffe", "network": "lenet", "file": "lenet.pth"}
    _, metadata = ca.load(told["file"])
    assert metadata["preprocessing"] == told["preprocessing"]
    assert metadata["preprocessing"]["std"] == [0.3]


def test_a_source_of_many_preprocessings_says_so(call, tmp_path: Path) -> None:
    from convatlas.weights.convert import export_state_dict

    model = ca.create("resnet18", num_classes=2)
    torch.save(export_state_dict(model, "timm"), "resnet18.pt")
    ended = call("convert", "resnet18.pt", "resnet18", "--source", "timm")
    assert ended.code == 0
    assert "can't predict; --preprocessing JSON tells it" in ended.err
    loaded, metadata = ca.load("resnet18.safetensors")
    assert "preprocessing" not in metadata
    for key, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[key]), key


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["none.pth", "vgg16"], "no weights file none.pth"),
        (["FILE", "lenet_caff"], "did you mean: lenet_caffe"),
        (["FILE", "lenet_caffe"], "caffe has one"),
        (["FILE", "resnet50"], "load it into resnet50_v1_5"),
        (["FILE", "lenet_caffe", "--source", "cafe"], "did you mean: caffe"),
        (["FILE", "vgg16", "--source", "caffe"], "missing: conv1_1.0"),
        (["FILE", "lenet_caffe", "--source", "caffe", "--preprocessing", "{"], "takes JSON"),
        (["FILE", "lenet_caffe", "--source", "caffe", "--preprocessing", "1"], "a JSON object"),
        (["FILE", "lenet_caffe", "--source", "caffe", "--preprocessing", "{}"], "preprocessing"),
        (["FILE", "lenet_caffe", "--source", "caffe", "--classes", "none"], "no text file"),
        (["FILE", "lenet_caffe", "--source", "caffe", "--classes", "one.txt"], "got 1 names"),
        (["FILE"], "NAME"),
    ],
)
def test_what_is_wrong_is_one_line(call, lenet: Path, args: list[str], message: str) -> None:
    Path("one.txt").write_text("one\n")
    ended = call("convert", *(str(lenet) if arg == "FILE" else arg for arg in args))
    assert ended.code == 2
    assert ended.out == ""
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not list(Path.cwd().glob("*.safetensors"))


def test_the_published_resnet20_is_converted(call, data_root: Path) -> None:
    folder = data_root / "weights" / "resnet-cifar10"
    name = "resnet20-12fca82f"
    ended = call("convert", folder / f"{name}.th", "resnet20_cifar", "--source", "akamaster")
    assert ended.code == 0
    model, _ = ca.load("resnet20_cifar.safetensors")
    expected = np.load(folder / f"{name}.npz")["conv1.weight"]
    assert np.array_equal(model.stem.conv1.conv.weight.detach(), expected)
