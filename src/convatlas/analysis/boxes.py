"""What figures of networks and blocks are drawn with: canvases in inches, boxes, arrows.

Needs matplotlib, the extra `plot`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convatlas.plots import GREY, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# front, top and side of a box; light enough for black lines, and of three greys in print
LOOKS = {
    "conv": ("#bcd7ee", "#dcebf7", "#6ea3cf"),
    "up": ("#a5dcc9", "#d3efe6", "#3fa889"),
    "linear": ("#d5d5d5", "#ebebeb", "#a3a3a3"),
    "pool": ("#f3c879", "#fae4bd", "#cf9020"),
    "image": ("#f7f7f7", "#ffffff", "#e2e2e2"),
}
TALLEST, _WIDEST = 1.2, 0.95  # inches: the highest box, the most room that one takes of a column
_THICKEST, _SLANT = 0.5, 0.3  # parts of a column
_THINNEST, _RISE = 0.035, 0.7  # inches; of the depth, how far the back stands higher
_CUT = 0.016  # inches between two lines through a box, at least


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of boxes: the roots of pixels and channels, so that a map of 1x1 can still be seen.

    Attributes:
        column: Distance of two boxes, in inches.
        pixels: Side of the largest map.
        channels: The most of any map.
    """

    column: float
    pixels: int
    channels: int

    @property
    def _room(self) -> float:
        return min(self.column, _WIDEST)

    def height(self, shape: Sequence[int]) -> float:
        """Give the height of a box in inches."""
        return TALLEST * math.sqrt((shape[1] if len(shape) == 3 else 1) / self.pixels)

    def depth(self, shape: Sequence[int]) -> float:
        """Give how far its back stands to the right, in inches."""
        return self._room * _SLANT * math.sqrt((shape[2] if len(shape) == 3 else 1) / self.pixels)

    def rise(self, shape: Sequence[int]) -> float:
        """Give how far its back stands higher, in inches."""
        return _RISE * self.depth(shape)

    def thickness(self, shape: Sequence[int]) -> float:
        """Give the width of its front in inches."""
        return max(_THINNEST, self._room * _THICKEST * math.sqrt(shape[0] / self.channels))


@dataclass(frozen=True, slots=True)
class Box:
    """A box to draw.

    Attributes:
        left: Of its front, in inches.
        middle: Of its height.
        thick: Width of its front.
        shape: Of the maps: (C, H, W), or (C,).
        kind: A key of LOOKS.
        cuts: Where lines part it, as parts of its thickness.
    """

    left: float
    middle: float
    thick: float
    shape: Sequence[int]
    kind: str
    cuts: Sequence[float] = ()

    def draw(self, axes: "Axes", scale: Scale) -> float:
        """Draw front, top and side; give where it ends at the right."""
        from matplotlib.patches import Polygon

        tall, depth, rise = (f(self.shape) for f in (scale.height, scale.depth, scale.rise))
        left, right, low = self.left, self.left + self.thick, self.middle - tall / 2
        high, back, top = low + tall, right + depth, low + tall + rise
        front, lid, side = LOOKS[self.kind]
        line: dict[str, Any] = {"edgecolor": INK, "linewidth": 0.6, "joinstyle": "round"}
        faces = {
            front: [(left, low), (right, low), (right, high), (left, high)],
            lid: [(left, high), (right, high), (back, top), (left + depth, top)],
            side: [(right, low), (back, low + rise), (back, top), (right, high)],
        }
        for colour, corners in faces.items():
            axes.add_patch(Polygon(corners, closed=True, facecolor=colour, **line))
        for cut in self.cuts if len(self.cuts) * _CUT < self.thick else ():
            x = left + cut * self.thick
            axes.plot([x, x, x + depth], [low, high, top], color=INK, linewidth=0.3)
        return back


def canvas(figure: "Figure", left: float, low: float, width: float, height: float) -> "Axes":
    """Add axes whose unit is an inch, without lines."""
    across, up = figure.get_size_inches()
    axes = figure.add_axes((left / across, low / up, width / across, height / up))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    return axes


def write(axes: "Axes", x: float, y: float, text: str, size: float, **look: Any) -> None:
    """Write around a point; `look` may say otherwise."""
    look = {"ha": "center", "va": "center", "color": INK} | look
    axes.text(x, y, text, fontsize=size, **look)


def draw_arrow(axes: "Axes", start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a thin arrow."""
    look = {"arrowstyle": "-|>,head_width=0.12,head_length=0.22", "color": GREY, "linewidth": 0.7}
    axes.annotate("", end, start, arrowprops=look | {"shrinkA": 0, "shrinkB": 0})


def short(value: int) -> str:
    """Write a number in three digits: 1.58 G."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:#.3g}".rstrip(".") + f" {letter}"
    return str(value)
