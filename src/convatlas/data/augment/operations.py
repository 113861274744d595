"""The operations that searched policies are made of, each with its level from 0 to 10.

Names and ranges: Cubuk et al. 2019 (AutoAugment), table 6; how a level becomes an amount:
tensorflow/tpu, models/official/efficientnet/autoaugment.py, with which EfficientNet was trained.
There a higher level is not always more: it keeps more bits (`posterize`) and inverts fewer values
(`solarize`). What comes in from outside is grey.
"""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

Operation = Callable[[Image.Image, float, np.random.Generator], Image.Image]

MAX_LEVEL = 10
_DEGREES = 30
_SHEAR = 0.3
_SHIFT = 150 / 331  # pixels of the images of 331 on which table 6 stands
_GREY = 128


def _same(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
    return image


def _auto_contrast(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
    return ImageOps.autocontrast(image)


def _equalize(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
    return ImageOps.equalize(image)


def _invert(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
    return ImageOps.invert(image)


def _posterize(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
    bits = min(8, int(level / MAX_LEVEL * 4))
    return image.point([value & (0xFF00 >> bits) for value in range(256)] * len(image.getbands()))


def _solarize(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
    return ImageOps.solarize(image, int(level / MAX_LEVEL * 256))


def _solarize_add(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
    more = int(level / MAX_LEVEL * 110)
    values = [min(255, value + more) if value < 128 else value for value in range(256)]
    return image.point(values * len(image.getbands()))


def _enhanced(enhance: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    def change(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
        return enhance(image).enhance(level / MAX_LEVEL * 1.8 + 0.1)

    return change


def _rotate(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:
    angle = math.radians(_either(level / MAX_LEVEL * _DEGREES, rng))
    return _moved(image, (math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle)))


def _shear_x(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:
    return _moved(image, (1, _either(level / MAX_LEVEL * _SHEAR, rng), 0, 1))


def _shear_y(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:
    return _moved(image, (1, 0, _either(level / MAX_LEVEL * _SHEAR, rng), 1))


def _translate_x(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:
    return _moved(image, right=_either(level / MAX_LEVEL * _SHIFT * image.width, rng))


def _translate_y(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:
    return _moved(image, down=_either(level / MAX_LEVEL * _SHIFT * image.height, rng))


def _either(amount: float, rng: np.random.Generator) -> float:
    return amount if rng.random() < 0.5 else -amount


def _moved(
    image: Image.Image,
    matrix: tuple[float, float, float, float] = (1, 0, 0, 1),
    right: float = 0.0,
    down: float = 0.0,
) -> Image.Image:
    """Take each pixel from `matrix` (x, y) + (right, down), about the centre."""
    a, b, c, d = matrix
    x, y = image.width / 2, image.height / 2
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        (a, b, x - a * x - b * y + right, c, d, y - c * x - d * y + down),
        resample=Image.Resampling.NEAREST,
        fillcolor=(_GREY,) * 3 if image.mode == "RGB" else _GREY,
    )


OPERATIONS: dict[str, Operation] = {
    "identity": _same,
    "auto_contrast": _auto_contrast,
    "equalize": _equalize,
    "rotate": _rotate,
    "solarize": _solarize,
    "color": _enhanced(ImageEnhance.Color),
    "posterize": _posterize,
    "contrast": _enhanced(ImageEnhance.Contrast),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
    "invert": _invert,
    "solarize_add": _solarize_add,
}
