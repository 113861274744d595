"""What should a network see beyond the border of an image? Its mirror image, or nothing.

Ronneberger, Fischer and Brox 2015, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", 1505.04597: section 2, Figure 2. The images are our own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from convatlas.architectures.unet import BORDER, STEP
from convatlas.catalog import build, spec_of
from convatlas.data.segmentation import SegmentationSplit
from convatlas.evaluate.tiling import LEAST_TILE, Tiling, pixels_of, segment_logits
from convatlas.recipe import Adam, Recipe, to_dict
from convatlas.recipes.unet import RECIPES
from convatlas.schedules import Cosine
from convatlas.studies import discs
from convatlas.studies.charts import COLOURS, PERCENT, figure
from convatlas.studies.checks import at_most
from convatlas.studies.discs import draw_discs
from convatlas.studies.lab import Lab, Trained
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study
from convatlas.train.segmentation import make_segmentation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "U-Net"
WIDTHS = {"small": 4, "paper": 64}
SIDE = 164  # of images; with 92 pixels at each side a legal size, so that no more is added
TILES = {"small": 252, "paper": 572}  # of what the network learns from
BAND = 8  # pixels from the border
NOISE = 50.0  # so much that a pixel is known only by those around it
BORDERS = ("mirror", "black", "grey")  # what is beyond the image
EPOCHS = 25
_SMALL = Recipe(
    where="our own, for minutes",
    batch_size=1,
    epochs=EPOCHS,
    optimizer=Adam(2e-3),
    schedule=Cosine(EPOCHS),
)


def cases(scale: Scale) -> list[Case]:
    """Give one network, whose test images are continued in two ways."""
    recipe = _SMALL if scale == "small" else RECIPES["isbi"]
    settings = {
        "network": ["unet", WIDTHS[scale]],
        "recipe": to_dict(recipe),
        "discs": [discs.PARTS, discs.RADII, discs.GAP, NOISE, discs.BLUR, SIDE],
        "tile": TILES[scale],
        "band": BAND,
        "borders": BORDERS,
    }
    return [Case(NAME, partial(_measure, scale=scale, recipe=recipe), settings)]


def _measure(lab: Lab, *, scale: Scale, recipe: Recipe) -> Mapping[str, Any]:
    source = draw_discs(lab.folder / "discs", SIDE, noise=NOISE)
    tile = TILES[scale]
    recipe = replace(recipe, tile=tile)
    task = make_segmentation("unet", spec_of("unet"), source, (tile, tile), recipe)
    make = partial(build, "unet", 2, 1, width=WIDTHS[scale], dropout=0.0)
    trained = lab.train(make, recipe, source, task=task)
    return {**trained.measures(), **borders(trained, source.test)}


def borders(trained: Trained, split: SegmentationSplit) -> dict[str, Any]:
    """Segment images with mirrored, black and grey borders.

    Returns:
        Of each way the error of pixels near the border, such as `mirror_error`, and over the
        distance from it, such as `mirror_by_distance`; the error of all others, `inner_error`;
        and `tile_difference`, the greatest difference between scores of tiles and of one pass.
    """
    preprocessing = trained.task.preprocessing
    distance, wrong, apart = from_border(SIDE), {name: [] for name in BORDERS}, 0.0
    for i in range(len(split)):
        image, mask = split.pair(i)
        pixels = pixels_of(image, preprocessing)
        whole = segment_logits(trained.model, pixels, preprocessing, Tiling(SIDE + 2 * BORDER))
        black, grey = (framed(trained, pixels, level) for level in (0.0, preprocessing.mean[0]))
        for name, logits in zip(BORDERS, (whole, black, grey), strict=True):
            wrong[name].append(logits.argmax(dim=0).numpy() != mask)
        if i == 0:
            tiles = segment_logits(trained.model, pixels, preprocessing, Tiling(LEAST_TILE + STEP))
            apart = float((tiles - whole).abs().max())
    errors = {name: np.mean(found, axis=0) for name, found in wrong.items()}
    near = distance < BAND
    return {
        **{f"{name}_error": float(error[near].mean()) for name, error in errors.items()},
        "inner_error": float(errors["mirror"][~near].mean()),
        "tile_difference": apart,
        **{
            f"{name}_by_distance": [
                float(error[distance == pixel].mean()) for pixel in range(4 * BAND)
            ]
            for name, error in errors.items()
        },
    }


def from_border(side: int) -> np.ndarray:
    """Give how many pixels stand between each pixel and the nearest border: (side, side)."""
    places = np.minimum(np.arange(side), side - 1 - np.arange(side))
    return np.minimum(places[:, None], places)


def framed(trained: Trained, pixels: np.ndarray, level: float) -> Tensor:
    """Score an image with a frame of one grey around it, `level` of 0 to 1."""
    preprocessing = trained.task.preprocessing
    value = (level - preprocessing.mean[0]) / preprocessing.std[0]
    inside = torch.nn.functional.pad(
        preprocessing.normalized(pixels[None]), (BORDER,) * 4, value=value
    )
    with torch.inference_mode():
        return trained.model(inside)[0]


def judge(results: Results) -> Sequence[Check]:
    """Mirrored borders are better than black ones; tiles give what one pass gives."""
    pairs = zip(
        results.values(NAME, "black_error"), results.values(NAME, "mirror_error"), strict=True
    )
    return [
        Check(
            f"within {BAND} pixels of the border, mirrored images have at least a point less "
            "error than images in a black frame",
            tuple(black - mirror for black, mirror in pairs),
            0.01,
        ),
        no_worse_than_grey(results),
        at_most(
            "scores of tiles and of one pass differ by at most 0.001",
            results.values(NAME, "tile_difference"),
            1e-3,
        ),
    ]


def no_worse_than_grey(results: Results) -> Check:
    """Ask that mirrored borders are no worse than zeros after the normalization."""
    pairs = zip(
        results.values(NAME, "grey_error"), results.values(NAME, "mirror_error"), strict=True
    )
    says = "they have at most 0.5 points more error than in a frame of the mean grey"
    return Check(says, tuple(grey - mirror for grey, mirror in pairs), -0.005)


def _draw(results: Results) -> "Figure":
    fig, axes = figure("U-Net near the border of an image")
    for i, (name, legend) in enumerate(
        (("mirror", "mirrored"), ("black", "black"), ("grey", "mean grey"))
    ):
        curves = PERCENT * np.array(results.values(NAME, f"{name}_by_distance"))
        places = range(curves.shape[1])
        axes.fill_between(places, curves.min(0), curves.max(0), color=COLOURS[i], alpha=0.15)
        axes.plot(places, curves.mean(0), "o-", markersize=3, color=COLOURS[i], label=legend)
    axes.set_xlabel("pixels from the border")
    axes.set_ylabel("pixel error, %")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, title="beyond the border")
    return fig


STUDY = Study(
    name="mirror_tiling",
    title="Overlapping tiles with mirrored borders",
    source="Ronneberger et al. 2015 (1505.04597), section 2, Figure 2",
    why="U-Net's convolutions are not padded, so that each class it gives comes from real pixels "
    "alone. It needs 92 pixels around each tile. Inside an image the tiles overlap; beyond its "
    "border the image is mirrored. So images of any size can be segmented, without a seam.",
    claim="Mirroring an image at its border lets the network segment the pixels there, and tiles "
    "that overlap give exactly what one pass over the whole image gives.",
    published=(
        Published("pixels of context at each side", "92", "Figure 1"),
        Published("input and output tile", "572 and 388 pixels", "Figure 1"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart("Pixel error over the distance from the border, mirrored, black and grey", _draw),
    shown={
        "mirror_error": "error near the border, mirrored",
        "black_error": "error near the border, black",
        "grey_error": "error near the border, mean grey",
        "inner_error": "error elsewhere",
        "tile_difference": "tiles against one pass",
    },
    images="",
    differs="The paper shows its strategy in a figure and measures nothing without it: images, "
    f"measures and margins are ours. {discs.PARTS['train']} images of {SIDE} pixels of discs "
    f"under much noise; a sixteenth of the channels, no dropout, {EPOCHS} epochs of Adam. The one "
    "network has learnt from mirrored borders, as in the paper.",
    revised="Against a frame of the mean grey mirrored borders gain nothing; the check compares "
    "with a black frame, and asks of grey that mirroring is not worse.",
)
