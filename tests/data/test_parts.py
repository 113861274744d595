"""Parts of a batch for processes that share the work: together they are the batch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convatlas.data.augment import Affine
from convatlas.data.loader import batches, part_of
from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import ArraySplit
from convatlas.errors import InputError


def make_split(count):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (count, 6, 6), np.uint8)
    return ArraySplit(images, np.arange(count) % 3, np.arange(count), "x")


@given(count=st.integers(0, 50), parts=st.integers(1, 9))
def test_parts_are_the_whole_in_order_and_nearly_equal(count, parts):
    batch = np.arange(count)
    found = [part_of(batch, number, parts) for number in range(parts)]
    assert np.array_equal(np.concatenate(found), batch)
    sizes = [len(part) for part in found]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("number", [-1, 3])
def test_there_is_no_other_part(number):
    with pytest.raises(InputError, match=f"there is no part {number} of 3"):
        part_of(np.arange(5), number, 3)


@pytest.mark.parametrize("order", [{}, {"shuffle": True}, {"balance": True}])
def test_processes_together_learn_from_the_batches_of_one(order):
    settings = {"augment": (Affine(degrees=30),), "seed": 5, "epoch": 2, "start": 1, **order}
    preprocessing = Preprocessing((6, 6), (0.5,), (0.5,))
    # the last of the batches has 2 images, fewer than there are processes
    whole = list(batches(make_split(14), preprocessing, 4, **settings))
    shared = [
        list(batches(make_split(14), preprocessing, 4, part=(rank, 3), **settings))
        for rank in range(3)
    ]
    for one, *parts in zip(whole, *shared, strict=True):
        slices = zip(*(part[:3] for part in parts), strict=True)
        for expected, found in zip(one[:3], slices, strict=True):
            assert torch.equal(torch.cat(found), expected)
    assert [len(part[-1].labels) for part in shared] == [1, 1, 0]
