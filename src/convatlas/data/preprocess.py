"""From a picture to what a network takes, and back. It travels with the weights."""

import functools
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from convatlas.data.augment import RESAMPLING, Interpolation, shorter_side_to
from convatlas.data.images import MAX_PIXELS
from convatlas.data.modes import plain
from convatlas.data.resize import resized
from convatlas.data.view import View, as_picture, mode_of, size_of
from convatlas.errors import InputError, suggest
from convatlas.fields import fitted

MODES = {1: "L", 3: "RGB"}  # by number of channels


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes a tensor: in which size, and x = (value / 255 - mean) / std.

    Attributes:
        size: Height and width that the network takes.
        mean: Per channel, for values in [0, 1]; one channel is grey, three are RGB.
        std: Likewise.
        resize_shorter: Resize the shorter side to this and crop the centre, as torchvision does;
            None: stretch.
        interpolation: Of the resizing, with anti-aliasing when it shrinks.
        border: Width of a black border around the picture, in pixels of `size`: the picture gets
            what is left of `size`. LeCun et al. 1998 centre digits of 28x28 in 32x32: border 2.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize_shorter: int | None = None
    interpolation: Interpolation = "bilinear"
    border: int = 0

    def __post_init__(self) -> None:
        """Refuse what no picture can be brought to."""
        if len(self.mean) not in MODES or len(self.std) != len(self.mean):
            raise InputError(
                f"preprocessing takes a mean and a std for 1 or 3 channels, not {self.mean!r} and "
                f"{self.std!r}"
            )
        if not all(map(math.isfinite, self.mean)):
            raise InputError(f"preprocessing takes a finite mean, not {self.mean!r}")
        if not all(0 < std < math.inf for std in self.std):
            raise InputError(f"preprocessing takes a std above 0, not {self.std!r}")
        if self.interpolation not in RESAMPLING:
            raise InputError(
                f"no interpolation {self.interpolation!r}{suggest(self.interpolation, RESAMPLING)}"
            )
        if self.border < 0 or min(self._inner) < 1 or math.prod(self.size) > MAX_PIXELS:
            raise InputError(
                f"no picture fits a size of {self.size} with a border of {self.border}"
            )
        if self.resize_shorter is not None and self.resize_shorter < max(self._inner):
            raise InputError(
                f"resize_shorter={self.resize_shorter} is too small for a crop of "
                f"{self._inner[0]}x{self._inner[1]}"
            )

    @property
    def mode(self) -> str:
        """Pillow's name of the colour mode: "L" or "RGB"."""
        return MODES[len(self.mean)]

    @property
    def _inner(self) -> tuple[int, int]:
        height, width = self.size
        return height - 2 * self.border, width - 2 * self.border

    def __call__(self, image: Image.Image) -> Tensor:
        """Turn any picture into a tensor (C, H, W), float32."""
        return self._finished(self.pixels(image))

    def resized(self, image: Image.Image) -> Image.Image:
        """Bring a picture to the network's size and colour mode; still a picture."""
        return as_picture(self.pixels(image))

    def pixels(self, image: View) -> np.ndarray:
        """Bring a picture to the network's size and colour mode: (H, W, C), uint8."""
        image = self.coloured(plain(image) if isinstance(image, Image.Image) else image)
        height, width = self._inner
        if self.resize_shorter is None:
            found = resized(image, (height, width), self.interpolation)
        else:
            rows, columns = shorter_side_to(size_of(image), self.resize_shorter)
            # round() and this order of halves are torchvision's, on which published weights stand
            top, left = round((rows - height) / 2), round((columns - width) / 2)
            crop = (top, left, height, width)
            found = resized(image, (rows, columns), self.interpolation, crop)
        if not self.border:
            return found
        return np.pad(found, ((self.border,) * 2, (self.border,) * 2, (0, 0)))

    def coloured(self, view: View) -> View:
        """Bring a picture to the network's colour mode."""
        return view if mode_of(view) == self.mode else as_picture(view).convert(self.mode)

    def tensor(self, image: Image.Image) -> Tensor:
        """Turn a picture of exactly the network's size and mode into a tensor (C, H, W).

        Raises:
            InputError: The picture has another size or mode.
        """
        height, width = self.size
        if image.size != (width, height) or image.mode != self.mode:
            raise InputError(
                f"expected a picture of {height}x{width} in mode {self.mode}, got "
                f"{image.height}x{image.width} in mode {image.mode}; see resized()"
            )
        return self._finished(np.asarray(image).reshape(height, width, -1))

    def normalized(self, pixels: np.ndarray) -> Tensor:
        """Turn pixels (N, H, W, C), uint8, into images (N, C, H, W), float32.

        They lie in memory as the pixels do, channels last, which convolutions are quickest with.
        """
        count, height, width, channels = pixels.shape
        mean, std = (np.tile(np.array(v, np.float32), width) for v in (self.mean, self.std))
        rows = np.empty((count, height, width * channels), np.float32)
        # numpy: torch would wake all its threads for these few operations. Whole rows of one image
        # after the other: a channel at a time, or all images at once, would not stay in the cache
        for image, found in zip(pixels.reshape(rows.shape), rows, strict=True):
            np.divide(image, np.float32(255), out=found)
            found -= mean
            found /= std
        images = torch.from_numpy(rows.reshape(count, height, width, channels))
        return images.permute(0, 3, 1, 2)

    def normalized_on(self, pixels: Tensor, device: torch.device) -> Tensor:
        """Do the same on another device, to which only the bytes travel: a fourth of the whole.

        A CUDA card divides as the processor does, and gives the same bits.

        Args:
            pixels: (N, H, W, C), uint8, in the memory of the processor.
            device: Where the images are to be.
        """
        if device.type == "cuda":
            pixels = pixels.pin_memory()  # so that the processor goes on meanwhile
        # a divisor that is a number would be multiplied by, which rounds otherwise
        whole, mean, std = (_lying_on(v, device) for v in ((255.0,), self.mean, self.std))
        images = pixels.to(device, non_blocking=True).float().div_(whole).sub_(mean).div_(std)
        return images.permute(0, 3, 1, 2)

    def as_they_are(self, images: np.ndarray) -> np.ndarray | None:
        """Bring images that need no resizing to the network's size, all at once.

        Args:
            images: (N, H, W) or (N, H, W, C), uint8.

        Returns:
            Pixels (N, H, W, C), uint8; None: they are of another size or colour mode.
        """
        height, width = self._inner
        images = images.reshape(*images.shape[:3], -1)
        sides = {height, width, self.resize_shorter or height}
        whole = self.resize_shorter is None or len(sides) == 1
        if images.shape[1:] != (height, width, len(self.mean)) or not whole:
            return None
        pixels = np.zeros((len(images), *self.size, images.shape[3]), np.uint8)
        edge = self.border
        pixels[:, edge : edge + height, edge : edge + width] = images
        return pixels

    def _finished(self, pixels: np.ndarray) -> Tensor:
        return self.normalized(pixels[None])[0].contiguous()

    def image(self, tensor: Tensor) -> Image.Image:
        """Turn a tensor (C, H, W) back into the picture it was made of, cut to 0..255.

        Raises:
            InputError: The tensor has another number of dimensions or of channels.
        """
        if tensor.dim() != 3 or tensor.shape[0] != len(self.mean):
            raise InputError(
                f"expected a tensor ({len(self.mean)}, H, W), got {tuple(tensor.shape)}"
            )
        values = tensor.detach().to("cpu", torch.float32).numpy()
        values = values * _column(self.std) + _column(self.mean)
        pixels = (values * 255).round().clip(0, 255).astype(np.uint8)
        return as_picture(np.moveaxis(pixels, 0, 2))

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON takes them; `from_dict` reads them back."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Preprocessing":
        """Read what `to_dict` gave; fields with a default may be absent.

        Raises:
            InputError: A field is unknown, missing or of the wrong kind.
        """
        known = [field.name for field in fields(cls)]
        for name in data:
            if name not in known:
                raise InputError(f"preprocessing has no field {name!r}{suggest(name, known)}")
        for field in fields(cls):
            if field.default is MISSING and field.name not in data:
                raise InputError(f"preprocessing needs a {field.name}: {dict(data)!r}")
        values = {
            name: fitted(cls, name, value, f"preprocessing: {name}") for name, value in data.items()
        }
        return cls(**values)


@functools.lru_cache
def _lying_on(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Give numbers as a tensor on a device: brought there once, not with each batch."""
    return torch.tensor(values, dtype=torch.float32).to(device)


def _column(values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, np.float32).reshape(-1, 1, 1)
