"""Options that several verbs take."""

import re

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
