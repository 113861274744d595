"""One process at a time in the folder of a run."""

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Generator
from pathlib import Path

from convatlas.errors import FileError, InputError

FILE_NAME = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # what file systems without locks say


@contextlib.contextmanager
def locked(folder: Path) -> Generator[None]:
    """Keep other processes out of a folder; it is made if missing.

    The system forgets the lock when the process dies, however it dies: what a dead process has
    left is taken over. Processes that this one forks do not hold it.

    Raises:
        InputError: Another process is in there; the message names it.
        FileError: The folder can't be written.
    """
    path, made = folder / FILE_NAME, not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _lock(path)
    except OSError as error:
        blocked = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "a part of its path is a file" if blocked else error.strerror or error
        raise FileError(f"can't write {path}: {reason}") from error
    if handle is None:
        raise InputError(f"{folder} is in use by {_holder(path)}: wait for it or end it")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)
        if made:
            with contextlib.suppress(OSError):  # it is not empty: the run has begun
                folder.rmdir()


def _lock(path: Path) -> int | None:
    """Give a handle that holds the lock; None: another process does."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, says POSIX
            os.close(handle)
            return None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        if _is_at(handle, path):
            os.truncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return handle
        os.close(handle)  # its holder has just removed it


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") or "another process"
    except (OSError, ValueError):
        return "another process"
