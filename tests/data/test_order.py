"""Orders: every image once, or every class equally often; chance from seed and epoch alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.data.augment import Affine
from convatlas.data.loader import batches
from convatlas.data.order import balanced, in_order, shuffled
from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import ArraySplit
from convatlas.errors import InputError
from convatlas.recipe import override
from convatlas.train.plan import find_recipes
from convatlas.train.tasks import Classification

GREY = Preprocessing((6, 6), (0.3,), (0.6,))
LABELS = np.array([0] * 40 + [2] * 8 + [5] * 3)  # no image of 1, 3 and 4
SPLIT = ArraySplit(
    np.random.default_rng(0).integers(0, 256, (len(LABELS), 6, 6), dtype=np.uint8),
    LABELS,
    np.arange(len(LABELS)),
    "speck",
)


def test_every_image_comes_once():
    assert in_order(5).tolist() == [[0, 1, 2, 3, 4], [0] * 5]
    order = shuffled(50, seed=1, epoch=2)
    assert sorted(order[0]) == list(range(50))
    assert not order[1].any()
    assert np.array_equal(order, shuffled(50, 1, 2))
    assert not np.array_equal(order, shuffled(50, 1, 3))


@settings(max_examples=80, deadline=None)
@given(
    labels=st.lists(st.integers(0, 6), min_size=1, max_size=80),
    seed=st.integers(0, 2**63),
    epoch=st.integers(0, 1000),
)
def test_classes_come_equally_often(labels, seed, epoch):
    indices, repeats = balanced(labels, seed, epoch)
    assert len(indices) == len(labels)
    shown = np.bincount(np.array(labels)[indices], minlength=7)
    counts = [shown[label] for label in set(labels)]
    assert max(counts) - min(counts) <= 1
    seen: dict[int, int] = {}
    for index, repeat in zip(indices.tolist(), repeats.tolist(), strict=True):
        assert repeat == seen.get(index, 0)
        seen[index] = repeat + 1
    assert np.array_equal(balanced(labels, seed, epoch)[0], indices)


def test_every_image_of_a_class_is_as_likely():
    shown = np.zeros(len(LABELS))
    for epoch in range(400):
        np.add.at(shown, balanced(LABELS, 0, epoch)[0], 1)
    for label, count in ((0, 40), (2, 8), (5, 3)):
        expected = 400 * len(LABELS) / 3 / count
        of_class = shown[label == LABELS]
        assert abs(of_class - expected).max() < 5 * np.sqrt(expected)


def test_epochs_and_seeds_draw_anew():
    orders = {balanced(LABELS, seed, epoch).tobytes() for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_nothing_can_be_drawn_from_nothing():
    with pytest.raises(InputError, match="no images"):
        balanced([], 0, 0)


def epoch_of(**options) -> list[tuple[list[int], bytes]]:
    augment = (Affine(degrees=40, translate=0.3),)
    found = batches(SPLIT, GREY, 7, augment=augment, seed=3, epoch=1, balance=True, **options)
    return [(batch.indices.tolist(), batch.images.numpy().tobytes()) for batch in found]


def test_a_balanced_epoch_is_the_same_for_any_workers_and_from_any_batch():
    whole = epoch_of()
    assert epoch_of(workers=2) == whole
    assert epoch_of(start=3) == whole[3:]
    assert epoch_of(start=5, workers=1) == whole[5:]


def test_a_recipe_asks_for_it_by_a_word():
    task = Classification(GREY, tuple("abcdef"))
    recipe = override(find_recipes("lenet5")["digits"], {"balance": "sampling", "augment": []})
    found = list(task.batches(SPLIT, recipe, seed=0, epoch=1, start=0, workers=0))
    shown = np.bincount(np.concatenate([batch.labels.numpy() for batch in found]), minlength=6)
    assert shown.tolist() == [17, 0, 17, 0, 0, 17]


def test_an_image_that_comes_again_is_changed_in_another_way():
    augment = (Affine(degrees=40, translate=0.3),)
    looks: dict[int, set[bytes]] = {}
    count = 0
    for batch in batches(SPLIT, GREY, 7, augment=augment, balance=True):
        for index, image in zip(batch.indices.tolist(), batch.images, strict=True):
            looks.setdefault(index, set()).add(image.numpy().tobytes())
            count += 1
    assert count == len(LABELS)
    assert len(looks) < count  # some came again,
    assert sum(map(len, looks.values())) == count  # and each time they looked otherwise
