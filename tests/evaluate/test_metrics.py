"""Metrics equal what a few plain loops over numpy arrays give."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.errors import InputError
from convatlas.evaluate.metrics import (
    brier_scores,
    class_accuracies,
    class_scores,
    confusion_matrix,
    ranks,
    top_k_accuracy,
    wilson_interval,
)


def places_by_sorting(logits: np.ndarray, labels: np.ndarray) -> list[int]:
    """Sort the classes of each image by score, then by index, and look up the true one."""
    places = []
    for scores, label in zip(logits, labels, strict=True):
        order = sorted(range(len(scores)), key=lambda c: (-scores[c], c))
        places.append(order.index(label))
    return places


@st.composite
def scored_images(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw whole scores from a narrow range, so that most rows have ties."""
    images, classes = draw(st.integers(1, 12)), draw(st.integers(1, 9))
    scores = draw(
        st.lists(st.integers(-2, 2), min_size=images * classes, max_size=images * classes)
    )
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=images, max_size=images))
    return np.array(scores, dtype=np.float32).reshape(images, classes), np.array(labels)


@settings(max_examples=60, deadline=None)
@given(scored_images())
def test_metrics_equal_a_literal_reference(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = case
    classes = logits.shape[1]
    places = ranks(torch.from_numpy(logits), torch.from_numpy(labels))
    assert places.tolist() == places_by_sorting(logits, labels)
    for k in range(1, classes + 2):
        assert top_k_accuracy(places, k) == np.mean(np.array(places_by_sorting(logits, labels)) < k)

    expected = np.zeros((classes, classes), dtype=int)
    for label, guess in zip(labels, logits.argmax(axis=1), strict=True):
        expected[label, guess] += 1
    found = confusion_matrix(
        torch.from_numpy(labels), torch.from_numpy(logits).argmax(dim=1), classes
    )
    assert found.tolist() == expected.tolist()
    assert int(found.diagonal().sum()) == int((places == 0).sum())


def test_a_constant_output_is_right_for_one_class_alone() -> None:
    places = ranks(torch.zeros(4, 4), torch.arange(4))
    assert places.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_not_finite_are_refused(broken: float) -> None:
    logits = torch.zeros(3, 2)
    logits[1, 0] = broken
    with pytest.raises(InputError, match=r"not finite .* 1 of 3 images"):
        ranks(logits, torch.zeros(3, dtype=torch.long))


def test_a_class_without_images_has_no_accuracy() -> None:
    confusion = torch.tensor([[3, 1, 0], [0, 0, 0], [2, 0, 0]])
    assert class_accuracies(confusion) == [0.75, None, 0.0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_class_scores_count_images_one_by_one(answers: list[tuple[int, int]]) -> None:
    labels, predicted = map(torch.tensor, zip(*answers, strict=True))
    found = class_scores(confusion_matrix(labels, predicted, 4))
    for c, scores in enumerate(found):
        right = sum(label == guess == c for label, guess in answers)
        own = sum(label == c for label, _ in answers)
        taken = sum(guess == c for _, guess in answers)
        assert scores.count == own
        assert scores.precision == (right / taken if taken else None)
        assert scores.recall == (right / own if own else None)
        if right:
            assert scores.f1 == pytest.approx(
                2 / (1 / scores.precision + 1 / scores.recall), rel=1e-12
            )
        else:
            assert scores.f1 == (0 if own else None)


def test_brier_scores_are_squared_distances() -> None:
    probabilities = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.3, 0.2]])
    found = brier_scores(probabilities, torch.tensor([0, 1, 2]))
    assert found.tolist() == pytest.approx([0.0, 2.0, 0.25 + 0.09 + 0.64])


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10_000), st.floats(0, 1))
def test_wilson_interval_solves_its_quadratic(count: int, share: float) -> None:
    """Its ends are the fractions p at which |right/count - p| is z standard errors of p."""
    right, z = round(share * count), 1.959964
    low, high = wilson_interval(right, count)
    assert 0 <= low <= right / count <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            error = np.sqrt(end * (1 - end) / count)
            assert abs(right / count - end) == pytest.approx(z * error, rel=1e-6, abs=1e-9)


def test_wilson_interval_of_a_published_example() -> None:
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", Table I."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@pytest.mark.parametrize(("right", "count"), [(0, 0), (5, 4), (-1, 4)])
def test_an_impossible_fraction_has_no_interval(right: int, count: int) -> None:
    with pytest.raises(InputError, match="right answers out of"):
        wilson_interval(right, count)
