"""Arithmetic as papers print it: "3*(3^2 C^2) / (7^2 C^2)"."""

import re
from collections.abc import Mapping
from fractions import Fraction

from convatlas.errors import InputError

_TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|[A-Za-z](?:_[A-Za-z\d])?(?![A-Za-z_])|[-+*/^()])")
_LARGEST_POWER = 64
_LONGEST = 200  # characters


def evaluate(text: str, values: Mapping[str, float] | None = None) -> Fraction:
    """Work out an expression of numbers and letters; letters without a value must cancel.

    ^ is a power. What stands side by side is multiplied first: 49C^2 / 27C^2 is a ratio of two
    products. A letter may have an index: D_K.

    Args:
        text: The expression.
        values: Of letters.

    Raises:
        InputError: It is no such expression, or its value depends on a letter.
    """
    known = {letter: Fraction(str(value)) for letter, value in (values or {}).items()}
    found = {_Parser(text, known, shift).value() for shift in (0, 100, 1000)}
    if len(found) != 1:
        raise InputError(f"the value of {text!r} depends on a letter")
    return found.pop()


class _Parser:
    """Reads an expression from the left; a letter has its value, or its code plus `shift`."""

    def __init__(self, text: str, values: Mapping[str, Fraction], shift: int) -> None:
        self.text, self.values, self.shift = text, values, shift
        self.tokens: list[str] = []
        place = 0
        while text[place:].strip():
            match = _TOKEN.match(text, place)
            if match is None or len(text) > _LONGEST:
                raise self._error()
            self.tokens.append(match[1])
            place = match.end()
        self.tokens.reverse()  # the next one is at the end

    def value(self) -> Fraction:
        """Give the value of the whole text."""
        total = self._sum()
        if self.tokens:
            raise self._error()
        return total

    def _next(self, wanted: str) -> str | None:
        """Take the next token if it is one of the characters wanted."""
        return self.tokens.pop() if self.tokens and self.tokens[-1] in wanted else None

    def _error(self) -> InputError:
        return InputError(f"{self.text!r} is not plain arithmetic")

    def _sum(self) -> Fraction:
        total = self._ratio()
        while sign := self._next("+-"):
            part = self._ratio()
            total += part if sign == "+" else -part
        return total

    def _ratio(self) -> Fraction:
        total = self._product()
        while sign := self._next("*/"):
            part = self._product()
            if sign == "/" and part == 0:
                raise InputError(f"{self.text!r} divides by zero")
            total = total * part if sign == "*" else total / part
        return total

    def _product(self) -> Fraction:
        total = self._power()
        while self.tokens and self.tokens[-1] not in "+-*/^)":
            total *= self._power()
        return total

    def _power(self) -> Fraction:
        base = self._atom()
        if not self._next("^"):
            return base
        exponent = self._power()
        if (
            exponent.denominator != 1
            or abs(exponent) > _LARGEST_POWER
            or (base == 0 and exponent < 0)
        ):
            raise self._error()
        return base ** int(exponent)

    def _atom(self) -> Fraction:
        if self._next("-"):
            return -self._power()
        if self._next("("):
            inner = self._sum()
            if not self._next(")"):
                raise self._error()
            return inner
        token = self.tokens.pop() if self.tokens else ""
        if token[:1].isalpha():
            return self.values.get(token, Fraction(sum(map(ord, token)) + self.shift))
        if token and token[0].isdigit():
            return Fraction(token)
        raise self._error()
