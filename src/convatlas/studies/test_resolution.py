"""Do larger test images help a network that was trained on smaller ones?

Xie, Girshick, Dollar, Tu and He 2016, "Aggregated Residual Transformations for Deep Neural
Networks", 1611.05431: Tables 4 and 5, for ResNeXt-101.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from convatlas.catalog import build
from convatlas.data.augment import AreaCrop, Flip
from convatlas.recipes.resnext import RECIPES
from convatlas.studies.charts import COLOURS, PERCENT, figure
from convatlas.studies.lab import Lab, Trained, training_case
from convatlas.studies.small_nets import (
    CLASSES,
    NORMED,
    imagenet_case,
    small_images,
    small_recipe,
)
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study
from convatlas.train.segmentation import Segmentation
from convatlas.train.tasks import Classification

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "trained on crops"
TRAINED = {"small": 16, "paper": 224}  # pixels a side
SIDES = {"small": (14, 16, 20, 24), "paper": (192, 224, 256, 320)}
WHOLE = 32  # pixels a side of the images that crops are of
EACH, EPOCHS = 300, 12  # training images of a class


def cases(scale: Scale) -> list[Case]:
    """Give a network that learns from crops, and is tested on images of several sizes."""
    side = TRAINED[scale]
    if scale == "paper":
        also = tested_at_224
        return [imagenet_case(NAME, "resnext101_64x4d", RECIPES["imagenet"], side=side, also=also)]
    make = partial(build, "resnet14_cifar", CLASSES, widths=(12, 24, 48))
    recipe = small_recipe(EPOCHS, NORMED, augment=(AreaCrop(), Flip()))
    return [
        training_case(
            NAME, make, recipe, small_images(EACH, WHOLE), also=tested_at_16_and_zoomed, side=side
        )
    ]


def tested_at_16_and_zoomed(trained: Trained, lab: Lab) -> Mapping[str, Any]:  # noqa: ARG001
    """Test at the sizes of the small scale."""
    return _tested(trained, SIDES["small"])


def tested_at_224(trained: Trained, lab: Lab) -> Mapping[str, Any]:  # noqa: ARG001
    """Test at the sizes of the paper's scale."""
    return _tested(trained, SIDES["paper"])


def _tested(trained: Trained, sides: Sequence[int]) -> dict[str, Any]:
    """Show whole test images, brought to each size.

    `zoomed_error` is of the centres of the largest, in the size of the training crops: things look
    as large as in the largest images, but no more of them is seen than before.
    """
    errors = [replace(trained, task=_at(trained.task, side)).test_error() for side in sides]
    zoomed = _at(trained.task, sides[1], of=sides[-1])
    own, larger, largest = errors[-3:]
    return {
        "sides": list(sides),
        "error_by_side": errors,
        "own_error": own,
        "larger_error": larger,
        "largest_error": largest,
        "zoomed_error": replace(trained, task=zoomed).test_error(),
    }


def _at(
    task: Classification | Segmentation, side: int, of: int | None = None
) -> Classification | Segmentation:
    """Show images at `side` pixels; or the centre, of images that have `of` pixels."""
    preprocessing = replace(task.preprocessing, size=(side, side), resize_shorter=of)
    return replace(task, preprocessing=preprocessing)


def judge(results: Results) -> Sequence[Check]:
    """Test images that are larger than the training crops are recognised better."""
    own, larger, largest = (
        results.values(NAME, f"{which}_error") for which in ("own", "larger", "largest")
    )
    return [
        Check(
            "images of the next size above the training crops have at least 0.5 points less error",
            tuple(a - b for a, b in zip(own, larger, strict=True)),
            0.005,
        ),
        Check(
            "the largest images have less error than those of the training size, too",
            tuple(a - b for a, b in zip(own, largest, strict=True)),
            1e-9,
        ),
    ]


def _draw(results: Results) -> "Figure":
    fig, axes = figure("One network, tested on images of several sizes")
    for seed, row in zip(results.seeds, results.measured[NAME], strict=True):
        errors = [PERCENT * error for error in row["error_by_side"]]
        axes.plot(row["sides"], errors, "o-", color=COLOURS[seed % 6], label=f"seed {seed}")
    axes.set_xticks(results.measured[NAME][0]["sides"])
    axes.set_xlabel("height and width of test images, pixels")
    axes.set_ylabel("test error, %")
    axes.legend(frameon=False)
    return fig


STUDY = Study(
    name="test_resolution",
    title="Test images larger than the training crops",
    source="Xie et al. 2016 (1611.05431), Tables 4 and 5",
    why="Training crops are parts of an image, enlarged, so that things look larger in them than "
    "in whole images. A network that averages over places takes images of any size. Shown larger "
    "ones than it was trained on, it sees things in the size that it knows, and more of their "
    "details.",
    claim="A network trained on random crops has a lower error on test images that are larger than "
    "those crops.",
    published=(
        Published("ResNeXt-101 64x4d, 224 pixels", "20.4 %", "Table 4"),
        Published("ResNeXt-101 64x4d, 320 pixels", "19.1 %", "Table 5"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart("Test error over the size of test images, for one network", _draw),
    shown={
        "own_error": "error, the training size",
        "larger_error": "error, the next size",
        "largest_error": "error, the largest size",
        "zoomed_error": "error, centre of the largest",
    },
    paper_images="imagenet",
    differs="ResNet-14 of three quarters of its width, trained on the paper's random crops, "
    f"here of 16x16 pixels, of CIFAR-10 images, {10 * EACH:,} of them, {EPOCHS} epochs. Whole "
    "images are tested; the paper's are the centre squares.",
    if_failed="The centres of enlarged images, shown in the training size, are not recognised "
    "better either (56.4, 57.6 and 56.9 % against 55.6, 56.6 and 55.9 % of whole images): that "
    "things look larger does not help this network after so short a training.",
    revised="Training crops of 25 to 100 % of an image were tried before the paper's 8 to 100 %.",
)
