"""The idx format of MNIST's files: a magic number, the sizes, the bytes.

http://yann.lecun.com/exdb/mnist/, "File formats for the MNIST database". Whole numbers are four
bytes, most significant first; 0x08 in the magic number says that the data are unsigned bytes.
"""

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np

from convatlas.errors import FileError

GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path, shape: tuple[int, ...], sha256: str | None = None) -> np.ndarray:
    """Read an idx file, gzipped or not, of unsigned bytes.

    Args:
        path: The file; its first bytes, not its name, tell whether it is gzipped.
        shape: The sizes that it must have.
        sha256: Of its unzipped content; None: any content will do.

    Returns:
        The data, of `shape`, uint8, read-only.

    Raises:
        FileError: The file can't be read, is cut off, or is another one than it should be.
    """
    header = struct.pack(f">{1 + len(shape)}I", 0x0800 + len(shape), *shape)
    size = len(header) + int(np.prod(shape))
    content = unzipped(path, size + 1)  # one byte more tells what is too long
    if content[: len(header)] != header[: len(content)]:
        raise FileError(
            f"{path} is no idx file of {' x '.join(map(str, shape))} bytes: it begins with "
            f"{content[: len(header)].hex(' ', 4)}, not {header.hex(' ', 4)}"
        )
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content)}, so it is cut off"
        raise FileError(f"{path} should hold {size} bytes; it holds {found}")
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise FileError(
            f"{path} isn't the official file: the sha256 of its content differs from {sha256}"
        )
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def unzipped(path: Path, most: int) -> bytes:
    """Read a file, unzipped if it is gzipped, but no more than `most` bytes.

    Raises:
        FileError: It can't be read, or is cut off.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        with gzip.open(path) if zipped else path.open("rb") as file:
            return file.read(most)
    except EOFError as error:
        raise FileError(f"{path} is cut off in the middle of its gzip data") from error
    except (OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path} can't be read: {reason}") from error
