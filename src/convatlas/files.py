"""Files that appear whole or not at all."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

from convatlas.errors import FileError


@contextlib.contextmanager
def whole_file(path: str | Path) -> Generator[Path]:
    """Give a path to write to; rename it to `path` once the block has ended without an error.

    The old file stays as it was until the new one is complete and on the disk. Missing folders
    are made.

    Raises:
        FileError: The disk is full, or `path` can't be written; nothing is left behind.
    """
    path = Path(path)
    aside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=f"{path.suffix}.tmp"
        )
        os.close(handle)
        aside = Path(name)
        yield aside
        with aside.open("rb+") as written:
            os.fsync(written.fileno())
        aside.chmod(0o666 & ~_umask())  # mkstemp makes files that only their owner may read
        aside.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"can't write {path}: {_reason(path, error)}") from error
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)


def cache_folder(name: str) -> Path:
    """Name the folder in which files of one kind are kept, or of a source; it need not exist yet.

    CONVATLAS_CACHE in the environment moves it from ~/.cache/convatlas.
    """
    return Path(os.environ.get("CONVATLAS_CACHE") or "~/.cache/convatlas").expanduser() / name


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, whole or not at all."""
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _reason(path: Path, error: OSError) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "a part of its path is a file"
    reason = str(error.strerror or error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason += f"; {shutil.disk_usage(path.parent).free:,} bytes are free there"
    return reason


def _sync_folder(folder: Path) -> None:
    """Force the new name to the disk too: without it, a power cut may bring the old file back."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every file system can
            os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
