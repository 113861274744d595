"""A page of words, pictures and lines, and the two kinds of file it becomes: PNG and SVG."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from convatlas.visualize.lettering import (
    INK,
    PAPER,
    QUIET,
    Colour,
    Line,
    cut,
    font_for,
    legible,
    measured,
)

Anchor = Literal["top", "middle", "baseline"]
Align = Literal["left", "middle", "right"]
_FAMILY = "Aileron, Helvetica, Arial, 'DejaVu Sans', sans-serif"  # Pillow's own font is Aileron


@dataclass(frozen=True, slots=True)
class _Words:
    text: str
    left: float
    baseline: float
    size: int
    colour: Colour

    def paint(self, canvas: Image.Image) -> None:
        font = font_for(self.text, self.size)
        corner, words = (self.left, self.baseline), legible(self.text, font)
        ImageDraw.Draw(canvas).text(corner, words, fill=self.colour, font=font, anchor="ls")

    def svg(self, _number: str) -> str:
        # a viewer's font may be wider: the words keep the room that was measured for them
        length = f"{measured(self.text, self.size):.1f}"
        place = f'x="{self.left:g}" y="{self.baseline:g}" font-size="{self.size}"'
        fit = f'textLength="{length}" lengthAdjust="spacingAndGlyphs"'
        return f'<text {place} fill="{_css(self.colour)}" {fit}>{escape(self.text)}</text>'


@dataclass(frozen=True, slots=True)
class _Placed:
    picture: Image.Image
    left: int
    top: int

    def paint(self, canvas: Image.Image) -> None:
        canvas.paste(self.picture, (self.left, self.top))

    def svg(self, _number: str) -> str:
        buffer = io.BytesIO()
        self.picture.save(buffer, format="PNG", optimize=True)
        held = base64.b64encode(buffer.getvalue()).decode()
        width, height = self.picture.size
        place = f'x="{self.left}" y="{self.top}" width="{width}" height="{height}"'
        return f'<image {place} href="data:image/png;base64,{held}"/>'


@dataclass(frozen=True, slots=True)
class _Box:
    left: int
    top: int
    right: int  # its last pixel
    bottom: int
    outline: Colour | None
    width: int
    fill: Colour | None

    def paint(self, canvas: Image.Image) -> None:
        box = (self.left, self.top, self.right, self.bottom)
        pen = ImageDraw.Draw(canvas)
        pen.rectangle(box, fill=self.fill, outline=self.outline, width=self.width)

    def svg(self, _number: str) -> str:
        half = self.width / 2 if self.outline else 0.0  # SVG draws a line around its middle
        width, height = self.right + 1 - self.left, self.bottom + 1 - self.top
        place = f'x="{self.left + half:g}" y="{self.top + half:g}"'
        size = f'width="{width - 2 * half:g}" height="{height - 2 * half:g}"'
        fill = _css(self.fill) if self.fill else "none"
        line = f' stroke="{_css(self.outline)}" stroke-width="{self.width}"' if self.outline else ""
        return f'<rect {place} {size} fill="{fill}"{line}/>'


@dataclass(frozen=True, slots=True)
class _Ramp:
    colours: NDArray[np.uint8]  # from the top to the bottom, at equal distances
    left: int
    top: int
    width: int
    height: int

    def paint(self, canvas: Image.Image) -> None:
        at = np.linspace(0, len(self.colours) - 1, self.height)
        known = np.arange(len(self.colours))
        rows = np.stack([np.interp(at, known, self.colours[:, c]) for c in range(3)], axis=1)
        column = rows.round().astype(np.uint8)[:, None]
        canvas.paste(Image.fromarray(column.repeat(self.width, axis=1)), (self.left, self.top))

    def svg(self, number: str) -> str:
        last = len(self.colours) - 1
        stops = "".join(
            f'<stop offset="{i / last:g}" stop-color="{_css(colour)}"/>'
            for i, colour in enumerate(self.colours.tolist())
        )
        name = f"ramp{number}"
        place = f'x="{self.left}" y="{self.top}" width="{self.width}" height="{self.height}"'
        ramp = f'<linearGradient id="{name}" x1="0" y1="0" x2="0" y2="1">{stops}</linearGradient>'
        return f'{ramp}<rect {place} fill="url(#{name})"/>'


@dataclass(frozen=True, slots=True)
class _Part:
    page: "Page"
    left: int
    top: int

    def paint(self, canvas: Image.Image) -> None:
        canvas.paste(self.page.image(), (self.left, self.top))

    def svg(self, number: str) -> str:
        inside = "\n".join(self.page.elements(f"{number}-"))
        return f'<g transform="translate({self.left} {self.top})">\n{inside}\n</g>'


@dataclass(slots=True)
class Page:
    """What is drawn, and where; `image` and `svg` draw it.

    Attributes:
        width: In pixels.
        height: In pixels.
        title: What is shown, for those who can't see it.
        about: More of the same.
    """

    width: int
    height: int
    title: str = ""
    about: str = ""
    _marks: list[_Words | _Placed | _Box | _Ramp | _Part] = field(default_factory=list, repr=False)

    def write(
        self,
        text: str,
        corner: tuple[float, float],
        size: int = 15,
        *,
        colour: Colour = QUIET,
        anchor: Anchor = "top",
        align: Align = "left",
        width: float | None = None,
    ) -> None:
        """Write words at `corner` (x, y), cut where they would be wider than `width`.

        Args:
            text: One line.
            corner: Where they stand, in pixels from the top left.
            size: Of the letters, pixels.
            colour: RGB.
            anchor: What of the line stands at y.
            align: What of it stands at x.
            width: In pixels.
        """
        if not text:
            return
        font = font_for(text, size)
        metrics = font.getmetrics() if isinstance(font, ImageFont.FreeTypeFont) else (size, 0)
        above, below = metrics
        drop = {"top": above, "middle": (above - below) / 2, "baseline": 0}[anchor]
        shown = text if width is None else cut(text, font, width)
        left = corner[0] - {"left": 0, "middle": 0.5, "right": 1}[align] * measured(shown, size)
        self._marks.append(_Words(shown, left, corner[1] + drop, size, colour))

    def write_heading(self, lines: Sequence[Line], corner: tuple[int, int]) -> None:
        """Write the lines of a heading, the first one at `corner` (x, y)."""
        x, y = corner
        for line in lines:
            self.write(line.text, (x, y), line.size, colour=line.colour)
            y += line.height

    def place(self, picture: Image.Image, corner: tuple[int, int]) -> None:
        """Put a picture there with its top left pixel at `corner` (x, y)."""
        self._marks.append(_Placed(picture, *corner))

    def put(self, page: "Page", corner: tuple[int, int]) -> None:
        """Put another page there, with its top left corner at `corner` (x, y)."""
        self._marks.append(_Part(page, *corner))

    def box(
        self,
        edges: tuple[int, int, int, int],
        outline: Colour | None = INK,
        *,
        width: int = 1,
        fill: Colour | None = None,
    ) -> None:
        """Draw a rectangle.

        Args:
            edges: First column, first row, last column, last row.
            outline: Its colour.
            width: Of the outline, which lies inside.
            fill: Colour of the inside.
        """
        self._marks.append(_Box(*edges, outline, width, fill))

    def ramp(
        self, colours: NDArray[np.uint8], corner: tuple[int, int], size: tuple[int, int]
    ) -> None:
        """Blend colours from the top to the bottom of a rectangle.

        Args:
            colours: (K, 3), at equal distances.
            corner: Its top left pixel, (x, y).
            size: Width and height.
        """
        self._marks.append(_Ramp(colours, *corner, *size))

    def image(self) -> Image.Image:
        """Draw it as pixels, RGB."""
        canvas = Image.new("RGB", (self.width, self.height), PAPER)
        for mark in self._marks:
            mark.paint(canvas)
        return canvas

    def svg(self) -> str:
        """Draw it as an SVG document: words and lines are vectors, pictures are held as PNG."""
        size = f'width="{self.width}" height="{self.height}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" '
                f'viewBox="0 0 {self.width} {self.height}" font-family={quoteattr(_FAMILY)}>',
                f"<title>{escape(self.title)}</title>",
                f"<desc>{escape(self.about)}</desc>",
                f'<rect width="100%" height="100%" fill="{_css(PAPER)}"/>',
                *self.elements(),
                "</svg>\n",
            ]
        )

    def elements(self, prefix: str = "") -> list[str]:
        """Give what stands on the page as elements of SVG, whose names begin with `prefix`."""
        return [mark.svg(f"{prefix}{number}") for number, mark in enumerate(self._marks)]


def stacked(pages: Sequence[Page], title: str, about: str = "") -> Page:
    """Set pages below each other."""
    whole = Page(max(p.width for p in pages), sum(p.height for p in pages), title, about)
    top = 0
    for page in pages:
        whole.put(page, (0, top))
        top += page.height
    return whole


def _css(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{value:02x}" for value in colour)
