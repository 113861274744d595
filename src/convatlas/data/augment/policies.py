"""Augmentations that were found by search: which operations, how often and how strong."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from convatlas.data.augment.operations import OPERATIONS
from convatlas.errors import InputError

# Cubuk et al. 2019 (RandAugment), section 3
RANDOM_OPERATIONS = (
    *("identity", "auto_contrast", "equalize", "rotate", "solarize", "color", "posterize"),
    *("contrast", "brightness", "sharpness", "shear_x", "shear_y", "translate_x", "translate_y"),
)

# (operation, chance, level), twice: `policy_v0` of tensorflow/tpu,
# models/official/efficientnet/autoaugment.py; Cubuk et al. 2018 (AutoAugment), table 9
IMAGENET_POLICY = (
    (("equalize", 0.8, 1), ("shear_y", 0.8, 4)),
    (("color", 0.4, 9), ("equalize", 0.6, 3)),
    (("color", 0.4, 1), ("rotate", 0.6, 8)),
    (("solarize", 0.8, 3), ("equalize", 0.4, 7)),
    (("solarize", 0.4, 2), ("solarize", 0.6, 2)),
    (("color", 0.2, 0), ("equalize", 0.8, 8)),
    (("equalize", 0.4, 8), ("solarize_add", 0.8, 3)),
    (("shear_x", 0.2, 9), ("rotate", 0.6, 8)),
    (("color", 0.6, 1), ("equalize", 1.0, 2)),
    (("invert", 0.4, 9), ("rotate", 0.6, 0)),
    (("equalize", 1.0, 9), ("shear_y", 0.6, 3)),
    (("color", 0.4, 7), ("equalize", 0.6, 0)),
    (("posterize", 0.4, 6), ("auto_contrast", 0.4, 7)),
    (("solarize", 0.6, 8), ("color", 0.6, 9)),
    (("solarize", 0.2, 4), ("rotate", 0.8, 9)),
    (("rotate", 1.0, 7), ("translate_y", 0.8, 9)),
    (("shear_x", 0.0, 0), ("solarize", 0.8, 4)),
    (("shear_y", 0.8, 0), ("color", 0.6, 4)),
    (("color", 1.0, 0), ("rotate", 0.6, 2)),
    (("equalize", 0.8, 4), ("equalize", 0.0, 8)),
    (("equalize", 1.0, 4), ("auto_contrast", 0.6, 2)),
    (("shear_y", 0.4, 7), ("solarize_add", 0.6, 7)),
    (("posterize", 0.8, 2), ("solarize", 0.6, 10)),
    (("solarize", 0.6, 8), ("equalize", 0.6, 1)),
    (("color", 0.8, 6), ("rotate", 0.4, 5)),
)


@dataclass(frozen=True, slots=True)
class RandAugment:
    """Apply operations drawn at random, all of one magnitude (Cubuk et al. 2019, 1909.13719).

    Attributes:
        operations: How many, one after the other; the paper's N.
        magnitude: The paper's M: 10 is the strongest that AutoAugment uses, and larger networks
            were given up to 28. What it means for each operation: `operations.py`.
    """

    operations: int = 2
    magnitude: float = 9.0

    def __post_init__(self) -> None:
        """Refuse what can't be applied."""
        if self.operations < 0:
            raise InputError(f"RandAugment takes at least 0 operations, not {self.operations!r}")
        if not 0 <= self.magnitude <= 30:
            raise InputError(f"RandAugment takes a magnitude of 0 to 30, not {self.magnitude!r}")

    def __call__(
        self,
        image: Image.Image,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> Image.Image:
        """Give the changed image; its size stays."""
        for number in rng.integers(len(RANDOM_OPERATIONS), size=self.operations):
            image = OPERATIONS[RANDOM_OPERATIONS[number]](image, self.magnitude, rng)
        return image


@dataclass(frozen=True, slots=True)
class AutoAugment:
    """Apply one of the 25 pairs of operations that were found for ImageNet (Cubuk et al. 2018)."""

    def __call__(
        self,
        image: Image.Image,
        size: tuple[int, int],  # noqa: ARG002
        rng: np.random.Generator,
    ) -> Image.Image:
        """Give the changed image; its size stays."""
        pair = IMAGENET_POLICY[int(rng.integers(len(IMAGENET_POLICY)))]
        for name, chance, level in pair:
            if rng.random() < chance:
                image = OPERATIONS[name](image, level, rng)
        return image
