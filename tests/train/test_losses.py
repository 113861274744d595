import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convatlas.errors import InputError, UnknownNameError
from convatlas.train.losses import LOSSES, balancing_weights, make_loss

ROWS = st.lists(st.lists(st.floats(-20, 20), min_size=3, max_size=3), min_size=1, max_size=5)


@given(ROWS, st.floats(0, 0.9))
def test_cross_entropy_against_its_definition(rows, smoothing):
    labels = [i % 3 for i in range(len(rows))]
    expected = 0.0
    for row, label in zip(rows, labels, strict=True):
        total = math.log(sum(math.exp(value) for value in row))
        target = [smoothing / 3 + (1 - smoothing) * (i == label) for i in range(3)]
        expected -= sum(t * (value - total) for t, value in zip(target, row, strict=True))
    loss = make_loss("cross_entropy", smoothing)
    ours = loss(torch.tensor(rows, dtype=torch.float64), torch.tensor(labels)).item()
    assert ours == pytest.approx(expected / len(rows), abs=1e-9)


def test_the_loss_of_lenet5_is_equation_9():
    penalties, j = [[3.0, 1.0, 7.0], [0.5, 2.0, 9.0]], 10.0
    labels = [0, 2]
    expected = sum(
        row[label] + math.log(math.exp(-j) + sum(math.exp(-y) for y in row))
        for row, label in zip(penalties, labels, strict=True)
    )
    ours = make_loss("lenet5_map")(-torch.tensor(penalties), torch.tensor(labels)).item()
    assert ours == pytest.approx(expected / 2, rel=1e-6)


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=30),
    st.floats(0, 0.9),
    st.booleans(),
)
def test_weighted_classes_against_the_definition(labels, smoothing, soft):
    generator = torch.Generator().manual_seed(len(labels))
    logits = torch.randn(len(labels), 4, generator=generator, dtype=torch.float64)
    each = balancing_weights(labels, 4).double()
    targets = torch.eye(4, dtype=torch.float64)[labels]
    smooth = (1 - smoothing) * targets + smoothing / 4
    expected = -(smooth * each * logits.log_softmax(1)).sum(1).mean().item()
    given = targets if soft else torch.tensor(labels)
    ours = make_loss("cross_entropy", smoothing, each)(logits, given).item()
    assert ours == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_balancing_gives_every_class_the_same_sum(labels):
    weights = balancing_weights(labels, 5)
    sums = [weights[c].item() * labels.count(c) for c in range(5)]
    present = sorted(set(labels))
    assert [sums[c] for c in present] == pytest.approx([len(labels) / len(present)] * len(present))
    assert all(weights[c] == 0 for c in range(5) if c not in present)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": torch.tensor([[0.5, 0.5]])}, "takes one label an image"),
        ({"targets": torch.tensor([0]), "weights": torch.ones(1)}, "no weights"),
    ],
)
def test_equation_9_knows_neither_mixed_labels_nor_weights(options, message):
    with pytest.raises(InputError, match=message):
        make_loss("lenet5_map")(torch.zeros(1, 2), **options)


def test_unknown_losses_name_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean: cross_entropy"):
        make_loss("crossentropy")


def test_only_the_cross_entropy_is_smoothed():
    with pytest.raises(InputError, match="lenet5_map takes no label_smoothing"):
        make_loss("lenet5_map", 0.1)
    with pytest.raises(InputError, match="lenet5_map takes no weights of classes"):
        make_loss("lenet5_map", class_weights=torch.ones(2))


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_prefers_the_right_class(name):
    logits = torch.tensor([[-1.0, -5.0, -5.0]])
    loss = make_loss(name)
    assert loss(logits, torch.tensor([0])) < loss(logits, torch.tensor([1]))
