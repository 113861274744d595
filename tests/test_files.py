"""Files appear whole or not at all."""

import errno
import os
import re
from pathlib import Path

import pytest

from convatlas.errors import FileError
from convatlas.files import whole_file, write_text


def test_text_is_written_with_its_folders(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b.txt", "Grüße\n")
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "Grüße\n"


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with whole_file(path) as aside:
            aside.write_bytes(b"ne")
            assert path.read_bytes() == b"old"
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError) as caught:
        write_text(path, "new")
    told = re.escape(f"can't write {path}: No space left on device; ")
    assert re.fullmatch(told + r"[\d,]+ bytes are free there", str(caught.value))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(FileError, match=r"can't write .*demo\.txt: a part of its path is a file"):
        write_text(tmp_path / "runs" / "demo.txt", "x")
    with pytest.raises(FileError, match=r"can't write .*demo\.txt: a part of its path is a file"):
        write_text(tmp_path / "runs" / "deeper" / "demo.txt", "x")


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(old)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
