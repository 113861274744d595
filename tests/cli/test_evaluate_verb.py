"""`convatlas evaluate`, called as a user calls it."""

import csv
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import convatlas as ca
from convatlas.data.sources import open_source


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


def json_of(call, *args: str | Path) -> dict:
    ended = call("evaluate", *args, "--json")
    assert (ended.code, ended.err) == (0, "")
    return json.loads(ended.out)


def folder_of_digits(path: Path, labels: tuple[int, ...]) -> str:
    """Write test digits of some classes as a folder of pictures; the test split has two of each."""
    test = open_source("digits").test
    for label in labels:
        for split, places in (("train", slice(2, 4)), ("test", slice(0, 2))):
            (path / split / str(label)).mkdir(parents=True)
            for i in [i for i, own in enumerate(test.labels) if own == label][places]:
                test.image(i).save(path / split / str(label) / f"{i}.png")
    return f"folder:{path}"


def test_json_tells_intervals_and_calibration(call, run_folder: Path) -> None:
    found = json_of(call, run_folder, "--data", "digits")
    low, high = found["top1_interval"]
    assert 0 <= low <= found["top1_accuracy"] <= high <= 1
    assert 0 <= found["calibration_error"] <= 1
    assert sum(bin_["count"] for bin_ in found["calibration"]) == found["count"]
    assert found["class_scores"]["3"]["recall"] == found["per_class"]["3"]
    assert "test_reads" not in found
    assert "members" not in found


@pytest.mark.parametrize("protocol", ["10crop", "144crop", "dense", "multiscale"])
def test_protocols_run_from_the_command_line(
    call, run_folder: Path, tmp_path: Path, protocol: str
) -> None:
    source = folder_of_digits(tmp_path / "few", (3, 7))
    found = json_of(call, run_folder, "--data", source, "--protocol", protocol)
    assert (found["protocol"], found["count"]) == (protocol, 4)
    ended = call("evaluate", run_folder, "--data", source, "--protocol", protocol)
    assert f"4 images, protocol {protocol}\n" in ended.out


def test_a_network_that_knows_more_classes_is_asked_for_all(
    call, run_folder: Path, tmp_path: Path
) -> None:
    source = folder_of_digits(tmp_path / "few", (3, 7))
    found = json_of(call, run_folder, "--data", source)
    assert len(found["classes"]) == 10
    assert [sum(row) for row in found["confusion"]] == [0, 0, 0, 2, 0, 0, 0, 2, 0, 0]
    whole = json_of(call, run_folder, "--data", "digits")
    assert whole["count"] > 4


def test_json_of_many_classes_lists_the_cells_that_count(call, tmp_path: Path) -> None:
    names = [str(i) for i in range(300)]
    preprocessing = {"size": [8, 8], "mean": [0.5], "std": [0.5]}
    model = ca.create("resnet8_cifar", num_classes=300, in_channels=1)
    metadata = {"classes": names, "preprocessing": preprocessing}
    ca.save(model, tmp_path / "m.safetensors", metadata)
    source = folder_of_digits(tmp_path / "few", (3, 7))
    found = json_of(call, tmp_path / "m.safetensors", "--data", source)
    assert "confusion" not in found
    assert sum(count for _, _, count in found["confusions"]) == 4
    assert {true for true, _, _ in found["confusions"]} == {3, 7}


def test_predictions_are_written_for_each_image(call, run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "predictions.csv"
    found = json_of(call, run_folder, "--data", "digits", "--out", out)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == found["count"]
    assert sum(row["right"] == "1" for row in rows) / len(rows) == found["top1_accuracy"]
    in_five = [row["label"] in [row[f"top{i}"] for i in range(1, 6)] for row in rows]
    assert sum(in_five) / len(rows) == found["top5_accuracy"]
    assert all(float(row["probability1"]) >= float(row["probability2"]) for row in rows)
    assert rows[0]["image"] == open_source("digits").test.name(0)
    assert [path.name for path in out.parent.iterdir()] == ["predictions.csv"]


def test_an_interrupt_leaves_nothing(call, run_folder: Path, tmp_path: Path, monkeypatch) -> None:
    from convatlas.evaluate.answers import Answerer

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Answerer, "through", stopped)
    out = tmp_path / "predictions.csv"
    ended = call("evaluate", run_folder, "--data", "digits", "--out", out)
    assert (ended.code, ended.out) == (130, "")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cant_be_written_is_told_first(
    call, run_folder: Path, tmp_path: Path, monkeypatch
) -> None:
    from convatlas.evaluate.answers import Answerer

    monkeypatch.setattr(Answerer, "through", None)
    (tmp_path / "file").write_text("no folder")
    ended = call("evaluate", run_folder, "--data", "digits", "--out", tmp_path / "file" / "p.csv")
    assert ended.code == 2
    assert "can't write" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_bf16_is_another_rounding(call, run_folder: Path) -> None:
    full, half = (
        json_of(call, run_folder, "--data", "digits", "--precision", precision)
        for precision in ("float32", "bf16")
    )
    assert half["precision"] == "bf16"
    assert half["loss"] == pytest.approx(full["loss"], rel=0.05)
    assert half["loss"] != full["loss"]


@pytest.fixture
def other(run_folder: Path, tmp_path: Path) -> Path:
    """Another network for digits, which sees them twice as large."""
    card = open_source("digits").card
    torch.manual_seed(1)
    model = ca.create("resnet8_cifar", num_classes=10, in_channels=1)
    preprocessing = card.preprocessing((1, 16, 16)).to_dict()
    metadata = {"classes": list(card.classes), "preprocessing": preprocessing}
    ca.save(model, tmp_path / "other.safetensors", metadata)
    return tmp_path / "other.safetensors"


