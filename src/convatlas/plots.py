"""How every chart of convatlas is drawn and written. Needs matplotlib, the extra `plot`."""

import contextlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convatlas.errors import InputError
from convatlas.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")
# Okabe & Ito 2008: colours that the colour-blind can tell apart
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#666666")
INK, GREY = "#222222", "#6b6b6b"

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "convatlas",
    "svg.fonttype": "none",  # text stays text: a tenth of the size, and it can be searched and read
    "font.family": "DejaVu Sans",
    "font.size": 9,
}


def check_chart(path: str | Path) -> None:
    """Refuse a file that no chart can be drawn to, before anything is computed for it.

    Raises:
        InputError: It is neither .png nor .svg, or matplotlib is missing.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise InputError(f"a chart is a {' or '.join(FORMATS)} file, not {Path(path).name!r}")
    try:
        importlib.import_module("matplotlib")
    except ImportError as error:
        raise InputError("a chart needs matplotlib: pip install 'convatlas[plot]'") from error


def write_chart(
    path: str | Path, draw: Callable[[], "Figure"], dpi: int = 160, description: str = ""
) -> None:
    """Write what `draw` draws, whole or not at all; equal charts are equal files.

    Args:
        path: A .png or .svg file, which `check_chart` has let pass.
        draw: Makes the figure; runs in the style of all charts, without changing anybody's own.
        dpi: Dots an inch of a .png.
        description: What is drawn, in words, kept in the file for those who can't see it.

    Raises:
        InputError: As `check_chart`.
        FileError: The file can't be written.
    """
    check_chart(path)
    import matplotlib as mpl

    kind = Path(path).suffix.lower()
    stamp: dict[str, Any] = {"Description": description} if description else {}
    if kind == ".svg":
        stamp["Date"] = None
    with contextlib.ExitStack() as stack:
        stack.enter_context(mpl.rc_context(_STYLE))
        aside = stack.enter_context(whole_file(path))
        draw().savefig(aside, format=kind[1:], dpi=dpi, metadata=stamp)
