"""`evaluate`, `predict` and `visualize`, called as a user calls them."""

import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

import convatlas as ca
from convatlas.cli import main
from convatlas.data.sources import open_source


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "100")

    def run(*args: str | Path) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network for digits, with weights that no training has touched."""
    folder = tmp_path_factory.mktemp("run")
    card = open_source("digits").card
    torch.manual_seed(0)
    metadata = {
        "classes": list(card.classes),
        "preprocessing": card.preprocessing((1, 8, 8)).to_dict(),
        "source": "digits",
    }
    model = ca.create("resnet8_cifar", num_classes=10, in_channels=1)
    ca.save(model, folder / "model.safetensors", metadata)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    test = open_source("digits").test
    paths = [folder / f"digit {i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        test.image(i).save(path)
    return paths


def test_evaluate_prints_what_it_measured_as_json(call, run_folder: Path) -> None:
    ended = call("evaluate", run_folder, "--data", "digits", "--json")
    assert ended.code == 0
    assert ended.err == ""
    found = json.loads(ended.out)
    assert 0 <= found["top1_accuracy"] <= found["top5_accuracy"] <= 1
    assert found["count"] == len(open_source("digits").test)
    assert found["split"] == "test"
    assert found["protocol"] == "center"
    assert found["architecture"] == "resnet8_cifar"
    right = sum(found["confusion"][i][i] for i in range(10))
    assert found["top1_accuracy"] == pytest.approx(right / found["count"])


def test_evaluate_prints_tables(call, run_folder: Path) -> None:
    ended = call("evaluate", run_folder, "--data", "digits", "--split", "val")
    assert ended.code == 0
    for text in ("resnet8_cifar", "the val split", "top-1 accuracy", "95 % interval", "confusion"):
        assert text in ended.out


def test_names_are_printed_whole_and_brackets_are_no_markup(
    call, pictures: list[Path], tmp_path: Path
) -> None:
    classes = ["[bold] 猫", "[red]" + 120 * "x"]
    folder = tmp_path / "mine [" / "old]"  # together "[/old]", a tag that closes nothing
    for name in classes:
        (folder / "train" / name).mkdir(parents=True)
        (folder / "val" / name).mkdir(parents=True)
        for i in range(2):
            Image.new("L", (8, 8), 40 * i).save(folder / "train" / name / f"{i}.png")
            Image.new("L", (8, 8), 40 * i).save(folder / "val" / name / f"{i}.png")
    torch.manual_seed(0)
    metadata = {"classes": classes, "preprocessing": {"size": [8, 8], "mean": [0.5], "std": [1.0]}}
    model = ca.create("resnet8_cifar", num_classes=2, in_channels=1)
    ca.save(model, tmp_path / "m.safetensors", metadata)
    measured = call("evaluate", tmp_path / "m.safetensors", "--data", f"folder:{folder}")
    assert (measured.code, measured.err) == (0, "")
    assert f"the test split of folder:{folder}, 4 images\n" in measured.out
    named = call("predict", tmp_path / "m.safetensors", pictures[0])
    for name in classes:
        assert any(line.startswith(f"{name} ") for line in measured.out.splitlines())
        assert any(line.rstrip().endswith(f"  {name}") for line in named.out.splitlines())


def test_evaluate_refuses_other_classes(call, run_folder: Path, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for split in ("train", "val"):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for i in range(2):
                picture = Image.new("L", (8, 8), 40 * i)
                picture.save(tmp_path / "pets" / split / name / f"{i}.png")
    ended = call("evaluate", run_folder, "--data", f"folder:{tmp_path / 'pets'}")
    assert ended.code == 2
    assert "10 classes" in ended.err
    assert "has 2" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--data", "digit"], "did you mean: digits"),
        (["--data", "digits", "--split", "tset"], "tset"),
        (["--data", "digits", "--protocol", "42crop"], "42crop"),
        ([], "--data"),
    ],
)
def test_evaluate_says_what_is_wrong_in_one_line(
    call, run_folder: Path, args: list[str], message: str
) -> None:
    ended = call("evaluate", run_folder, *args)
    assert ended.code == 2
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1
    assert ended.out == ""


def test_a_model_that_is_none_is_named(call, tmp_path: Path, pictures: list[Path]) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"no weights")
    for path in (tmp_path, tmp_path / "x.safetensors", tmp_path / "y.safetensors"):
        for args in (["evaluate", path, "--data", "digits"], ["predict", path, pictures[0]]):
            ended = call(*args)
            assert ended.code == 2
            assert str(path) in ended.err
            assert len(ended.err.splitlines()) == 1


def test_predict_names_the_best_classes(call, run_folder: Path, pictures: list[Path]) -> None:
    ended = call("predict", run_folder, *pictures, "--top", "2", "--json")
    assert ended.code == 0
    found = json.loads(ended.out)
    assert found["models"] == [str(run_folder)]
    assert [entry["image"] for entry in found["predictions"]] == [str(p) for p in pictures]
    for entry in found["predictions"]:
        first, second = entry["guesses"]
        assert first["probability"] >= second["probability"]
        assert first["name"] == open_source("digits").card.classes[first["label"]]


def test_predict_prints_a_line_for_each_guess(call, run_folder: Path, pictures: list[Path]) -> None:
    ended = call("predict", run_folder, pictures[0], "--top", "3")
    assert ended.code == 0
    assert pictures[0].name in ended.out
    assert ended.out.count("%") == 3


def test_several_models_are_averaged(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    model, metadata = ca.load(run_folder)
    with torch.no_grad():
        model.head.fc.bias += torch.linspace(-3, 3, 10)
    ca.save(model, tmp_path / "other.safetensors", metadata)

    def probabilities(*models: Path) -> np.ndarray:
        ended = call("predict", *models, pictures[0], "--top", "10", "--json")
        guesses = json.loads(ended.out)["predictions"][0]["guesses"]
        return np.array([g["probability"] for g in sorted(guesses, key=lambda g: g["label"])])

    one, two = probabilities(run_folder), probabilities(tmp_path / "other.safetensors")
    both = probabilities(run_folder, tmp_path / "other.safetensors")
    np.testing.assert_allclose(both, (one + two) / 2, rtol=1e-6)
    assert not np.allclose(one, two)


def test_a_bad_image_spoils_no_other(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG nothing")
    ended = call("predict", run_folder, pictures[0], bad, tmp_path / "gone.png", pictures[1])
    assert ended.code == 2
    assert [pictures[i].name in ended.out for i in (0, 1)] == [True, True]
    lines = ended.err.splitlines()
    assert len(lines) == 2
    assert {"bad.png" in line for line in lines} == {True, False}
    assert any("gone.png" in line for line in lines)


def test_predict_needs_a_model_and_an_image(call, run_folder: Path, pictures: list[Path]) -> None:
    for args, missing in (([pictures[0]], "no MODEL"), ([run_folder], "no IMAGE")):
        ended = call("predict", *args)
        assert ended.code == 2
        assert missing in ended.err
        assert len(ended.err.splitlines()) == 1


def test_a_terminal_that_lacks_letters_gets_their_codes(
    run_folder: Path, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, metadata = ca.load(run_folder)
    names = [f"Käfer {i}" for i in range(10)]
    ca.save(model, tmp_path / "m.safetensors", metadata | {"classes": names})
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr("sys.stdout", terminal)
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(tmp_path / "m.safetensors"), str(pictures[0])])
    assert ended.value.code == 0
    assert terminal.buffer.getvalue().count(rb"K\xe4fer") == 5


def test_predict_says_which_path_there_is_not(call, pictures: list[Path], tmp_path: Path) -> None:
    ended = call("predict", tmp_path / "gone", pictures[0])
    assert ended.code == 2
    assert f"there is no {tmp_path / 'gone'}" in ended.err
    assert str(pictures[0]) not in ended.err.rpartition(";")[2]


def test_visualize_draws_a_picture(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "new folder" / "cam.png"
    ended = call("visualize", "gradcam", run_folder, pictures[0], "--out", out)
    assert ended.code == 0
    assert ended.out == f"{out}\n"
    with Image.open(out) as drawn:
        assert drawn.format == "PNG"
        assert min(drawn.size) > 400
        colours = drawn.convert("RGB").getcolors(maxcolors=10**6)
    assert colours is not None
    assert len(colours) > 500
    assert [path.name for path in out.parent.iterdir()] == ["cam.png"]


def test_visualize_names_its_picture_after_the_image(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = call("visualize", "gradcam", run_folder, pictures[1])
    assert ended.out == "digit 1-gradcam.png\n"
    assert (tmp_path / "digit 1-gradcam.png").is_file()


def test_a_label_is_a_name_or_an_index(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    model, metadata = ca.load(run_folder)
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "9"]
    ca.save(model, tmp_path / "m.safetensors", metadata | {"classes": names})

    def drawn(label: str, layer: str = "stages.stage3") -> dict:
        out = tmp_path / "cam.png"
        options = ["--label", label, "--layer", layer, "--out", out, "--json"]
        return json.loads(
            call("visualize", "gradcam", tmp_path / "m.safetensors", pictures[0], *options).out
        )

    by_name = drawn("three")
    assert by_name["label"] == 3
    assert by_name == drawn("3")
    assert drawn("9")["name"] == "9"
    assert drawn("9", "stem")["layer"] == "stem"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["gradcamm", "MODEL", "IMAGE"], "no method named 'gradcamm'; did you mean: gradcam?"),
        (["gradcam", "MODEL"], "gradcam needs an image"),
        (["gradcam", "MODEL", "IMAGE", "--layer", "stages.stage"], "did you mean: stages.stage"),
        (["gradcam", "MODEL", "IMAGE", "--label", "10"], "no class named '10'"),
        (["gradcam", "MODEL", "IMAGE", "--label", "-1"], "no class named '-1'"),
        (["gradcam", "MODEL", "IMAGE", "--out", "cam.jpg"], "must end in .png"),
        (["gradcam", "MODEL", "gone.png"], "gone.png"),
        (["gradcam", "MODEL", "IMAGE", "--layer", "head.fc"], "not maps"),
    ],
)
def test_visualize_says_what_is_wrong_in_one_line(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path, monkeypatch, args, message
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"MODEL": str(run_folder), "IMAGE": str(pictures[0])}
    ended = call("visualize", *(given.get(arg, arg) for arg in args))
    assert ended.code == 2
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cant_be_written_is_one_line(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "folder").write_text("a file where a folder should be")
    ended = call(
        "visualize", "gradcam", run_folder, pictures[0], "--out", tmp_path / "folder" / "x.png"
    )
    assert ended.code == 2
    assert "can't write" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("verb", ["evaluate", "predict", "visualize"])
def test_help_shows_an_example(call, verb: str) -> None:
    ended = call(verb, "--help")
    assert ended.code == 0
    assert f"Example: convatlas {verb} " in ended.out
