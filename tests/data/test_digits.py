"""The embedded digits: the ones that scikit-learn ships, in a split that never changes."""

import hashlib
import warnings

import numpy as np
import pytest

from convatlas.data.sources import open_source
from convatlas.errors import FileError

SOURCE = open_source("digits")
SPLITS = (SOURCE.train, SOURCE.val, SOURCE.test)


def everything() -> tuple[np.ndarray, np.ndarray]:
    """All 1,797 images and labels, put back in the order of the source."""
    numbers = [int(s.name(i).split()[1]) for s in SPLITS for i in range(len(s))]
    images = np.stack([np.asarray(s.image(i)) for s in SPLITS for i in range(len(s))])
    labels = np.array([label for s in SPLITS for label in s.labels])
    assert sorted(numbers) == list(range(1797))
    order = np.argsort(numbers)
    return images[order], labels[order]


def test_are_complete_and_disjoint():
    assert [len(split) for split in SPLITS] == [1257, 180, 360]
    images, labels = everything()
    assert images.shape == (1797, 8, 8)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_are_those_of_the_source():
    images, labels = everything()
    ink = (images / (255 / 16)).round().astype(np.uint8)
    content = ink.tobytes() + labels.astype(np.uint8).tobytes()
    # of load_digits of scikit-learn 1.9.1: images and labels as uint8
    assert hashlib.sha256(content).hexdigest() == (
        "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    )


def test_equal_scikit_learns():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that scikit-learn imports
        load_digits = pytest.importorskip("sklearn.datasets").load_digits
    theirs = load_digits()
    images, labels = everything()
    assert np.array_equal(images, (theirs.images * 255 / 16).round())
    assert np.array_equal(labels, theirs.target)


def test_the_split_is_frozen():
    numbers = "".join(f"{split.name(i)};" for split in SPLITS for i in range(len(split)))
    assert (
        hashlib.sha256(numbers.encode()).hexdigest()
        == "190b776a23e03f8aa4df0e769484977efc627eb5ff432adef3d35bfed711dbc3"
    )


def test_every_split_is_stratified():
    whole = np.bincount(everything()[1])
    for split in SPLITS:
        counts = np.bincount(split.labels)
        assert abs(counts - whole * len(split) / 1797).max() <= 1.5


def test_are_bright_ink_on_black():
    image = np.asarray(SOURCE.train.image(0))
    assert image.max() == 255
    assert np.mean([np.asarray(SOURCE.train.image(i)).mean() for i in range(100)]) < 100
    x = SOURCE.card.preprocessing((1, 32, 32))(SOURCE.train.image(0))
    assert x.shape == (1, 32, 32)
    assert float(x.min()) == pytest.approx(-0.1)
    assert float(x.max()) == pytest.approx(1.175, abs=0.01)


def test_the_card_says_whose_they_are():
    card = SOURCE.card
    assert card.classes == tuple("0123456789")
    assert card.image_size == (8, 8)
    assert "Alpaydin" in card.citation
    assert card.licence == "CC BY 4.0"
    assert card.url.startswith("https://")


def test_a_damaged_package_is_noticed(monkeypatch):
    monkeypatch.setattr("convatlas.data.digits.SHA256", "0" * 64)
    with pytest.raises(FileError, match=r"digits\.npz .*install convatlas again"):
        open_source("digits")
