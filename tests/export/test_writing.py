"""Files of other runtimes: what they hold and answer, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convatlas.catalog import build
from convatlas.errors import FileError, InputError, UnknownNameError
from convatlas.export import formats, writing
from convatlas.export.formats import FORMATS, find_format
from convatlas.export.needs import missing
from convatlas.export.program import input_sizes, takes_any_size, trace
from convatlas.export.writing import export_network

# its exporter takes seconds even for two layers
SLOW_ONNX = [
    pytest.param(name, marks=pytest.mark.slow if name == "onnx" else ()) for name in FORMATS
]
PREPROCESSING = {"size": [32, 32], "mean": [0.1], "std": [0.3]}


def need(name: str) -> None:
    absent = missing(find_format(name).packages)
    if absent:
        pytest.skip(f"the format {name} needs {', '.join(absent)}")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Two layers, for images of any size."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3)
    ).eval()


@pytest.fixture(scope="module")
def metadata(network) -> dict:
    return {
        "architecture": "resnet8_cifar",
        "num_classes": 3,
        "in_channels": 1,
        "overrides": {},
        "classes": ["één", 'zw"ei', "<3>"],
        "preprocessing": PREPROCESSING,
    }


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_answers_as_the_network_and_tells_the_rest(name, network, metadata, tmp_path):
    need(name)
    path = tmp_path / f"net{FORMATS[name].suffixes[0]}"
    found = export_network(network, metadata, path, name)
    assert found.input_shape == ("batch", 1, "height", "width")
    assert sorted(tmp_path.iterdir()) == sorted(map(Path, found.files))
    assert found.bytes == sum(Path(file).stat().st_size for file in found.files)
    assert [check.images for check in found.checks] == [
        "1 random",
        "3 random",
        "1 random of 96x64",
        "8 real",
    ]
    assert all(check.agreement.relative_error <= 1e-4 for check in found.checks)
    run, text = FORMATS[name].read(tuple(map(Path, found.files)))
    assert json.loads(text) == metadata
    x = torch.randn(5, 1, 40, 48)
    with torch.no_grad():
        torch.testing.assert_close(run(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SLOW_ONNX)
def test_a_file_of_one_size_refuses_others(name, network, metadata, tmp_path):
    need(name)
    path = tmp_path / f"net{FORMATS[name].suffixes[0]}"
    found = export_network(network, metadata, path, name, any_size=False)
    assert found.input_shape == ("batch", 1, 32, 32)
    run, _ = FORMATS[name].read(tuple(map(Path, found.files)))
    assert run(torch.ones(4, 1, 32, 32)).shape == (4, 3)
    with pytest.raises(Exception, match=r"(?i)shape|dimension|guard|expected"):
        run(torch.ones(1, 1, 40, 40))


def test_onnx_runtime_alone_can_use_the_file(network, metadata, tmp_path):
    need("onnx")
    import onnxruntime

    export_network(network, metadata, tmp_path / "net.onnx", "onnx", any_size=False)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (images,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.shape) == ("images", ["batch", 1, 32, 32])
    assert (logits.name, logits.shape) == ("logits", ["batch", 3])
    told = json.loads(session.get_modelmeta().custom_metadata_map["convatlas"])
    assert told["classes"] == metadata["classes"]
    assert told["preprocessing"] == PREPROCESSING
    x = np.zeros((7, 1, 32, 32), np.float32)
    assert session.run(["logits"], {"images": x})[0].shape == (7, 3)


def test_a_network_for_one_size_is_written_for_that_size(tmp_path):
    model = build("lenet5_modern")
    program = trace(model, (1, 32, 32))
    assert not takes_any_size(program)
    assert input_sizes(program)[1:] == (1, 32, 32)
    assert model.training
    torch.testing.assert_close(program.module()(torch.ones(1, 1, 32, 32)).shape, (1, 10))


def test_a_file_that_answers_otherwise_is_not_kept(network, metadata, tmp_path, monkeypatch):
    def wrong(places):
        run, text = formats.torch_program.read(places)
        return (lambda x: run(x) + 0.5), text

    monkeypatch.setitem(
        formats.FORMATS, "torch", formats.Format((".pt2",), (), "", lambda p: p, _write, wrong)
    )
    (tmp_path / "net.pt2").write_text("the file of before")
    with pytest.raises(InputError, match=r"net.pt2 was not written: over 1 random images .* error"):
        export_network(network, metadata, tmp_path / "net.pt2", "torch", any_size=False)
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt2"]
    assert (tmp_path / "net.pt2").read_text() == "the file of before"


class Rounded(nn.Module):
    """Loses most digits of its answers on the way."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, classes)."""
        return self.network(x) + 1e4 - 1e4


