"""The fingerprint of a split changes with its images, and with nothing else."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.data.manifest import fingerprint
from convatlas.data.sources import open_source
from convatlas.data.splits import ArraySplit
from convatlas.data.tolerant import TolerantSplit


def array_split(images=None, classes=(0, 1, 0, 1), indices=(0, 1, 2)):
    if images is None:
        images = np.arange(4 * 9, dtype=np.uint8).reshape(4, 3, 3)
    return ArraySplit(images, np.asarray(classes), np.asarray(indices), "image")


def test_equal_images_have_equal_ones():
    assert fingerprint(array_split()) == fingerprint(array_split())
    assert len(fingerprint(array_split())) == 16
    assert fingerprint(TolerantSplit(array_split())) == fingerprint(array_split())


def changed_pixel():
    images = np.arange(4 * 9, dtype=np.uint8).reshape(4, 3, 3)
    images[2, 1, 1] += 1
    return array_split(images)


@pytest.mark.parametrize(
    "other",
    [
        changed_pixel(),
        array_split(classes=(0, 1, 1, 1)),
        array_split(indices=(0, 1)),
        array_split(indices=(0, 2, 1)),
        array_split(indices=(0, 1, 3)),
    ],
)
def test_any_change_of_images_in_memory_shows(other):
    assert fingerprint(other) != fingerprint(array_split())


def test_images_that_are_not_of_the_split_do_not_count():
    images = np.arange(4 * 9, dtype=np.uint8).reshape(4, 3, 3)
    images[3] = 0
    assert fingerprint(array_split(images)) == fingerprint(array_split())


def test_sizes_of_files_count(pictures, tmp_path):
    def now():
        return fingerprint(open_source(f"folder:{tmp_path / 'copy'}").train)

    source = Path(pictures.removeprefix("folder:"))
    (tmp_path / "copy").symlink_to(source)
    before = now()
    assert before == now()
    (tmp_path / "copy").unlink()
    shutil.copytree(source, tmp_path / "copy")
    assert now() == before  # where they lie does not count
    path = tmp_path / "copy" / "train" / "dot" / "5.png"
    Image.new("L", (50, 50)).save(path)
    assert now() != before
    path.unlink()
    assert now() != before


def test_a_file_that_has_gone_is_no_error(pictures, tmp_path):
    split = open_source(pictures).train
    gone = type(split)(tmp_path, split.files, split.labels)
    assert fingerprint(gone) != fingerprint(split)
