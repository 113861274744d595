"""Is the mean over ten crops of an image better than its centre alone?

Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional Neural
Networks", section 4.1.
"""

from collections.abc import Mapping, Sequence

from convatlas.data.augment import Flip, RandomCrop
from convatlas.evaluate.protocols import TenCrop
from convatlas.recipes.alexnet import RECIPES
from convatlas.studies.charts import metric_dots
from convatlas.studies.images import Subset
from convatlas.studies.lab import Lab, Trained, training_case
from convatlas.studies.small_nets import SIDE, imagenet_case, small_recipe, small_vgg
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study

CASE = "network"
MARGIN = 0.003  # that ten crops are better
WHOLE = 18  # pixels a side; a crop has 16 of them, as AlexNet's has 227 of 256
EACH, EPOCHS = 400, 15  # training images of a class
TESTED = 400  # test images of a class


def cases(scale: Scale) -> list[Case]:
    """Give one network, which learns from crops and is tested in both ways."""
    if scale == "paper":
        return [imagenet_case(CASE, "alexnet", RECIPES["imagenet"], side=227, also=_ten_crops)]
    augment = (RandomCrop(), Flip())
    recipe = small_recipe(EPOCHS, augment=augment, resize_shorter=WHOLE)
    images = Subset("cifar10", EACH, 20, TESTED, WHOLE)
    return [training_case(CASE, small_vgg, recipe, images, also=_ten_crops, side=SIDE)]


def _ten_crops(trained: Trained, lab: Lab) -> Mapping[str, float]:  # noqa: ARG001
    return {"ten_crop_error": trained.error_by(TenCrop())}


def judge(results: Results) -> Sequence[Check]:
    """Ten crops have the lower error."""
    centre, ten = (results.values(CASE, name) for name in ("test_error", "ten_crop_error"))
    gains = tuple(one - mean for one, mean in zip(centre, ten, strict=True))
    return [Check("ten crops have at least 0.3 points less error than the centre", gains, MARGIN)]


STUDY = Study(
    name="ten_crop",
    title="Ten crops against the centre",
    source="Krizhevsky et al. 2012, section 4.1",
    why="A network that learnt from random crops has an answer for each of them. AlexNet shows it "
    "the four corners and the centre of a test image, and their mirror images, and averages the "
    "ten answers. Errors of papers can only be compared where they were tested in the same way.",
    claim="The mean of ten softmax outputs errs less than the one of the centre.",
    published=(
        Published("AlexNet, ImageNet 2010, centre, top-1", "39.0 %", "section 4.1"),
        Published("AlexNet, ImageNet 2010, ten crops, top-1", "37.5 %", "section 4.1"),
        Published("AlexNet, ImageNet 2010, centre, top-5", "18.3 %", "section 4.1"),
        Published("AlexNet, ImageNet 2010, ten crops, top-5", "17.0 %", "section 4.1"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart(
        "Test error of the centre and of ten crops",
        metric_dots(
            "One network, tested in two ways: error on CIFAR-10 images",
            CASE,
            {"centre": "test_error", "ten crops": "ten_crop_error"},
        ),
    ),
    shown={
        "test_error": "error, centre",
        "ten_crop_error": "error, ten crops",
        "params": "parameters",
    },
    paper_images="imagenet",
    differs=f"A VGG of five layers, crops of {SIDE} from {WHOLE} pixels, {10 * EACH:,} images of "
    f"CIFAR-10, {EPOCHS} epochs, {10 * TESTED:,} test images.",
    revised="3,000 images and 12 epochs became 4,000 and 15, after one seed with a gain of 0.2 "
    "points and a training error as high as that of the test.",
)