@pytest.mark.parametrize(("error", "fits"), [(1e-3, True), (3e-2, False)])
def test_a_network_that_loses_digits_itself_may_answer_less_alike(
    error, fits, network, metadata, tmp_path, monkeypatch
):
    def other(places):
        run, text = formats.torch_program.read(places)
        return (lambda x: run(x) + error * run(x).abs().max()), text

    kind = formats.Format((".pt2",), (), "", lambda p: p, _write, other)
    monkeypatch.setitem(formats.FORMATS, "torch", kind)
    model, path = Rounded(network), tmp_path / "net.pt2"
    if fits:
        assert export_network(model, metadata, path, "torch", any_size=False).bytes > 0
        with pytest.raises(InputError, match="beyond 1e-04"):
            export_network(network, metadata, path, "torch", any_size=False)
    else:
        with pytest.raises(InputError, match=r"was not written: .* a relative error"):
            export_network(model, metadata, path, "torch", any_size=False)


_write = formats.torch_program.write


def test_a_runtime_that_fails_with_any_size_gets_one_size(network, metadata, tmp_path, monkeypatch):
    def choosy(program):
        if takes_any_size(program):
            raise InputError("no operator for a size that varies")
        return program

    read = formats.torch_program.read
    fake = formats.Format((".pt2",), (), "", choosy, _write, read)
    monkeypatch.setitem(formats.FORMATS, "torch", fake)
    found = export_network(network, metadata, tmp_path / "net.pt2", "torch")
    assert found.input_shape == ("batch", 1, 32, 32)


def test_without_preprocessing_only_random_images_are_compared(network, metadata, tmp_path):
    bare = {key: value for key, value in metadata.items() if key != "preprocessing"}
    found = export_network(network, bare, tmp_path / "net.pt2", "torch", any_size=False)
    assert [check.images for check in found.checks] == ["1 random", "3 random"]


class Untraceable(nn.Module):
    def forward(self, x):
        return x.mean((1, 2, 3)).nonzero() if x.sum().item() > 0 else x.flatten(1)


def test_a_network_that_can_not_be_traced_is_told(metadata, tmp_path):
    with pytest.raises(InputError, match=r"was not written: torch.export can't take Untraceable: "):
        export_network(Untraceable(), metadata, tmp_path / "net.pt2", "torch")
    assert list(tmp_path.iterdir()) == []


def test_what_can_not_be_is_one_clear_line(network, metadata, tmp_path, monkeypatch):
    with pytest.raises(UnknownNameError, match="no format named 'onx'; did you mean: onnx"):
        export_network(network, metadata, tmp_path / "net.onx", "onx")
    with pytest.raises(InputError, match=r"of the format torch ends with .pt2, not 'net.pt'"):
        export_network(network, metadata, tmp_path / "net.pt", "torch")
    monkeypatch.setattr("convatlas.export.needs.missing", list)
    line = r"the format onnx needs onnx and .*: pip install 'convatlas\[onnx\]'"
    with pytest.raises(InputError, match=line):
        export_network(network, metadata, tmp_path / "net.onnx", "onnx")


@pytest.mark.parametrize("name", SLOW_ONNX)
def test_a_full_disk_leaves_nothing(name, network, metadata, tmp_path, small_disk):
    need(name)
    path = tmp_path / f"net{FORMATS[name].suffixes[0]}"
    with small_disk(2_000), pytest.raises((FileError, InputError)) as refused:
        export_network(network, metadata, path, name, any_size=False)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_the_comparison_is_over_the_images_that_are_given(network, metadata):
    class Split:
        def __len__(self):
            return 3

        def image(self, i):
            from PIL import Image

            return Image.new("L", (50, 40), 80 * i)

    found = writing.real_images(metadata, Split())
    assert found.shape == (3, 1, 32, 32)
    assert [image.mean().item() for image in found] == pytest.approx(
        [(80 * i / 255 - 0.1) / 0.3 for i in range(3)], abs=1e-5
    )
