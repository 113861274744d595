"""Random changes of a training image: frozen data that answers `op(image, size, rng) -> image`.

Each op keeps the image's mode ("L" or "RGB") and takes all its chance from `rng`, so that equal
generators give equal images. `size` is the (height, width) that the network takes. No torch here:
recipes are made of these, and recipes are pure data.
"""

from convatlas.data.augment.color import ColorJitter, PcaColor
from convatlas.data.augment.crops import AreaCrop, CenterCrop, CornerCrop, PadCrop, RandomCrop
from convatlas.data.augment.erasing import RandomErasing
from convatlas.data.augment.geometry import Affine, Flip, Resize, ScaleJitter
from convatlas.data.augment.op import (
    RESAMPLING,
    Augmentation,
    Interpolation,
    ViewChange,
    shorter_side_to,
)
from convatlas.data.augment.policies import AutoAugment, RandAugment

__all__ = [
    "RESAMPLING",
    "Affine",
    "AreaCrop",
    "Augmentation",
    "AutoAugment",
    "CenterCrop",
    "ColorJitter",
    "CornerCrop",
    "Flip",
    "Interpolation",
    "PadCrop",
    "PcaColor",
    "RandAugment",
    "RandomCrop",
    "RandomErasing",
    "Resize",
    "ScaleJitter",
    "ViewChange",
    "shorter_side_to",
]
