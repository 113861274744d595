"""A fingerprint of a data set, by which a change of it is noticed."""

import hashlib
from typing import Any

import numpy as np

from convatlas.data.folder import FolderSplit
from convatlas.data.splits import ArraySplit
from convatlas.data.tolerance import Tolerant


def fingerprint(split: Any) -> str:
    """Give 16 hexadecimal digits that change with the images of a split.

    With their names and labels, in order; with the pixels of images that lie in memory, and with
    the sizes of files. Other splits may say more of themselves in a method `fingerprint()`.
    """
    if isinstance(split, Tolerant):
        return fingerprint(split.split)
    if hasattr(split, "fingerprint"):
        return split.fingerprint()
    digest = hashlib.sha256()
    for i in range(len(split)):
        digest.update(f"{split.name(i)}\0".encode())
    digest.update(np.asarray(getattr(split, "labels", ()), np.int64).tobytes())
    if isinstance(split, ArraySplit):
        digest.update(split.images[split.indices].tobytes())
    elif isinstance(split, FolderSplit):
        sizes = [_size(split, i) for i in range(len(split))]
        digest.update(np.asarray(sizes, np.int64).tobytes())
    return digest.hexdigest()[:16]


def _size(split: FolderSplit, i: int) -> int:
    try:
        return (split.folder / split.files[i]).stat().st_size
    except OSError:
        return -1  # reading it will tell why
