"""The gallery: its page is current, and every method has its picture."""

import sys
from pathlib import Path

import pytest
from PIL import Image

from convatlas.cli.methods import METHODS

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.fixture
def gallery(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(DOCS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import gallery

    return gallery


def test_the_page_is_what_its_command_writes(gallery) -> None:
    written = gallery.PAGE.read_text(encoding="utf-8")
    assert written == gallery.page(), "python docs/gallery.py --page"


def test_every_method_has_a_picture_and_no_picture_is_left_over(gallery) -> None:
    shown = [one for section in gallery.SECTIONS.values() for one in section]
    assert {one.command.split()[0] for one in shown} == set(METHODS)
    assert {f"{one.name}.png" for one in shown} == {p.name for p in gallery.PICTURES.iterdir()}
    for one in shown:
        with Image.open(gallery.PICTURES / f"{one.name}.png") as picture:
            assert min(picture.size) > 200
