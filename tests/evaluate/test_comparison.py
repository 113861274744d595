"""Two networks on the same images, against plain counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.errors import InputError
from convatlas.evaluate.comparison import compare, mcnemar
from convatlas.evaluate.evaluation import Prediction


def predictions(labels: list[int], predicted: list[int]) -> list[Prediction]:
    return [
        Prediction(i, str(i), label, guess, 0.5, 0.5, int(label != guess))
        for i, (label, guess) in enumerate(zip(labels, predicted, strict=True))
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=2, max_size=40))
def test_it_equals_counts_over_arrays(images: list[tuple[int, int, int]]) -> None:
    labels, one, two = map(list, zip(*images, strict=True))
    found = compare(predictions(labels, one), predictions(labels, two))
    label, a, b = map(np.array, (labels, one, two))
    assert found.both == ((a == label) & (b == label)).sum()
    assert found.only_first == ((a == label) & (b != label)).sum()
    assert found.only_second == ((a != label) & (b == label)).sum()
    assert found.neither == ((a != label) & (b != label)).sum()
    assert found.same_mistake == ((a == b) & (a != label)).sum()
    assert found.agreement == pytest.approx((a == b).mean())
    if 0 < (a == label).sum() < len(images) and 0 < (b == label).sum() < len(images):
        expected = np.corrcoef(a == label, b == label)[0, 1]
        assert found.correlation == pytest.approx(expected, abs=1e-12)
    else:
        assert found.correlation is None


@pytest.mark.parametrize(("one", "two"), [(0, 0), (3, 3), (1, 9), (10, 2), (0, 6), (150, 100)])
def test_mcnemar_is_a_two_sided_binomial_test(one: int, two: int) -> None:
    count = one + two
    chances = [math.comb(count, k) / 2**count for k in range(count + 1)]
    extreme = [k for k in range(count + 1) if abs(k - count / 2) >= abs(one - count / 2)]
    assert mcnemar(one, two) == pytest.approx(min(1.0, sum(chances[k] for k in extreme)))


def test_mcnemar_takes_many_images() -> None:
    assert 0 < mcnemar(4000, 4200) < 0.05
    assert mcnemar(4000, 4001) > 0.9


def test_a_network_agrees_with_itself() -> None:
    own = predictions([0, 1, 2, 1], [0, 1, 0, 2])
    found = compare(own, own)
    assert (found.agreement, found.correlation, found.p_value) == (1.0, pytest.approx(1.0), 1.0)


def test_other_images_cant_be_compared() -> None:
    own = predictions([0, 1], [0, 1])
    for other in (own[:1], [], own[::-1]):
        with pytest.raises(InputError, match="different images"):
            compare(own, other)
    with pytest.raises(InputError):
        compare([], [])
