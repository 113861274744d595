"""Values for the fields of frozen data, as a user gives them: fitted to what a field declares."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from convatlas.errors import InputError

_ONE = {int: "a whole number", float: "a number", str: "a text"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts"}
_SHORT = 40  # characters of a value that a message shows as an example


def fitted(data: Any, field: str, value: Any, label: str) -> Any:
    """Give `value` as a field of a dataclass holds it: a list as a tuple, 1 as 1.0.

    Args:
        data: The dataclass, or one of its instances, whose value is then an example.
        field: Its name.
        value: What a user gave.
        label: How messages name the field.

    Raises:
        InputError: The field declares another type.
    """
    kind = data if isinstance(data, type) else type(data)
    declared = get_type_hints(kind)[field]
    try:
        return _converted(declared, value)
    except TypeError:
        takes, example = _words(declared), "" if data is kind else repr(getattr(data, field))
        if (declared in _ONE or get_origin(declared) is tuple) and 0 < len(example) <= _SHORT:
            takes += f", such as {example}"
        raise InputError(f"{label} takes {takes}; got {value!r}") from None


def check_least(data: Any, least: int, *names: str) -> None:
    """Refuse fields of a dataclass that are below `least`.

    Raises:
        InputError: One is; the message names it.
    """
    for name in names:
        if getattr(data, name) < least:
            raise InputError(f"{name} must be at least {least}, not {getattr(data, name)!r}")


def check_chance(data: Any, *names: str) -> None:
    """Refuse fields of a dataclass that are no probability, or one of dropping everything.

    Raises:
        InputError: One is; the message names it.
    """
    for name in names:
        value = getattr(data, name)
        if not 0 <= value < 1:
            raise InputError(f"{name} must be at least 0 and less than 1, not {value!r}")


def check_choice(data: Any, allowed: Iterable[str], *names: str) -> None:
    """Refuse fields of a dataclass that have none of the allowed values.

    Raises:
        InputError: One has; the message lists what is allowed.
    """
    for name in names:
        if getattr(data, name) not in (known := list(allowed)):
            listed = ", ".join(map(repr, known))
            raise InputError(f"{name} is one of {listed}; not {getattr(data, name)!r}")


def _converted(declared: Any, value: Any) -> Any:
    """Give `value` as a field declared so holds it; a TypeError says that it does not fit."""
    kind, parts = get_origin(declared) or declared, get_args(declared)
    if kind in (UnionType, Union):
        return _first_fit(parts, value)
    if kind is tuple and isinstance(value, (list, tuple)):
        return _converted_parts(parts, value)
    if kind in (int, float) and isinstance(value, bool):
        raise TypeError
    if kind is int:
        return operator.index(value)  # of any library, such as NumPy's
    if kind is float and isinstance(value, Real):
        return float(value)
    if kind is Literal:
        fits = any(type(part) is type(value) and part == value for part in parts)
    else:
        fits = callable(value) if kind is Callable else isinstance(value, kind)
    if not fits:
        raise TypeError
    return value


def _converted_parts(parts: tuple[Any, ...], values: Sequence[Any]) -> tuple[Any, ...]:
    kinds = parts[:1] * len(values) if parts[1:] == (...,) else parts
    if len(kinds) != len(values):
        raise TypeError
    return tuple(_converted(kind, value) for kind, value in zip(kinds, values, strict=True))


def _first_fit(kinds: tuple[Any, ...], value: Any) -> Any:
    for kind in kinds:
        try:
            return _converted(kind, value)
        except TypeError:
            continue
    raise TypeError


def _words(declared: Any, *, many: bool = False) -> str:
    """Name a type, or several values of it, as a person would."""
    *others, last = (_word(choice, many) for choice in _choices(declared))
    return f"{', '.join(others)} or {last}" if others else last


def _choices(declared: Any) -> list[Any]:
    """List the types of a union and the values of a literal."""
    if get_origin(declared) not in (UnionType, Union, Literal):
        return [declared]
    return [choice for part in get_args(declared) for choice in _choices(part)]


def _word(declared: Any, many: bool) -> str:
    kind = get_origin(declared) or declared
    if kind is tuple:
        parts = (part for part in get_args(declared) if part is not ...)
        inner = dict.fromkeys(_words(part, many=True) for part in parts)
        return f"{'tuples' if many else 'a tuple'} of {' and '.join(inner)}"
    if not isinstance(kind, type):
        return repr(kind)  # a value that a Literal names
    named = {bool: "True or False", NoneType: "None", Callable: "a function", Mapping: "a mapping"}
    return named.get(kind) or (_MANY if many else _ONE).get(kind, kind.__name__)
