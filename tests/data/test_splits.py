"""Stratified orders and splits in memory."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.data.splits import ArraySplit, Split, stratified_order


@settings(max_examples=100, deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=200), seed=st.integers(0, 2**40))
def test_a_stratified_order_is_a_permutation(labels, seed):
    order = stratified_order(labels, seed)
    assert sorted(order.tolist()) == list(range(len(labels)))
    assert np.array_equal(order, stratified_order(labels, seed))


@settings(max_examples=100, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=200),
    seed=st.integers(0, 2**40),
    cut=st.floats(0, 1),
)
def test_every_cut_of_it_is_stratified(labels, seed, cut):
    labels = np.array(labels)
    part = int(cut * len(labels))
    first = labels[stratified_order(labels, seed)][:part]
    classes = len(set(labels.tolist()))
    for label in set(labels.tolist()):
        fair = (labels == label).sum() * part / len(labels)
        # half an image of its own rounding, and what that of the other classes shifts the cut by
        assert abs((first == label).sum() - fair) <= 0.5 + classes / 2


def test_another_seed_gives_another_order():
    labels = [0, 1] * 20
    assert not np.array_equal(stratified_order(labels, 0), stratified_order(labels, 1))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_split_in_memory(channels):
    shape = (4, 2, 3) if channels == 1 else (4, 2, 3, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    split = ArraySplit(images, np.array([5, 6, 7, 8]), np.array([3, 1]), "thing")
    assert isinstance(split, Split)
    assert len(split) == 2
    assert split.labels == [8, 6]
    assert [split.label(i) for i in range(2)] == [8, 6]
    assert [split.name(i) for i in range(2)] == ["thing 3", "thing 1"]
    assert split.image(0).mode == ("L" if channels == 1 else "RGB")
    assert np.array_equal(split.image(1), images[1])
    with pytest.raises(IndexError):
        split.image(2)


def test_a_split_travels_to_another_process():
    split = ArraySplit(np.zeros((2, 1, 1), np.uint8), np.array([0, 1]), np.array([1, 0]), "dot")
    assert pickle.loads(pickle.dumps(split)).labels == split.labels