def test_several_networks_are_measured_together_alone_and_in_pairs(
    call, run_folder: Path, other: Path
) -> None:
    found = json_of(call, run_folder, other, "--data", "digits")
    alone = [json_of(call, model, "--data", "digits") for model in (run_folder, other)]
    assert [member["model"] for member in found["members"]] == [str(run_folder), str(other)]
    for member, single in zip(found["members"], alone, strict=True):
        assert member["top1_accuracy"] == single["top1_accuracy"]
    assert found["spread"]["count"] == 2
    (pair,) = found["pairs"]
    only = pair["only_first"] - pair["only_second"]
    difference = alone[0]["top1_accuracy"] - alone[1]["top1_accuracy"]
    assert only == pytest.approx(difference * found["count"])
    printed = call("evaluate", run_folder, other, "--data", "digits")
    for text in ("2 networks together", "standard deviation", "McNemar", "1, 2", str(other)):
        assert text in printed.out


def test_different_networks_have_no_spread(call, run_folder: Path, tmp_path: Path) -> None:
    card = open_source("digits").card
    torch.manual_seed(2)
    metadata = {
        "classes": list(card.classes),
        "preprocessing": {"size": [32, 32], "mean": [0.5], "std": [0.5]},
    }
    ca.save(ca.create("lenet5_modern"), tmp_path / "lenet.safetensors", metadata)
    models = (run_folder, tmp_path / "lenet.safetensors")
    found = json_of(call, *models, "--data", "digits")
    assert [m["architecture"] for m in found["members"]] == ["resnet8_cifar", "lenet5_modern"]
    assert "spread" not in found
    assert "standard deviation" not in call("evaluate", *models, "--data", "digits").out


def test_a_name_with_weights_is_a_model(call, run_folder: Path) -> None:
    weights = run_folder / "model.safetensors"
    named = json_of(call, "resnet8_cifar", "--weights", weights, "--data", "digits")
    assert named["loss"] == json_of(call, run_folder, "--data", "digits")["loss"]


class TestReadings:
    @pytest.fixture
    def run(self, run_folder: Path, tmp_path: Path) -> Path:
        """A run folder whose training has tested once."""
        model, metadata = ca.load(run_folder)
        ca.save(model, tmp_path / "run" / "model.safetensors", metadata)
        (tmp_path / "run" / "config.json").write_text('{"source": "digits", "root": null}')
        (tmp_path / "run" / "metrics.jsonl").touch()
        (tmp_path / "run" / "test.json").write_text("{}")
        return tmp_path / "run"

    def test_every_reading_of_the_own_test_images_is_counted(self, call, run: Path) -> None:
        page = run / "report.html"
        page.write_text("<!-- later readings --><!-- end of the later readings -->")
        first = json_of(call, run, "--data", "digits")
        assert first["test_reads"] == {str(run): 2}
        again = call("evaluate", run / "model.safetensors", "--data", "digits")
        assert "were read 3 times so far" in again.out
        assert page.read_text().count("<li>20") == 2
        lines = (run / "test_reads.jsonl").read_text().splitlines()
        assert [json.loads(line)["protocol"] for line in lines] == ["center", "center"]
        assert json.loads(lines[0])["top1_accuracy"] == first["top1_accuracy"]

    def test_other_images_are_free(self, call, run: Path, tmp_path: Path) -> None:
        source = folder_of_digits(tmp_path / "few", (3, 7))
        for args in (["--data", "digits", "--split", "val"], ["--data", source]):
            assert "test_reads" not in json_of(call, run, *args)
        assert not (run / "test_reads.jsonl").exists()

    def test_what_was_handed_on_is_no_run(self, call, run: Path) -> None:
        (run / "metrics.jsonl").unlink()
        ended = call("evaluate", run, "--data", "digits", "--json")
        assert "test_reads" not in json.loads(ended.out)
        assert "not noted" not in ended.err

    def test_what_cant_be_noted_is_still_measured(self, call, run: Path) -> None:
        (run / "test_reads.jsonl").write_text("no JSON\n")
        ended = call("evaluate", run, "--data", "digits", "--json")
        assert ended.code == 0
        assert "not noted" in ended.err
        assert json.loads(ended.out)["count"] == len(open_source("digits").test)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["RUN", "--protocol", "10-crop"], "did you mean: 10crop"),
        (["RUN", "--scales", "256"], "the protocol center takes no scales"),
        (["RUN", "--protocol", "dense", "--scales", "big"], "no list of pixels"),
        (["RUN", "--protocol", "144crop", "--scales", "4"], "too small for views of 8"),
        (["resnet8_cifar"], "resnet8_cifar is a network without weights: add --weights"),
        (["RUN", "--weights", "RUN"], "1 --weights, and names of networks: none"),
        (["RUN", "--weights-from", "torchvision"], "there are none"),
        (["resnet8_cifar", "--weights", "gone.pth"], "no weights file gone.pth"),
        (["resnet9_cifar", "--weights", "gone.pth"], "1 --weights, and names of networks: none"),
        (["RUN", "--precision", "int8"], "int8"),
        (["RUN", "--out", "RUN"], "--out"),
        (["RUN", "--device", "abacus"], "no device named 'abacus'; there are: auto, cpu, cuda"),
    ],
)
def test_options_that_dont_fit_say_so_in_one_line(
    call, run_folder: Path, args: list[str], message: str
) -> None:
    given = [str(run_folder) if arg == "RUN" else arg for arg in args]
    ended = call("evaluate", *given, "--data", "digits")
    assert ended.code == 2
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1
    assert ended.out == ""
