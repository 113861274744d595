"""The picture of a confusion matrix: which classes it shows, and what stands in it."""

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.errors import InputError
from convatlas.visualize.confusion import confused_classes, confusion_page
from convatlas.visualize.draw import colours
from convatlas.visualize.page import Page, stacked

TABLE = [[5, 0, 2], [0, 7, 0], [1, 0, 3]]
SVG = "{http://www.w3.org/2000/svg}"


def words(page: Page) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(page.svg()).iter(f"{SVG}text")]


def test_every_count_but_zero_is_written() -> None:
    found = words(confusion_page(TABLE, ["a", "b", "c"], "Mistakes", "of a network"))
    assert found[:3] == ["Mistakes", "of a network", "predicted"]
    assert found[3:9] == ["a", "a", "b", "b", "c", "c"]
    assert sorted(found[9:]) == ["1", "2", "3", "5", "7"]


def test_long_names_have_numbers_above_the_columns() -> None:
    found = words(confusion_page(TABLE, ["tench", "goldfish", "great white shark"], "Mistakes"))
    assert {"tench  0", "goldfish  1", "great white shark  2"} < set(found)
    assert {"0", "1", "2"} <= set(found)


def test_the_greatest_mistake_is_the_hottest_and_right_answers_are_grey() -> None:
    page = confusion_page(TABLE, ["a", "b", "c"], "Mistakes")
    pixels = np.asarray(page.image())
    assert (pixels == colours(1.0)).all(axis=2).sum() > 800  # two of class a
    assert (pixels == colours(1 / 3)).all(axis=2).sum() > 800  # one of class c
    root = ElementTree.fromstring(page.svg())
    greys = [box for box in root.iter(f"{SVG}rect") if box.get("fill") == "#e2e5ea"]
    assert len(greys) == 3


def test_a_matrix_without_mistakes_is_drawn() -> None:
    found = words(confusion_page([[4, 0], [0, 3]], ["a", "b"], "Mistakes"))
    assert found[-2:] == ["4", "3"]
    assert confusion_page([[0]], ["a"], "Mistakes").width > 0


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(1, 12), st.integers(0, 999))
def test_the_classes_shown_are_those_with_most_mistakes(size: int, count: int, seed: int) -> None:
    table = np.random.default_rng(seed).integers(0, 4, (size, size))
    shown = confused_classes(table.tolist(), count)
    assert shown == sorted(set(shown))
    assert len(shown) <= count or size <= count
    wrong = [table[i].sum() + table[:, i].sum() - 2 * table[i, i] for i in range(size)]
    left_out = [wrong[i] for i in range(size) if i not in shown]
    assert max(left_out, default=0) <= min(wrong[i] for i in shown)
    assert len(shown) == min(count, size) or max(left_out) == 0


def test_classes_without_mistakes_are_left_out_where_there_are_many() -> None:
    table = 3 * np.eye(30, dtype=int)
    table[4, 9] = table[20, 4] = 1
    assert confused_classes(table.tolist()) == [4, 9, 20]
    assert confused_classes((3 * np.eye(30, dtype=int)).tolist()) == list(range(20))
    assert confused_classes(np.zeros((30, 30), int).tolist()) == [0]


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(InputError, match="is square"):
        confused_classes([[1, 2]])
    with pytest.raises(InputError, match="2 names for a confusion matrix of 3 classes"):
        confusion_page(TABLE, ["a", "b"], "Mistakes")


def test_stacked_pages_keep_all_their_marks() -> None:
    one, other = (confusion_page(TABLE, names, "Mistakes") for names in (["a", "b", "c"], "xyz"))
    whole = stacked([one, other], "Both", "about")
    assert words(whole) == words(one) + words(other)
    canvas = whole.image()
    assert canvas.crop((0, 0, one.width, one.height)).tobytes() == one.image().tobytes()
    below = (0, one.height, other.width, one.height + other.height)
    assert canvas.crop(below).tobytes() == other.image().tobytes()
