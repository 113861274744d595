"""Images of any size through a segmentation network: overlapping tiles, mirrored borders.

Ronneberger et al. 2015, figure 2. Tiles begin at multiples of 16 pixels, so that the poolings of
each stand where those of one pass over the whole image would: the result is the same, but for
rounding, and takes the memory of a tile.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from convatlas.architectures.unet import BORDER, STEP, UNet, UNetSpec
from convatlas.data.mirror import window
from convatlas.data.modes import plain
from convatlas.data.preprocess import Preprocessing
from convatlas.errors import InputError
from convatlas.evaluate.modes import eval_mode

CONTEXT = -(-BORDER // STEP) * STEP  # what a padded network must see around a part: 96 pixels
LEAST_TILE = 2 * CONTEXT + STEP


@dataclass(frozen=True, slots=True)
class Tiling:
    """How images are shown to a segmentation network.

    Attributes:
        tile: Most rows and columns that it is given at once; None: the size of its preprocessing,
            or `LEAST_TILE` where that is smaller.
        turns: 8: average the probabilities over the quarter turns of a tile and of its mirror
            image. Ronneberger et al. 2015, Table 1, average over 7 rotations; which ones, the
            paper does not say.
    """

    tile: int | None = None
    turns: int = 1

    def __post_init__(self) -> None:
        """Refuse another number of turns."""
        if self.turns not in (1, 8):
            raise InputError(f"turns are 1 or 8, not {self.turns}")


PLAIN = Tiling()


@dataclass(frozen=True, slots=True)
class Part:
    """A tile along one axis, in pixels of the image; before 0 and beyond its end it is mirrored.

    Attributes:
        start: Where the network's input begins.
        size: Pixels of the input.
        first: The first pixel whose class is kept.
        stop: The one after the last.
    """

    start: int
    size: int
    first: int
    stop: int

    def kept(self, rim: int) -> slice:
        """Give the kept pixels of the output, which begins `rim` pixels into the input."""
        begin = self.start + rim
        return slice(self.first - begin, self.stop - begin)


def parts(spec: UNetSpec, size: int, tile: int) -> list[Part]:
    """Cut one axis of an image into tiles that give the class of each pixel once.

    Args:
        spec: Of a `UNet`.
        size: Pixels of the image.
        tile: Most pixels that the network is given at once; a legal size is taken.

    Raises:
        InputError: No legal size is as small as `tile`.
    """
    tile -= (tile - spec.least) % STEP
    rim = 0 if spec.padded else BORDER
    whole = _legal(spec, size + 2 * rim)
    if whole <= tile:
        return [Part(-rim, whole, 0, size)]
    if tile < LEAST_TILE:
        raise InputError(
            f"tiles of {max(tile, 0)} pixels are too small for an image of {size}: the network "
            f"sees {BORDER} pixels around each class that it gives; take {LEAST_TILE} or more"
        )
    return _padded(size, tile) if spec.padded else _unpadded(spec, size, tile)


def _legal(spec: UNetSpec, size: int) -> int:
    """Give the least legal size that is not below `size`."""
    return spec.least + -(-max(0, size - spec.least) // STEP) * STEP


def _unpadded(spec: UNetSpec, size: int, tile: int) -> list[Part]:
    found, step = [], (tile - 2 * BORDER) // STEP * STEP
    for first in range(0, size, step):
        length = min(tile, _legal(spec, size - first + 2 * BORDER))
        found.append(Part(first - BORDER, length, first, min(first + step, size)))
    return found


def _padded(size: int, tile: int) -> list[Part]:
    """Cut so that a tile has context at each side where the image goes on."""
    whole = -(-size // STEP) * STEP
    found, first = [], 0
    while first < size:
        start = max(0, min(first - CONTEXT, whole - tile))
        stop = size if start + tile >= whole else start + tile - CONTEXT
        found.append(Part(start, tile, first, stop))
        first = stop
    return found


def tiled_logits(
    model: nn.Module,
    pixels: np.ndarray,
    preprocessing: Preprocessing,
    tiling: Tiling = PLAIN,
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Give the scores of each class at each pixel of an image of any size, part by part.

    Args:
        model: A U-Net, padded or not; runs in evaluation mode on the device it is on.
        pixels: (H, W, C), uint8.
        preprocessing: Normalises them; its size is that of the tiles if `tiling` has none.
        tiling: The size of tiles, and how often each is seen.

    Yields:
        Rows and columns of a part, and its scores (classes, h, w), float32, on the CPU. Together
        they are what one pass over the whole image, mirrored at its borders, would give.

    Raises:
        InputError: No segmentation network; tiles that are smaller than what it must see; an
            image without pixels.
    """
    spec = spec_of(model)
    sizes = [max(size, LEAST_TILE) for size in preprocessing.size]
    if tiling.tile is not None:
        sizes = [tiling.tile, tiling.tile]
    if not pixels.size:
        raise InputError(f"an image without pixels can't be segmented: {pixels.shape}")
    rows, columns = (
        parts(spec, size, most) for size, most in zip(pixels.shape[:2], sizes, strict=True)
    )
    weight = next(model.parameters())
    with eval_mode(model), torch.inference_mode():
        for row in rows:
            for column in columns:
                inside = preprocessing.normalized(_inside(pixels, row, column)[None]).to(weight)
                inside = inside.contiguous(memory_format=torch.channels_last)
                logits = (
                    (model(inside) if tiling.turns == 1 else _turned(model, inside))[0]
                    .float()
                    .cpu()
                )
                rim = 0 if spec.padded else BORDER
                kept = logits[:, row.kept(rim), column.kept(rim)]
                yield slice(row.first, row.stop), slice(column.first, column.stop), kept


