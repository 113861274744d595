"""Does it help to weigh the borders between cells? U-Net with and without its border term.

Ronneberger, Fischer and Brox 2015, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", 1505.04597: section 3, equation 2 and Figure 3. The images are our own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from convatlas.catalog import build, spec_of
from convatlas.data.components import components
from convatlas.data.segmentation import SegmentationSplit
from convatlas.evaluate.overlap import rand_error
from convatlas.evaluate.tiling import pixels_of, segment
from convatlas.recipe import Adam, Recipe, to_dict
from convatlas.recipes.unet import RECIPES
from convatlas.schedules import Cosine
from convatlas.studies import discs
from convatlas.studies.charts import dots
from convatlas.studies.checks import less_error, near
from convatlas.studies.discs import draw_discs
from convatlas.studies.lab import Lab, Trained
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study
from convatlas.train.segmentation import make_segmentation

WITH, WITHOUT = "border term, w0 = 10", "none, w0 = 0"
LOSSES = {WITH: "border_weighted", WITHOUT: "cross_entropy"}
NETWORKS: dict[Scale, tuple[str, int]] = {"small": ("unet_padded", 8), "paper": ("unet", 64)}
SIDES = {"small": 80, "paper": 388}  # of images
TILES = {"small": 80, "paper": 572}  # of what the network is given
EPOCHS = 50
BLUR = 2.0  # pixels, as wide as the gaps: what parts two discs is faint
_SMALL = Recipe(
    where="our own: the paper's loss, for minutes",
    batch_size=1,
    epochs=EPOCHS,
    optimizer=Adam(1e-3),
    schedule=Cosine(EPOCHS),
    balance="loss",
)


def cases(scale: Scale) -> list[Case]:
    """Give the network trained with the border term and without; both weigh the classes."""
    found = []
    for name, loss in LOSSES.items():
        recipe = replace(_SMALL if scale == "small" else RECIPES["isbi"], loss=loss)
        settings = {
            "network": NETWORKS[scale],
            "recipe": to_dict(recipe),
            "discs": [discs.PARTS, discs.RADII, discs.GAP, discs.NOISE, BLUR, SIDES[scale]],
            "tile": TILES[scale],
        }
        found.append(Case(name, partial(_measure, scale=scale, recipe=recipe), settings))
    return found


def _measure(lab: Lab, *, scale: Scale, recipe: Recipe) -> Mapping[str, Any]:
    name, width = NETWORKS[scale]
    source = draw_discs(lab.folder / "discs", SIDES[scale], blur=BLUR)
    tile = TILES[scale]
    task = make_segmentation(name, spec_of(name), source, (tile, tile), replace(recipe, tile=tile))
    make = partial(build, name, 2, 1, width=width)
    trained = lab.train(make, recipe, source, task=task)
    return {**trained.measures(), **separation(trained, source.test)}


def separation(trained: Trained, split: SegmentationSplit) -> dict[str, float]:
    """Compare the discs that are found in images with those that are there.

    Returns:
        `rand_error`, the mean over the images, and `count_error`: by how much the numbers of
        discs are off, as a fraction of the true ones.
    """
    preprocessing = trained.task.preprocessing
    wrong, total, rand = 0, 0, []
    for i in range(len(split)):
        image, mask = split.pair(i)
        found = segment(trained.model, pixels_of(image, preprocessing), preprocessing)
        true = int(components(mask).max())
        wrong, total = wrong + abs(int(components(found).max()) - true), total + true
        rand.append(rand_error(mask, found))
    return {"rand_error": float(np.mean(rand)), "count_error": wrong / total}


def judge(results: Results) -> Sequence[Check]:
    """The border term parts the discs; it does not change the overlap by much."""
    return [
        less_error(results, WITH, WITHOUT, by=2, metric="rand_error"),
        less_error(results, WITH, WITHOUT, by=2, metric="count_error"),
        near(results, WITH, WITHOUT, within=5, metric="test_mean_iou"),
    ]


STUDY = Study(
    name="border_weight",
    title="U-Net's border term",
    source="Ronneberger et al. 2015 (1505.04597), section 3, equation 2, Figure 3",
    why="Two cells that touch are parted by a line of background that is a pixel or two wide. To a "
    "loss that counts pixels such a line is nothing, and to a biologist it is everything: without "
    "it two cells are one. U-Net makes those pixels count up to eleven times as much.",
    claim="With the border term, a network parts cells that touch; without, it joins them.",
    published=(Published("w0, sigma", "10, 5 pixels", "section 3"),),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Rand error of discs with and without the border term",
        dots("U-Net with and without its border term", "rand_error", "Rand error of discs, %"),
    ),
    shown={
        "rand_error": "Rand error",
        "count_error": "error of the number of discs",
        "test_mean_iou": "intersection over union",
        "test_error": "pixel error",
    },
    images="",
    differs="The paper shows its weights in a figure and measures nothing without them: images, "
    f"measures and margins are ours. {discs.PARTS['train']} images of {SIDES['small']} pixels of "
    "noisy, blurred discs that touch; an eighth of the channels, padded convolutions, "
    f"{EPOCHS} epochs of Adam.",
    revised="In the first discs, with less blur, cells were parted without the weights too. After "
    "25 epochs, not 50, counts and overlaps failed.",
)
