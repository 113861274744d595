"""Draw touching cells and their masks: a folder that U-Net can learn from.

python examples/cells.py
convatlas train unet_padded --data segmentation:cells --recipe cells --net width=8 \
    --set tile=128 --epochs 40 --out runs/cells
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

SIDE, IMAGES, TRIES = 192, 24, 120  # pixels; images; places that are tried for a cell

rng = np.random.default_rng(0)
rows, columns = np.mgrid[:SIDE, :SIDE]


def ellipse():
    """Give how far each pixel is from a cell's centre: 1 at its rim."""
    (y, x), (a, b) = rng.uniform(0, SIDE, 2), rng.uniform(11, 19, 2)
    turn = rng.uniform(0, np.pi)
    along = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
    across = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
    return np.hypot(along / a, across / b)


for kind in ("images", "masks"):
    Path("cells", kind).mkdir(parents=True, exist_ok=True)
for number in range(IMAGES):
    mask = np.zeros((SIDE, SIDE), bool)
    grey = 70 + 60 * (columns * rng.uniform(-1, 1) + rows * rng.uniform(-1, 1)) / SIDE  # the lamp
    for _ in range(TRIES):
        distance = ellipse()
        if not (mask & (distance < 1.08)).any():  # the gap between two cells: a pixel or two
            mask |= distance < 1
            grey += (distance < 1) * rng.uniform(30, 70) * (1 - 0.6 * distance**4)
    soft = Image.fromarray(grey.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
    noisy = np.asarray(soft) + rng.normal(0, 9, (SIDE, SIDE))
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(f"cells/images/{number:02}.png")
    Image.fromarray(mask).save(f"cells/masks/{number:02}.png")
print(f"cells/: {IMAGES} images and masks of {SIDE}x{SIDE} pixels")
