"""What a user gives for a field fits what the field declares, or is refused in words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest

from convatlas.errors import InputError
from convatlas.fields import fitted


@dataclass(frozen=True)
class Row:
    maps: int = 8


@dataclass(frozen=True)
class Spec:
    count: int = 3
    width: float = 1.0
    wide: bool = False
    name: str = "a"
    stem: Literal["imagenet", "cifar"] = "cifar"
    shortcut: Literal["A", "B"] | None = None
    pool: Literal[2, 3] = 2
    size: int | None = None
    blocks: tuple[int, ...] = (1, 2)
    pair: tuple[int, float] = (1, 2.0)
    rows: tuple[tuple[Row | Literal["LRN"], ...], ...] = ()
    table: Mapping[str, Row] = field(default_factory=dict)
    act: Callable[[], object] = Row


@pytest.mark.parametrize(
    ("name", "given", "held"),
    [
        ("count", 4, 4),
        ("count", np.int64(4), 4),
        ("width", 2, 2.0),
        ("width", np.float32(0.5), 0.5),
        ("wide", True, True),
        ("stem", "imagenet", "imagenet"),
        ("shortcut", None, None),
        ("shortcut", "B", "B"),
        ("size", 7, 7),
        ("blocks", [3, 4], (3, 4)),
        ("blocks", [], ()),
        ("pair", [1, 2], (1, 2.0)),
        ("rows", [[Row(), "LRN"], []], ((Row(), "LRN"), ())),
        ("table", {"x": Row(1)}, {"x": Row(1)}),
        ("act", str, str),
    ],
)
def test_what_fits_is_held_as_the_field_declares(name: str, given: Any, held: Any) -> None:
    found = fitted(Spec(), name, given, name)
    assert found == held
    assert type(found) is type(held)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("count", 2.0, "a whole number, such as 3; got 2.0"),
        ("count", True, "a whole number, such as 3; got True"),
        ("count", "3", "a whole number, such as 3; got '3'"),
        ("width", "wide", "a number, such as 1.0; got 'wide'"),
        ("width", False, "a number, such as 1.0; got False"),
        ("wide", 1, "True or False; got 1"),
        ("name", 3, "a text, such as 'a'; got 3"),
        ("stem", "imagnet", "'imagenet' or 'cifar'; got 'imagnet'"),
        ("stem", ["cifar"], "'imagenet' or 'cifar'; got ['cifar']"),
        ("shortcut", "C", "'A', 'B' or None; got 'C'"),
        ("pool", True, "2 or 3; got True"),
        ("size", 2.5, "a whole number or None; got 2.5"),
        ("blocks", "12", "a tuple of whole numbers, such as (1, 2); got '12'"),
        ("blocks", (1, 2.5), "a tuple of whole numbers, such as (1, 2); got (1, 2.5)"),
        ("pair", (1, 2, 3), "a tuple of whole numbers and numbers, such as (1, 2.0)"),
        ("rows", "A", "a tuple of tuples of Row or 'LRN', such as (); got 'A'"),
        ("rows", (("RLN",),), "a tuple of tuples of Row or 'LRN'"),
        ("table", None, "a mapping; got None"),
        ("act", None, "a function; got None"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(name: str, given: Any, told: str) -> None:
    with pytest.raises(InputError) as caught:
        fitted(Spec(), name, given, f"net: {name}")
    assert str(caught.value).startswith(f"net: {name} takes {told}")
