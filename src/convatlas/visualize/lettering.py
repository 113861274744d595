"""The words on a picture: inks, fonts that have the letters, headings that fit."""

import contextlib
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

INK, QUIET, PAPER = (28, 30, 34), (104, 108, 116), (255, 255, 255)

# Pillow brings a font with the letters of English; these are looked for where systems keep theirs
_FONTS = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc", "arial.ttf")
_NO_CHARACTER = "\uffff"  # fonts draw it as they draw every character that they lack

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Line(NamedTuple):
    """One line of a heading."""

    text: str
    font: Font
    colour: tuple[int, int, int]
    height: int


def heading(title: str, subtitle: str, width: int) -> list[Line]:
    """Break a title and what stands in smaller letters below it into lines of `width` pixels."""
    lines = []
    for text, size, colour, height in ((title, 28, INK, 38), (subtitle, 19, QUIET, 28)):
        font = font_for(text, size)
        shown = _wrapped(legible(text, font), font, width)
        lines += [Line(line, font, colour, height) for line in shown]
    return lines


def set_heading(pen: ImageDraw.ImageDraw, lines: Sequence[Line], corner: tuple[int, int]) -> None:
    """Write the lines of a heading, the first one at `corner` (x, y)."""
    x, y = corner
    for line in lines:
        pen.text((x, y), line.text, fill=line.colour, font=line.font)
        y += line.height


def set_caption(
    pen: ImageDraw.ImageDraw, text: str, corner: tuple[int, int], width: int, size: int = 15
) -> None:
    """Write a few words at `corner` (x, y), cut with an ellipsis where `width` is too small."""
    font = font_for(text, size)
    text = legible(text, font)
    if font.getlength(text) > width:
        fits = (n for n in range(len(text) - 1, 0, -1) if font.getlength(f"{text[:n]}…") <= width)
        text = f"{text[: next(fits, 1)]}…"
    pen.text(corner, text, fill=QUIET, font=font)


def font_for(text: str, size: int) -> Font:
    """Give Pillow's own font, or where it lacks letters of `text` the font that lacks fewest."""
    letters = set(text)
    return min(_fonts(size), key=lambda font: sum(not _has(font, letter) for letter in letters))


def legible(text: str, font: Font) -> str:
    """Leave out the accents that no font of this machine has."""
    found = []
    for letter in text:
        parts = (part for part in unicodedata.normalize("NFKD", letter) if _has(font, part))
        found.append(letter if _has(font, letter) else "".join(parts) or letter)
    return "".join(found)


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    """Break `text` into lines of at most `width` pixels: between words, or inside a long one."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        while font.getlength(word) > width and len(word) > 1:
            fits = (n for n in range(len(word) - 1, 0, -1) if font.getlength(word[:n]) <= width)
            cut = next(fits, 1)
            lines.append(word[:cut])
            word = word[cut:]
        lines.append(word)
    return lines


@cache
def _fonts(size: int) -> list[Font]:
    fonts: list[Font] = [ImageFont.load_default(size)]
    for name in _FONTS:
        with contextlib.suppress(OSError):  # not on this machine
            fonts.append(ImageFont.truetype(name, size))
    return fonts


def _has(font: Font, letter: str) -> bool:
    return letter.isspace() or _drawn(font, letter) != _drawn(font, _NO_CHARACTER)


def _drawn(font: Font, letter: str) -> bytes:
    canvas = Image.new("L", (64, 64))
    ImageDraw.Draw(canvas).text((8, 8), letter, fill=255, font=font)
    return canvas.tobytes()
