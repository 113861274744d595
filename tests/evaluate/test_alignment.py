"""Labels get the network's numbers, by name; what it does not know is refused."""

from pathlib import Path

import numpy as np
import pytest

from convatlas.data.imagenet_names import imagenet_classes, imagenet_synsets
from convatlas.data.splits import ArraySplit
from convatlas.data.synsets import find_synsets
from convatlas.errors import InputError
from convatlas.evaluate.alignment import aligned

TRAINED = ("cat", "dog", "owl", "crane", "crane")


def split(labels: list[int]) -> ArraySplit:
    images = np.arange(len(labels), dtype=np.uint8).repeat(4).reshape(-1, 2, 2)
    return ArraySplit(images, np.array(labels), np.arange(len(labels)), "image")


def test_equal_classes_change_nothing() -> None:
    given = split([0, 1, 4])
    assert aligned(given, list(TRAINED), TRAINED) is given


def test_fewer_classes_in_another_order_get_new_numbers() -> None:
    found = aligned(split([0, 1, 1]), ["owl", "cat"], TRAINED)
    assert found.labels == [found.label(i) for i in range(len(found))] == [2, 0, 0]
    assert found.name(1) == "image 1"
    assert found.image(2).getpixel((0, 0)) == 2


def test_folders_of_synsets_are_imagenets_classes() -> None:
    found = aligned(split([1, 0]), [imagenet_synsets()[517], "tench"], imagenet_classes())
    assert found.labels == [0, 517]


def test_imagenet_is_known_by_all_names_of_its_synsets(data_root: Path) -> None:
    given = split([999, 0])
    words = find_synsets(data_root / "imagenet-classes").names
    assert words[0] == "tench, Tinca tinca"
    assert aligned(given, words, imagenet_classes()) is given
    assert aligned(given, imagenet_classes(), words) is given
    assert aligned(split([0]), ["n01443537"], words).labels == [1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["cat", "elk", "gnu"],
            "knows 5 classes and the data has 3, of which it knows no 'elk' and 1",
        ),
        (["cat", "elk"], "no 'elk'; its class 1 is 'dog'"),
        (["crane", "cat"], "two classes called 'crane'"),
        (["cat", "cat"], "two classes of the data are one"),
    ],
)
def test_what_the_network_does_not_know_is_refused(given: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        aligned(split([0, 1]), given, TRAINED)


def test_synsets_are_names_of_imagenet_alone() -> None:
    with pytest.raises(InputError, match="knows no 'n01440764'"):
        aligned(split([0]), ["n01440764"], TRAINED)
