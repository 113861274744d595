"""Files that appear whole or not at all."""

import contextlib
import os
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
    except OSError as error:
        if isinstance(error, FileError):
            raise
        blocked = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "a part of its path is a file" if blocked else error.strerror or error
        raise FileError(f"can't write {path}: {reason}") from error
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, whole or not at all."""
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
