"""The command line: a thin skin that parses, calls one function and prints.

Each verb is the command `command` in a file of its own, loaded when it is asked for. A file
imports only click at its top, and what it needs inside its functions, so that `--help` is quick.

Exit codes: 0 success, 1 a check failed, 2 bad usage or bad input, 130 and 143 stopped by SIGINT
and SIGTERM.
"""

import contextlib
import importlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Generator
from typing import NoReturn

import click

from convatlas import __version__
from convatlas.errors import UserError, suggest

VERBS = {
    "list": "list_networks",
    "show": "show",
    "compare": "compare",
    "diff": "diff",
    "budget": "budget",
    "claims": "claims",
    "recipe": "recipe",
    "data": "data",
    "train": "train",
    "evaluate": "evaluate",
    "predict": "predict",
    "segment": "segment",
    "features": "features",
    "runs": "runs",
    "push": "push",
    "visualize": "visualize",
    "study": "study",
    "fetch": "fetch",
    "convert": "convert",
    "export": "export",
    "bench": "bench",
}


class Verbs(click.Group):
    """A group that loads a verb's file when it is needed and knows the nearest verb."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """List the verbs in the order in which a user meets them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load the file of a verb."""
        if cmd_name not in VERBS:
            return None
        return importlib.import_module(f"convatlas.cli.{VERBS[cmd_name]}").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest verbs when one is misspelt."""
        if args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(f"no verb named {args[0]!r}{suggest(args[0], VERBS)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="convatlas")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def convatlas(debug: bool) -> None:
    """Every landmark convolutional network, faithful to its paper, checked by machine.

    \b
    convatlas list                                   every network, its cost and its paper
    convatlas show resnet50                          layer by layer
    convatlas train lenet5_modern --data digits      train, in a minute
    """  # noqa: D301


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: errors of the user are one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal's encoding lacks is no error
            stream.reconfigure(errors="backslashreplace")
    args = sys.argv[1:] if args is None else list(args)
    debug = "--debug" in args  # allowed anywhere, also behind the verb
    args = [arg for arg in args if arg != "--debug"]
    if args[:1] != ["bench"]:  # whose processes compute one at a time, as a program would
        # threads that wait in a busy loop slow small networks down tenfold where cores are shared
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        # not convatlas.main(): it takes a broken pipe for a failure
        with (
            _warnings_as_lines(),
            convatlas.make_context("convatlas", args or ["--help"]) as ctx,
        ):
            code = convatlas.invoke(ctx)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:
        code = exit_.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = _fail("stopped", debug, 130)
    except click.ClickException as error:
        code = _fail(" ".join(error.format_message().split()), debug, 2, _verb(error))
    except UserError as error:
        code = _fail(str(error), debug, 2)
    except MemoryError:
        code = _fail("memory ran out: free some, or take smaller images or batches", debug, 2)
    except BrokenPipeError:
        code = _without_reader()
    except SystemExit as exit_:  # rich leaves so when a pipe breaks
        if not isinstance(exit_.__context__, BrokenPipeError):
            raise
        code = _without_reader()
    except OSError as error:
        where = error.filename or "can't write the output"
        code = _fail(f"{where}: {error.strerror or error}", debug, 2)
    sys.exit(code if isinstance(code, int) else 0)


@contextlib.contextmanager
def _warnings_as_lines() -> Generator[None]:
    """Let a warning be a line, without the place in the code where it arose."""
    with warnings.catch_warnings():
        # Python documents that any callable will do; ty wants the very signature
        warnings.showwarning = _warn  # ty: ignore[invalid-assignment]
        yield


def _warn(text: Warning | str, *_: object, **__: object) -> None:
    click.echo(f"convatlas: {' '.join(str(text).split())}", err=True)


def _without_reader() -> int:
    """Let the rest go nowhere: `convatlas list | head` is no error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _verb(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    return f" {ctx.info_name}" if ctx is not None and ctx.parent is not None else ""


def _fail(message: str, debug: bool, code: int, verb: str = "") -> int:
    if debug:
        traceback.print_exc()
    click.echo(f"convatlas{verb}: {message}", err=True)
    return code
