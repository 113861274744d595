"""Changes of an image and its mask together: elastic deformation, turns, other greys.

Ronneberger et al. 2015, section 3.1. A `Deform` moves the places at which image and mask are read,
so both get the same field and are interpolated once; `Greys` changes the image alone. Frozen data
that takes all its chance from a generator; no torch here, for recipes are made of these.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from convatlas.data.mirror import bilinear
from convatlas.errors import InputError


@runtime_checkable
class Movement(Protocol):
    """What moves the pixels of an image, and those of its mask alike."""

    def moved(
        self, rows: np.ndarray, columns: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give the places to read instead, (h, w) each, counted from the middle of a tile."""
        ...


@runtime_checkable
class Colouring(Protocol):
    """What changes the values of an image and moves none."""

    def coloured(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Give the changed values, (h, w, channels), float32, in 0..255."""
        ...


@dataclass(frozen=True, slots=True)
class Deform:
    """Turn, mirror, scale and deform elastically, about the middle of the tile.

    Displacements are drawn for a coarse grid that spans the tile from corner to corner, and
    interpolated bicubically for the pixels between (section 3.1).

    Attributes:
        std: Standard deviation of the displacements of the grid's points, pixels along each axis.
        points: Points of the grid along each axis.
        degrees: Turned by up to this many degrees either way, uniformly.
        mirror: Mirror left and right every second time.
        scale: Least and greatest factor, drawn uniformly.
    """

    std: float = 10.0
    points: int = 3
    degrees: float = 180.0
    mirror: bool = True
    scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        """Refuse what no field can be drawn from."""
        low, high = self.scale
        if not (self.std >= 0 and 0 <= self.degrees <= 180 and 0 < low <= high):
            raise InputError(
                f"Deform takes std >= 0, degrees of 0 to 180 and 0 < low <= high: {self}"
            )
        if self.points < 3:
            raise InputError(f"Deform takes a grid of at least 3 points a side, not {self.points}")

    def moved(
        self, rows: np.ndarray, columns: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give the places to read instead, (h, w) each, counted from the middle of a tile."""
        angle = math.radians(self.degrees) * rng.uniform(-1, 1)
        side = -1 if self.mirror and rng.random() < 0.5 else 1
        factor = rng.uniform(*self.scale)
        grid = rng.normal(0.0, self.std, (2, self.points, self.points))
        down, right = displacements(grid, rows.shape)
        rows, columns = (rows + down) / factor, side * (columns + right) / factor
        cos, sin = math.cos(angle), math.sin(angle)
        return cos * rows + sin * columns, cos * columns - sin * rows

    def __call__(
        self,
        image: Image.Image,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> Image.Image:
        """Give the deformed image, of the same size; beyond its borders it is mirrored."""
        pixels = np.asarray(image).reshape(image.height, image.width, -1)
        middle = (image.height - 1) / 2, (image.width - 1) / 2
        rows, columns = places(image.height, image.width)
        rows, columns = self.moved(rows, columns, rng)
        return _picture(bilinear(pixels, rows + middle[0], columns + middle[1]))


@dataclass(frozen=True, slots=True)
class Greys:
    """Vary the grey values of an image: its contrast, its brightness and its gamma.

    The paper varies grey values and doesn't print how; one draw an image, the same for each
    channel, cut to 0..255.

    Attributes:
        contrast: Values are stretched about their mean by a factor of e to the power of up to
            this, either way.
        brightness: Shifted by up to this many standard deviations of the image either way.
        gamma: Raised, as fractions of the range, to e to the power of up to this, either way.
    """

    contrast: float = 0.2
    brightness: float = 0.2
    gamma: float = 0.0

    def __post_init__(self) -> None:
        """Refuse negative ranges."""
        if min(self.contrast, self.brightness, self.gamma) < 0:
            raise InputError(f"Greys takes ranges of at least 0: {self}")

    def coloured(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Give the changed values, (h, w, channels), float32, in 0..255."""
        ranges = (self.contrast, self.brightness, self.gamma)
        contrast, brightness, gamma = rng.uniform(-1, 1, 3) * ranges
        values = (pixels / 255) ** math.exp(gamma)
        mean, std = values.mean(), values.std()
        values = (values - mean) * math.exp(contrast) + mean + brightness * std
        return (255 * values.clip(0, 1)).astype(np.float32)

    def __call__(
        self,
        image: Image.Image,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> Image.Image:
        """Give the image in its new values."""
        pixels = np.asarray(image).reshape(image.height, image.width, -1)
        return _picture(self.coloured(pixels.astype(np.float32), rng))


def places(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the rows and the columns of a tile's pixels, counted from its middle: (h, w) each."""
    rows = np.arange(height, dtype=np.float32) - (height - 1) / 2
    columns = np.arange(width, dtype=np.float32) - (width - 1) / 2
    grid = np.meshgrid(rows, columns, indexing="ij")
    return grid[0], grid[1]


def displacements(grid: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Interpolate displacements bicubically from the points of a grid (Keys 1981).

    The grid's outer points stand on the outer pixels. Keys' boundary condition holds beyond them,
    so that any quadratic field comes out exactly.

    Args:
        grid: (axes, points, points).
        size: Height and width.

    Returns:
        (axes, height, width), float32; at the points of the grid it has the grid's values.
    """
    down = _cubic(grid.shape[1], size[0])
    right = _cubic(grid.shape[2], size[1])
    return (down @ grid @ right.T).astype(np.float32)


def _cubic(points: int, size: int) -> np.ndarray:
    """Give the weight of each point for each pixel of a line, (size, points)."""
    place = np.linspace(0, points - 1, size)
    # one point more at each end: c[-1] = 3 c[0] - 3 c[1] + c[2] (Keys 1981, equations 25 and 26)
    ends = np.zeros((points + 2, points))
    ends[1:-1] = np.eye(points)
    ends[0, :3] = ends[-1, :-4:-1] = 3, -3, 1
    distance = np.abs(place[:, None] - np.arange(-1, points + 1))
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    return weights @ ends


def _picture(values: np.ndarray) -> Image.Image:
    pixels = values.round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
