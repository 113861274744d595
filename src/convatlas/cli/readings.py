"""How verbs keep that the test images of a run were read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from convatlas.errors import FileError


def noted(model: str, source: str, root: Path | None, what: Mapping[str, Any], verb: str) -> int:
    """Keep in the folder of a run, and in its report, that its test images were read.

    Returns:
        How often they were read, its own test included; 0 where `model` is of no run, `source`
        holds other images, or the folder can't be written: what was measured is worth more than
        the note, so that is a line and no error.
    """
    from convatlas.evaluate.readings import is_own_test_split, note_reading, run_of
    from convatlas.report.later_readings import renew_readings

    folder = run_of(model)
    try:
        if folder is None or not is_own_test_split(folder, source, root):
            return 0
        count = note_reading(folder, what)
        renew_readings(folder)
        return count
    except FileError as error:
        click.echo(f"convatlas {verb}: not noted: {error}", err=True)
        return 0
