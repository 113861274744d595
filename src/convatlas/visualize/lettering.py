"""The words on a picture: inks, fonts that have the letters, headings that fit."""

import contextlib
import unicodedata
from functools import cache
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
INK, QUIET, PAPER = (28, 30, 34), (104, 108, 116), (255, 255, 255)

# Pillow brings a font with the letters of English; these are looked for where systems keep theirs
_FONTS = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc", "arial.ttf")
_NO_CHARACTER = "\uffff"  # fonts draw it as they draw every character that they lack

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Line(NamedTuple):
    """One line of a heading."""

    text: str
    size: int
    colour: Colour
    height: int


def heading(title: str, subtitle: str, width: int) -> list[Line]:
    """Break a title and what stands in smaller letters below it into lines of `width` pixels."""
    lines = []
    for text, size, colour, height in ((title, 28, INK, 38), (subtitle, 19, QUIET, 28)):
        font = font_for(text, size)
        lines += [Line(line, size, colour, height) for line in _wrapped(text, font, width)]
    return lines


def cut(text: str, font: Font, width: float) -> str:
    """Give as much of one line as `width` pixels hold, with an ellipsis where that is not all."""
    if _length(text, font) <= width:
        return text
    fits = (n for n in range(len(text) - 1, 0, -1) if _length(f"{text[:n]}…", font) <= width)
    return f"{text[: next(fits, 1)]}…"


def measured(text: str, size: int) -> float:
    """Give the width of one line, pixels."""
    return _length(text, font_for(text, size))


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
        if lines and _length(f"{lines[-1]} {word}", font) <= width:
            lines[-1] += f" {word}"
            continue
        while _length(word, font) > width and len(word) > 1:
            fits = (n for n in range(len(word) - 1, 0, -1) if _length(word[:n], font) <= width)
            end = next(fits, 1)
            lines.append(word[:end])
            word = word[end:]
        lines.append(word)
    return lines


def _length(text: str, font: Font) -> float:
    return font.getlength(legible(text, font))


@cache
def _fonts(size: int) -> list[Font]:
    fonts: list[Font] = [ImageFont.load_default(size)]
    for name in _FONTS:
        with contextlib.suppress(OSError):  # not on this machine
            fonts.append(ImageFont.truetype(name, size))
    return fonts


@cache
def _has(font: Font, letter: str) -> bool:
    return letter.isspace() or _drawn(font, letter) != _drawn(font, _NO_CHARACTER)


def _drawn(font: Font, letter: str) -> bytes:
    canvas = Image.new("L", (64, 64))
    ImageDraw.Draw(canvas).text((8, 8), letter, fill=255, font=font)
    return canvas.tobytes()
