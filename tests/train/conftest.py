"""Pictures so small that a run takes a second, and a disk that is full."""

import contextlib
import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CLASSES = ("bar", "dot", "ring")


@contextlib.contextmanager
def files_of_at_most(size: int):
    """Let the system refuse longer files, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk():
    """Give `files_of_at_most(size)`, a context."""
    return files_of_at_most


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> str:
    """A source of 60 + 12 + 12 grey pictures of three easy classes."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for split, count in (("train", 20), ("val", 4), ("test", 4)):
        for label, name in enumerate(CLASSES):
            for i in range(count):
                _draw(folder / split / name / f"{i}.png", label, rng)
    return f"folder:{folder}"


def _draw(path: Path, label: int, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 60, (12, 12), np.uint8)
    patch = np.zeros((6, 6), np.uint8)
    if label == 0:
        patch[2:4] = 180
    elif label == 1:
        patch[1:5, 1:5] = 180
    else:
        patch[:] = 180
        patch[1:5, 1:5] = 0
    top, left = rng.integers(0, 7, 2)
    pixels[top : top + 6, left : left + 6] += patch
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