def segment_logits(
    model: nn.Module,
    pixels: np.ndarray,
    preprocessing: Preprocessing,
    tiling: Tiling = PLAIN,
) -> Tensor:
    """Give the scores of all pixels at once: (classes, H, W); see `tiled_logits`."""
    result = torch.empty(0)
    for rows, columns, logits in tiled_logits(model, pixels, preprocessing, tiling):
        if not result.numel():
            result = torch.empty(len(logits), *pixels.shape[:2])
        result[:, rows, columns] = logits
    return result


def segment(
    model: nn.Module,
    pixels: np.ndarray,
    preprocessing: Preprocessing,
    tiling: Tiling = PLAIN,
) -> np.ndarray:
    """Give the most probable class of each pixel, (H, W), uint8; see `tiled_logits`.

    The memory is that of one tile, whatever the size of the image.

    Raises:
        InputError: The network gives scores that are not finite.
    """
    result = np.empty(pixels.shape[:2], np.uint8)
    for rows, columns, logits in tiled_logits(model, pixels, preprocessing, tiling):
        check_finite(logits)
        result[rows, columns] = logits.argmax(dim=0).numpy()
    return result


def pixels_of(image: Image.Image, preprocessing: Preprocessing) -> np.ndarray:
    """Give an image in the colours of a network, in its own size: (H, W, C), uint8."""
    array = np.asarray(plain(image).convert(preprocessing.mode))
    return array.reshape(image.height, image.width, -1)


def spec_of(model: nn.Module) -> UNetSpec:
    """Give the spec of a network that gives a class to each pixel.

    Raises:
        InputError: It gives one to each image.
    """
    model = getattr(model, "_orig_mod", model)  # torch.compile gives a network around ours
    if not isinstance(model, UNet):
        made = getattr(model, "created_as", {})
        raise InputError(
            f"{made.get('name', type(model).__name__)} gives classes to images, not to pixels; "
            "unet and unet_padded segment"
        )
    return model.spec


def check_finite(logits: Tensor) -> None:
    """Refuse scores that no class can be chosen by.

    Raises:
        InputError: One is nan or infinite.
    """
    if not torch.isfinite(logits).all():
        raise InputError(
            "the network gives scores that are not finite (nan or infinity): its weights or its "
            "input are broken"
        )


def _turned(model: nn.Module, images: Tensor) -> Tensor:
    """Give the logarithm of the mean probabilities over 8 turns and mirrors of (N, C, H, W)."""
    total = torch.zeros(())
    for quarters in range(4):
        for mirror in ((), (3,)):
            logits = model(images.rot90(quarters, (2, 3)).flip(mirror))
            total = total + logits.float().softmax(dim=1).flip(mirror).rot90(-quarters, (2, 3))
    return (total / 8).clamp(min=torch.finfo(torch.float32).tiny).log()


def _inside(pixels: np.ndarray, row: Part, column: Part) -> np.ndarray:
    """Give what the network sees of an image that is mirrored at its borders."""
    return window(pixels, row.start, column.start, row.size, column.size)
