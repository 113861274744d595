"""Where images come from: a name such as "digits", or a folder of pictures."""

from pathlib import Path

from convatlas.data.card import DataCard, Source
from convatlas.data.digits import open_digits
from convatlas.data.splits import Split
from convatlas.errors import unknown

__all__ = ["DataCard", "Source", "Split", "open_source"]

FORMS = ("digits",)


def open_source(text: str, *, root: Path | None = None, seed: int = 0) -> Source:
    """Open a source of images.

    Raises:
        UnknownNameError: There is no such source; the message names the nearest.
    """
    if text == "digits":
        return open_digits()
    raise unknown("data source", text, FORMS)
