"""Files of MATLAB 5: arrays of texts and numbers, and structures of these.

MathWorks, "MAT-File Format", https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf: a
header of 128 bytes, then elements of a type, a size and as many bytes, filled up to a multiple of
8; up to 4 bytes may stand in the tag itself.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from convatlas.errors import FileError

HEADER_BYTES = 128
MOST_BYTES = 2**28  # of an element once it is unpacked

_MATRIX, _COMPRESSED = 14, 15
_STRUCT, _CHAR = 2, 4  # classes of arrays
_NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8"}
_NUMBERS |= {12: "<i8", 13: "<u8", 16: "u1", 17: "<u2"}


def read_matlab(path: Path) -> dict[str, Any]:
    """Read the variables of a file.

    Returns:
        Each by its name: a text, an array of numbers, or, of a structure, a list of dictionaries.

    Raises:
        FileError: It can't be read, or is no such file of the little-endian form.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror or error}") from error
    if not content.startswith(b"MATLAB 5.0 MAT-file") or content[126:128] != b"IM":
        raise FileError(f"{path} is no MATLAB 5 file")
    variables = {}
    try:
        for kind, data in _elements(content[HEADER_BYTES:]):
            if kind == _COMPRESSED:
                unpacked = zlib.decompressobj().decompress(data, MOST_BYTES)
                ((kind, data),) = _elements(unpacked)
            if kind == _MATRIX:
                name, value = _array(data)
                variables[name] = value
    except (ValueError, IndexError, KeyError, struct.error, zlib.error, RecursionError) as error:
        raise FileError(f"{path} is damaged: {error}") from error
    return variables


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(data):
        kind, size = struct.unpack_from("<II", data, place)
        if kind >> 16:  # a small element: size and type share a word, the data follow at once
            kind, size = kind & 0xFFFF, kind >> 16
            yield kind, data[place + 4 : place + 4 + size]
            place += 8
            continue
        found = data[place + 8 : place + 8 + size]
        if len(found) < size:
            raise ValueError(f"{size} bytes are announced, and {len(found)} are left")
        yield kind, found
        place += 8 + (size if kind == _COMPRESSED else -(-size // 8) * 8)


def _array(data: bytes) -> tuple[str, Any]:
    if not data:
        return "", np.zeros(0)
    parts = _elements(data)
    kind = _next(parts)[0]
    shape = np.frombuffer(_next(parts), "<i4")
    name = _next(parts).decode()
    if kind == _STRUCT:
        return name, _structures(parts, int(np.prod(shape)))
    number, content = next(parts, (1, b""))
    if kind == _CHAR:
        return name, content.decode("utf-16-le" if number in (4, 17) else "utf-8")
    return name, np.frombuffer(content, _NUMBERS[number]).reshape(shape, order="F")


def _structures(parts: Iterator[tuple[int, bytes]], count: int) -> list[dict[str, Any]]:
    (width,) = struct.unpack("<i", _next(parts))
    names = _next(parts)
    fields = [
        names[i : i + width].partition(b"\0")[0].decode() for i in range(0, len(names), width)
    ]
    if not fields:
        raise ValueError("a structure has no fields")
    return [{field: _array(_next(parts))[1] for field in fields} for _ in range(count)]


def _next(parts: Iterator[tuple[int, bytes]]) -> bytes:
    found = next(parts, None)
    if found is None:
        raise ValueError("a part of an array is missing")
    return found[1]
