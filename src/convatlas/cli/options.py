"""Options that several verbs take."""

import ast
import os
import re
from typing import Any

import click


def _shape(_ctx: click.Context, _param: click.Parameter, text: str | None) -> tuple | None:
    if text is None:
        return None
    if re.fullmatch(r"[1-9]\d{0,5}(x[1-9]\d{0,5}){2}", text) is None:
        raise click.BadParameter(f"{text!r} is no CxHxW, such as 3x224x224")
    return tuple(int(size) for size in text.split("x"))


input_option = click.option(
    "--input",
    "input_shape",
    callback=_shape,
    metavar="CxHxW",
    help="The image, such as 3x224x224; by default that of the paper.",
)


def _values(
    _ctx: click.Context, _param: click.Parameter, settings: tuple[str, ...]
) -> dict[str, Any]:
    values = {}
    for text in settings:
        key, separator, value = text.partition("=")
        if not separator or not key.isidentifier():
            raise click.BadParameter(f"{text!r} is no KEY=VALUE, such as shortcut=A")
        values[key] = parse_value(value.strip())
    return values


def parse_value(text: str) -> Any:
    """Read a number, True, False, None, a tuple such as 3,4,6,3, or else a text."""
    word = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in word:
        return word[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return tuple(value) if isinstance(value, list) else value


set_option = click.option(
    "--set",
    "changes",
    multiple=True,
    callback=_values,
    metavar="KEY=VALUE",
    help="Change a field of the network's spec, such as shortcut=A; may be repeated.",
)

net_option = click.option(
    "--net",
    "overrides",
    multiple=True,
    callback=_values,
    metavar="KEY=VALUE",
    help="Change a field of the network's spec, such as width=16; may be repeated.",
)


def _part(_ctx: click.Context, _param: click.Parameter, text: str) -> float:
    number, percent, rest = text.partition("%")
    try:
        part = float(number) / (100 if percent else 1)
    except ValueError:
        part = -1.0
    if rest.strip() or not 0 <= part <= 1:
        raise click.BadParameter(f"{text!r} is no part such as 1% or 0.01")
    return part


max_bad_option = click.option(
    "--max-bad",
    type=str,
    callback=_part,
    default=0.01,
    show_default="1%",
    metavar="PART",
    help="Go on past images that can't be read, up to this part of a split.",
)


threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=lambda: os.cpu_count() or 1,
    show_default="one for each processor",
    help="Images that are read at the same time.",
)


def tell_left_out(_name: str, reason: str) -> None:
    """Say of an image that can't be read that it does not count."""
    click.echo(f"convatlas evaluate: left out: {reason}", err=True)
