"""`convatlas data pack`: what it prints, what it refuses, and what is trained from it."""

import json
import os
import signal

import pytest

from convatlas.data import packing
from convatlas.train.folder import read_json


@pytest.fixture
def some(tmp_path_factory):
    """Pictures of three easy classes; one of 20 for training is bad."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("some")
    for split, count in (("train", 10), ("val", 3), ("test", 3)):
        for label, name in enumerate(("a", "b")):
            place = folder / split / name
            place.mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (20, 16), (i * 20, label * 200, 0)).save(place / f"{i}.png")
    (folder / "train" / "a" / "3.png").write_bytes(b"no picture")
    return folder


def test_says_what_was_written_and_how_to_read_it(call, some, tmp_path):
    done = call("data", "pack", f"folder:{some}", "--out", tmp_path / "p", "--max-bad", "10%")
    assert done.code == 0
    assert "convatlas data pack: left out: " in done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert ["train", "19", "1", "1"] in lines
    assert f"convatlas train NAME --data packed:{tmp_path / 'p'}" in done.out
    again = call(
        "data", "pack", f"folder:{some}", "--out", tmp_path / "p", "--max-bad", "10%", "--resume",
        "--json",
    )  # fmt: skip
    document = json.loads(again.out)
    assert document["images"] == {"train": 19, "val": 6, "test": 6}
    assert list(document["left_out"]["train"]) == ["train/a/3.png"]
    checked = call("data", "check", f"packed:{tmp_path / 'p'}", "--json")
    assert json.loads(checked.out)["splits"]["train"]["count"] == 19


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["folder:{some}"], "the limit of 0.01 of 20 allows"),
        (["segmentation:x"], "images with masks are not packed"),
        (["packd:x"], "did you mean"),
        (["digits", "--shorter", "256"], "to resize pictures, take pixels or jpeg"),
        (["digits", "--shard-size", "much"], "much"),
        (["digits", "--resume", "--overwrite"], "choose one"),
        (["digits", "--as", "pixel"], "pixels"),
        (["digits", "--quality", "0"], "1<=x<=100"),
    ],
)
def test_one_line_says_what_is_wrong(call, some, tmp_path, words, message):
    given = [word.format(some=some) for word in words]
    done = call("data", "pack", *given, "--out", tmp_path / "p")
    assert done.code == 2
    assert message in done.err.splitlines()[-1]
    assert not list(tmp_path.glob("p/*.tar"))


def test_stopped_by_a_signal_it_says_how_to_go_on(call, tmp_path, monkeypatch):
    whole = packing.whole_file

    def stopping(path):
        if "val" in path.name:
            os.kill(os.getpid(), signal.SIGTERM)
        return whole(path)

    monkeypatch.setattr(packing, "whole_file", stopping)
    out = tmp_path / "my pack"
    done = call("data", "pack", "digits", "--out", out, "--as", "pixels")
    assert done.code == 128 + signal.SIGTERM
    command = f"convatlas data pack digits --out '{out}' --as pixels --resume"
    assert done.err.splitlines()[-1] == f"stopped by SIGTERM; to go on: {command}"
    monkeypatch.undo()
    assert call("data", "pack", "digits", "--out", out, "--as", "pixels", "--resume").code == 0


def test_training_tells_what_packing_has_changed(call, some, tmp_path):
    pack = ("data", "pack", f"folder:{some}", "--max-bad", "0.1", "--as", "pixels")
    call(*pack, "--out", tmp_path / "p", "--shorter", "12")
    plain = ("train", "lenet5_modern", "--epochs", "1", "--out")
    done = call(*plain, tmp_path / "a", "--data", f"packed:{tmp_path / 'p'}")
    assert done.code == 0
    assert "Test images are made of those of a shorter side of 12 pixels" in done.err
    deviations = read_json(tmp_path / "a" / "config.json")["recipe"]["deviations"]
    assert deviations[-1].startswith("Test images are made of")
    report = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert "shorter side of 12 pixels" in report
    tested = call("evaluate", tmp_path / "a", "--data", f"packed:{tmp_path / 'p'}")
    assert "shorter side of 12 pixels" in tested.err


@pytest.mark.slow
def test_training_from_a_pack_is_that_from_its_source(call, tmp_path):
    call("data", "pack", "digits", "--out", tmp_path / "digits")
    plain = ("train", "lenet5_modern", "--epochs", "1", "--out")
    for name, text in (("b", "digits"), ("c", f"packed:{tmp_path / 'digits'}")):
        done = call(*plain, tmp_path / name, "--data", text, "--set", "batch_size=256")
        assert "packed:" not in done.err
    one, other = (read_json(tmp_path / name / "config.json") for name in ("b", "c"))
    assert one["recipe_name"] == other["recipe_name"]
    assert one["recipe"] == other["recipe"]
    weights = [(tmp_path / name / "test.json").read_text() for name in ("b", "c")]
    assert weights[0] == weights[1]
