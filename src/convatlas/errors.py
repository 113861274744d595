"""Errors that a user can cause, and the names nearest to a misspelt one.

Each says in one line what was given, what is allowed and the nearest valid value. The command
line prints that line and exits with 2; any other exception is a defect of convatlas.
"""

import difflib
from collections.abc import Iterable, Sequence


class UserError(Exception):
    """A mistake in what the caller gave; `str()` is one clear line."""


class UnknownNameError(UserError, KeyError):
    """A name that is in no list."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would print the quotes of repr()


class InputError(UserError, ValueError):
    """A value of the wrong kind, size or range."""


class FileError(UserError, OSError):
    """A file that is missing, unreadable, not what it should be, or that can't be written."""


def unknown(kind: str, name: str, allowed: Iterable[str]) -> UnknownNameError:
    """An error that names the nearest of `allowed`, or all of them when there are few."""
    return UnknownNameError(f"no {kind} named {name!r}{suggest(name, allowed)}")


def suggest(name: str, allowed: Iterable[str]) -> str:
    """Say "; did you mean: a, b?", or list what is allowed when nothing is near."""
    allowed = list(allowed)
    near = difflib.get_close_matches(name, allowed, n=3, cutoff=0.6)
    if near:
        return f"; did you mean: {', '.join(near)}?"
    shown = ", ".join(allowed[:12]) + (", ..." if len(allowed) > 12 else "")
    return f"; there are: {shown}" if allowed else ""


def first_few(names: Sequence[str], count: int = 3) -> str:
    """List the first few names and say how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
