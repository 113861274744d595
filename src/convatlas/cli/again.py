"""How a verb that was stopped says how to go on."""

import shlex
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from signal import Signals


def stop(
    number: "Signals | None", context: click.Context, *, launcher: str = "", told: bool = True
) -> NoReturn:
    """Say which command goes on with the work, and leave with the exit code of the signal.

    Args:
        number: The signal; None: it is not known, as after a second Ctrl-C.
        context: Of the call.
        launcher: What stood before `convatlas`.
        told: Whether it is this process that speaks.
    """
    if told:
        by = "" if number is None else f" by {number.name}"
        click.echo(f"stopped{by}; to go on: {launcher}{resume_command(context)}", err=True)
    raise click.exceptions.Exit(130 if number is None else 128 + number)


def resume_command(context: click.Context) -> str:
    """Give the command that was called, in the words that were given, with --resume."""
    words = context.command_path.split()
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name not in ("resume", "overwrite"):
            words += _said(parameter, context.params[name])
    return shlex.join([*words, "--resume"])


def _said(parameter: click.Parameter, value: object) -> list[str]:
    if isinstance(value, dict):
        value = tuple(f"{field}={part}" for field, part in value.items())
    values = [str(part) for part in (value if isinstance(value, tuple) else (value,))]
    if isinstance(parameter, click.Argument):
        return values
    option = parameter.opts[0]
    return [option] if value is True else [word for part in values for word in (option, part)]
