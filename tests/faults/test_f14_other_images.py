"""F14: the images change between two runs. It is noticed, and accepted only when asked."""

import json
import shutil
from pathlib import Path

import pytest
from counts import rounds
from faulty_runs import SETTINGS
from PIL import Image

from convatlas.errors import InputError
from convatlas.train.events import Notice
from convatlas.train.run import start_run


def add(folder):
    shutil.copy(folder / "train" / "dot" / "0.png", folder / "train" / "dot" / "new.png")


def remove(folder):
    (folder / "train" / "ring" / "3.png").unlink()


def change(folder):
    Image.new("L", (40, 40), 9).save(folder / "test" / "bar" / "1.png")


def rename(folder):
    (folder / "val" / "dot" / "2.png").rename(folder / "val" / "dot" / "20.png")


def move(folder):
    (folder / "train" / "dot" / "7.png").rename(folder / "train" / "bar" / "70.png")


def swap(folder):
    one, other = folder / "train" / "dot" / "1.png", folder / "val" / "dot" / "1.png"
    one.rename(folder / "val" / "dot" / "x.png")
    other.rename(one)


CHANGES = ((add, "train"), (change, "test"), (remove, "train"), (rename, "val"), (move, "train"))
CHANGES = (*CHANGES, (swap, "val"))


@rounds(2, 6)
def test_a_change_is_noticed(pictures, tmp_path, seed):
    shutil.copytree(Path(pictures.removeprefix("folder:")), tmp_path / "pictures")
    source, out = f"folder:{tmp_path / 'pictures'}", tmp_path / "run"
    asked = iter(range(100))
    start_run("lenet5_modern", source, out=out, stop=lambda: next(asked) == 7, **SETTINGS)
    before = json.loads((out / "config.json").read_text())
    changed, split = CHANGES[seed]
    changed(tmp_path / "pictures")
    with pytest.raises(InputError, match=rf"images have changed since .* manifest\.{split} was"):
        start_run("lenet5_modern", source, out=out, resume=True, **SETTINGS)
    assert json.loads((out / "config.json").read_text()) == before

    events = []
    result = start_run(
        "lenet5_modern",
        source,
        out=out,
        resume=True,
        accept_data=True,
        progress=events.append,
        **SETTINGS,
    )
    assert result.state == "finished"
    told = [event.text for event in events if isinstance(event, Notice)]
    assert "goes on from step 7" in told[1]
    assert "have changed and are accepted" in told[0]
    assert json.loads((out / "config.json").read_text())["manifest"] != before["manifest"]
    # and now these are its images
    start_run("lenet5_modern", source, out=out, resume=True, **SETTINGS)
