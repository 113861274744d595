"""Files from the network: whole, checked, and continued where they were cut off."""

import contextlib
import fcntl
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path

from convatlas.errors import FileError

Progress = Callable[[str, int, int | None], None]  # file's name, bytes so far, bytes in all

TIMEOUT_SECONDS = 30.0
ATTEMPTS = 5  # a mirror, as long as each brings the file further
CHUNK_BYTES = 2**18


def download(
    urls: Sequence[str], path: str | Path, sha256: str, progress: Progress | None = None
) -> Path:
    """Bring a file here from the first mirror that has it.

    Until its content is checked it is called `path` with `.part` at the end; a download that was
    cut off goes on from there, now or in a later call. Nothing is done where `path` is right.

    Args:
        urls: The mirrors, in the order in which they are tried.
        path: Where to put the file.
        sha256: Of its content, in hexadecimal digits; or the first of them.
        progress: Told of the bytes that have arrived.

    Returns:
        `path`.

    Raises:
        FileError: No mirror gave the right file, or it can't be written; the message says what to
            put where by hand.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    failures = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            if path.is_file() and _sha256(path).startswith(sha256):
                return path
            for url in urls:
                try:
                    _complete(url, part, sha256, progress)
                except _MirrorError as error:
                    failures.append(f"{url}: {error}")
                else:
                    part.replace(path)
                    return path
    except OSError as error:
        raise FileError(f"can't write {path}: {error.strerror or error}") from error
    raise FileError(f"can't download {path.name}: put it at {path} by hand ({'; '.join(failures)})")


class _MirrorError(Exception):
    """Why a mirror did not give the file."""


class _CutOffError(_MirrorError):
    """The connection ended before the file did."""


def _complete(url: str, part: Path, sha256: str, progress: Progress | None) -> None:
    for _ in range(ATTEMPTS):
        begun = _size(part)
        try:
            _receive(url, part, progress)
        except _CutOffError:
            if _size(part) <= begun:
                raise
            continue
        if _sha256(part).startswith(sha256):
            return
        part.unlink()
        if not begun:
            raise _MirrorError("its content has another sha256")
        # what was there before may have been of another file: once more, from the start
    raise _MirrorError(f"cut off {ATTEMPTS} times")


def _receive(url: str, part: Path, progress: Progress | None) -> None:
    begun = _size(part)
    headers = {"User-Agent": "convatlas"}
    if begun:
        headers["Range"] = f"bytes={begun}-"
    try:
        response = _opened(urllib.request.Request(url, headers=headers))
    except urllib.error.HTTPError as error:
        error.close()
        if begun and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # there is nothing after `begun`: the checksum tells whether it is the file
        raise _MirrorError(f"{error.code} {error.reason}") from error
    with response:
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            begun = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {begun}-"):
            raise _MirrorError("it gave another part of the file than it was asked for")
        _write(response, part, begun, progress)


def _opened(request: urllib.request.Request) -> http.client.HTTPResponse:
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _MirrorError(str(getattr(error, "reason", error))) from error


def _write(
    response: http.client.HTTPResponse, part: Path, begun: int, progress: Progress | None
) -> None:
    length = response.headers.get("Content-Length", "")
    total = begun + int(length) if length.isdecimal() else None
    done = begun
    with part.open("ab" if begun else "wb") as file:
        for chunk in _chunks(response):
            file.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(part.name.removesuffix(".part"), done, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise _CutOffError(f"cut off after {done} of {total} bytes")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:  # of the network, not of the disk
            raise _CutOffError(f"cut off: {error or type(error).__name__}") from error
        if not chunk:
            return
        yield chunk


@contextlib.contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Let one process at a time download into a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: the checksum still holds
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
