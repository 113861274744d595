"""`convatlas predict`, called as a user calls it."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import convatlas as ca
from convatlas.cli import main
from convatlas.data.sources import open_source


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


def test_a_protocol_shows_more_of_an_image(call, run_folder: Path, pictures: list[Path]) -> None:
    def best(*options: str) -> dict:
        ended = call("predict", run_folder, pictures[0], "--top", "1", "--json", *options)
        assert (ended.code, ended.err) == (0, "")
        return json.loads(ended.out)["predictions"][0]["guesses"][0]

    centre = best()
    assert best("--protocol", "center") == centre
    assert best("--protocol", "10crop")["probability"] != centre["probability"]
    assert best("--protocol", "dense", "--scales", "8,16")["probability"] != centre["probability"]


def test_a_name_with_weights_is_a_model(
    call, run_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    weights = run_folder / "model.safetensors"
    named = call("predict", "resnet8_cifar", "--weights", weights, pictures[0], "--json")
    plain = call("predict", run_folder, pictures[0], "--json")
    assert named.code == 0
    both = [json.loads(ended.out)["predictions"] for ended in (named, plain)]
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["RUN", "IMAGE", "--protocol", "crop10"], "did you mean: 10crop"),
        (["resnet8", "IMAGE", "--weights", "RUN"], "1 --weights, and names of networks: none"),
        (["RUN", "IMAGE", "--weights-from", "caffe"], "there are none"),
    ],
)
def test_options_that_dont_fit_say_so_in_one_line(
    call, run_folder: Path, pictures: list[Path], args: list[str], message: str
) -> None:
    given = {"RUN": run_folder, "IMAGE": pictures[0]}
    ended = call("predict", *(given.get(arg, arg) for arg in args))
    assert ended.code == 2
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1
