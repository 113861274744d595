"""Packing: stopped, gone on with, on a full disk, with bad images; whole files or none."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.data.pack_format import PackOptions
from convatlas.data.packing import pack
from convatlas.data.sources import open_source
from convatlas.errors import FileError, InputError

SMALL = PackOptions("files", shard_bytes=30_000)


class StopError(Exception):
    """What a progress raises to stop."""


@pytest.fixture
def folder(pictures, tmp_path) -> Path:
    place = tmp_path / "pictures"
    shutil.copytree(pictures.removeprefix("folder:"), place)
    return place


def packed(folder: Path, out: Path, options: PackOptions = SMALL, **how):
    text = f"folder:{folder}"
    return pack(open_source(text), text, out, options, **how)


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@pytest.mark.parametrize("after", [0, 30, 60, 83])
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(folder, tmp_path, after):
    whole, out = tmp_path / "whole", tmp_path / "out"
    packed(folder, whole)

    def progress(done: int, total: int) -> None:
        assert total == 84
        if done > after:
            raise StopError

    with pytest.raises(StopError):
        packed(folder, out, progress=progress, threads=2)
    assert not list(out.glob(".*"))
    with pytest.raises(FileError, match="is not packed to the end"):
        open_source(f"packed:{out}")
    with pytest.raises(InputError, match=r"holds a pack: --resume goes on with it, --overwrite"):
        packed(folder, out)
    packed(folder, out, resume=True)
    assert content(out) == content(whole)


KILLED = """
import os, signal, sys
from pathlib import Path
from convatlas.data import packing
from convatlas.data.pack_format import PackOptions
from convatlas.data.sources import open_source

text, out, moment = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
source, add, left = open_source(text), packing._added, [moment]

def added(*args):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return add(*args)

packing._added = added
packing.pack(source, text, out, PackOptions("files", shard_bytes=30_000), threads=2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", [1, 40, 84])
def test_killed_in_the_midst_of_a_shard_it_goes_on_to_the_same_bytes(folder, tmp_path, moment):
    packed(folder, tmp_path / "whole")
    command = [sys.executable, "-c", KILLED, f"folder:{folder}", str(tmp_path / "out"), str(moment)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert list((tmp_path / "out").glob(".*.tmp"))  # what was half written, aside
    packed(folder, tmp_path / "out", resume=True)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_what_is_whole_is_not_written_again(folder, tmp_path):
    packed(folder, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tar")}
    (tmp_path / "out" / "train-000001.npz").unlink()
    (tmp_path / "out" / ".train-000001.tar.abc.tar.tmp").write_bytes(
        b"of a process that was killed"
    )
    packed(folder, tmp_path / "out", resume=True)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tar")}
    changed = [path.name for path in before if before[path] != after[path]]
    assert changed == ["train-000001.tar"]
    assert not list((tmp_path / "out").glob(".*"))


def test_progress_counts_every_picture(folder, tmp_path):
    seen = []
    packed(folder, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (84, 84)


def test_another_pack_is_not_mixed_in(folder, tmp_path):
    packed(folder, tmp_path / "out")
    with pytest.raises(InputError, match="can't be gone on with: the options are others"):
        packed(folder, tmp_path / "out", PackOptions("pixels"), resume=True)
    (folder / "train" / "dot" / "5.png").unlink()
    with pytest.raises(InputError, match="can't be gone on with: its pictures have changed"):
        packed(folder, tmp_path / "out", resume=True)
    found = packed(folder, tmp_path / "out", overwrite=True)
    assert found.images == {"train": 59, "val": 12, "test": 12}


def test_files_of_others_are_left_alone(folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("all of it")
    for how in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(InputError, match=r"holds other files, such as thesis.tex: take a new"):
            packed(folder, tmp_path / "out", **how)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_bad_pictures_are_left_out_counted_and_told(folder, tmp_path):
    (folder / "train" / "dot" / "5.png").write_bytes(b"no picture")
    told = []
    options = {"max_bad": 0.05, "tell": lambda name, reason: told.append((name, reason))}
    found = packed(folder, tmp_path / "out", **options)
    assert found.images == {"train": 59, "val": 12, "test": 12}
    assert found.left_out["train"].keys() == {"train/dot/5.png"}
    assert told[0][0] == "train/dot/5.png"
    assert "is no picture in a format that can be read" in told[0][1]
    source = open_source(f"packed:{tmp_path / 'out'}")
    assert len(source.train) == 59
    assert "train/dot/5.png" not in {source.train.name(i) for i in range(59)}
    assert packed(folder, tmp_path / "out", resume=True, **options) == found
    assert len(told) == 2  # a pack that goes on tells of them again


def test_too_many_bad_pictures_end_it(folder, tmp_path):
    for i in range(2):
        (folder / "train" / "dot" / f"{i}.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"more images of the train split are bad than the limit"):
        packed(folder, tmp_path / "out", max_bad=0.02)
    found = packed(folder, tmp_path / "out", max_bad=0.1, resume=True)
    assert found.images["train"] == 58


def test_a_full_disk_leaves_one_line_and_no_half_file(folder, tmp_path, small_disk):
    out = tmp_path / "out"
    with small_disk(9000), pytest.raises(FileError, match=r"^can't write \S*train-000000.tar: "):
        packed(folder, out, PackOptions("files"))
    assert sorted(path.name for path in out.iterdir()) == ["classes.txt", "pack.json"]
    packed(folder, out, PackOptions("files"), resume=True)
    packed(folder, tmp_path / "other", PackOptions("files"))
    assert content(out) == content(tmp_path / "other")


def test_more_threads_write_the_same_bytes(folder, tmp_path):
    for i, form in enumerate(("pixels", "jpeg")):
        for threads in (1, 3):
            packed(folder, tmp_path / f"{i}{threads}", PackOptions(form, 10), threads=threads)
        assert content(tmp_path / f"{i}1") == content(tmp_path / f"{i}3")


def test_names_of_several_lines_do_not_shift_the_others(tmp_path):
    for name in ("a\nb", "c"):
        for i in range(5):
            place = tmp_path / "in" / name
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 4), i, np.uint8)).save(place / f"{i}.png")
    packed(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out" / "classes.txt").read_text() == "a b\nc\n"
    assert open_source(f"packed:{tmp_path / 'out'}").card.classes == ("a\nb", "c")
