"""Images of touching discs, with their masks: cells that are easy to draw and hard to part."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from convatlas.data.segmentation import SegmentationSource, open_segmentation

PARTS = {"train": 16, "val": 4, "test": 24}  # images
RADII = (7, 13)  # pixels
GAP = (2.0, 3.0)  # pixels between discs that touch: one or two pixels of background
DARK, BRIGHT, SPREAD, NOISE = 90, 150, 14.0, 14.0  # grey values
BLUR = 1.0  # pixels
FULL = 0.6  # share of the image that discs cover at most
TRIES = 400


def draw_discs(
    folder: Path, side: int, *, blur: float = BLUR, noise: float = NOISE, seed: int = 0
) -> SegmentationSource:
    """Write images and masks as PNG files, and open them.

    The images are the same for each seed of a study: seeds are of the network.

    Args:
        folder: Where to; files that are there are written anew.
        side: Height and width of images, in pixels.
        blur: See `drawn`.
        noise: Likewise.
        seed: Of the images.
    """
    rng = np.random.default_rng(seed)
    for part, count in PARTS.items():
        for kind in ("images", "masks"):
            (folder / part / kind).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            image, mask = drawn(side, rng, blur, noise)
            for kind, pixels in (("images", image), ("masks", 255 * mask)):
                Image.fromarray(pixels).save(folder / part / kind / f"{i:02}.png")
    return open_segmentation(f"segmentation:{folder}")


def drawn(
    side: int, rng: np.random.Generator, blur: float = BLUR, noise: float = NOISE
) -> tuple[np.ndarray, np.ndarray]:
    """Draw an image, (side, side), uint8, and its mask: 1 in discs, no two of which touch.

    Args:
        side: Height and width, in pixels.
        rng: Of places, sizes, greys and noise.
        blur: Standard deviation in pixels; the wider, the fainter are the gaps.
        noise: Standard deviation of the grey of a pixel.
    """
    discs = _placed(side, rng)
    rows, columns = np.mgrid[:side, :side]
    mask = np.zeros((side, side), np.uint8)
    bright = np.full((side, side), DARK, np.float64)
    for row, column, radius in discs:
        inside = np.hypot(rows - row, columns - column) <= radius
        mask[inside] = 1
        bright[inside] = BRIGHT + rng.normal(0, SPREAD)
    soft = Image.fromarray(bright.clip(0, 255).astype(np.uint8))
    soft = np.asarray(soft.filter(ImageFilter.GaussianBlur(blur)), np.float64)
    noisy = soft + rng.normal(0, noise, soft.shape)
    return noisy.clip(0, 255).astype(np.uint8), mask


def _placed(side: int, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Place discs, most of them against one that is there: (row, column, radius) of each."""
    discs = [(*rng.uniform(0, side, 2), rng.uniform(*RADII))]
    for _ in range(TRIES):
        radius = rng.uniform(*RADII)
        row, column, other = discs[rng.integers(len(discs))]
        angle, away = rng.uniform(0, 2 * np.pi), radius + other + rng.uniform(*GAP)
        new = (row + away * np.sin(angle), column + away * np.cos(angle), radius)
        inside = all(0 <= place < side for place in new[:2])
        free = all(
            np.hypot(new[0] - r, new[1] - c) >= radius + size + GAP[0] for r, c, size in discs
        )
        if inside and free:
            discs.append(new)
        if np.pi * sum(size**2 for *_, size in discs) > FULL * side**2:
            break
    return discs
