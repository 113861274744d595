"""Filters of the first layer as pictures: what the network looks for in the pixels.

Krizhevsky, Sutskever, Hinton 2012, Figure 3; Zeiler, Fergus 2013, Figure 6.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from convatlas.errors import InputError, unknown
from convatlas.layers import Towers
from convatlas.visualize.scores import widened

Scaling = Literal["each", "together"]
SCALINGS = ("each", "together")


def filters(model: nn.Module, layer: str | None = None, *, scaling: Scaling = "each") -> Tensor:
    """Give the filters of a convolution that reads the image as pictures.

    With the weights w of one filter, "each" gives (w - min) / (max - min), so every filter is
    seen at full contrast; "together" gives 0.5 + w / (2 max|w|) with the maximum over all
    filters, so grey is zero and weak filters look weak. A filter that is constant is grey.

    Args:
        model: Any network.
        layer: Dotted name of a convolution; the first one of the network when not given.
        scaling: "each" or "together".

    Returns:
        (K, C, k, k), values in [0, 1], float32 or float64, on the CPU.

    Raises:
        UnknownNameError: No such layer or scaling.
        InputError: The layer is no convolution over 1 or 3 channels.
    """
    if scaling not in SCALINGS:
        raise unknown("scaling", scaling, SCALINGS)
    name, weights = first_filters(model, layer)
    if not torch.isfinite(weights).all():
        raise InputError(f"layer {name!r} has weights that are not finite")
    if scaling == "together":
        return 0.5 + weights / (2 * weights.abs().max()).clamp(min=_least(weights))
    low, high = weights.amin(dim=(1, 2, 3)), weights.amax(dim=(1, 2, 3))
    contrast = (high - low)[:, None, None, None]
    scaled = (weights - low[:, None, None, None]) / contrast.clamp(min=_least(weights))
    return torch.where(contrast > 0, scaled, 0.5)


def first_filters(model: nn.Module, layer: str | None = None) -> tuple[str, Tensor]:
    """Give the name of a convolution that reads the image, and its weights (K, C, k, k).

    Of two towers that read it side by side both, one after the other. Arguments and errors are
    those of `filters`.
    """
    found = first_layers(model, layer)
    return " and ".join(found), torch.cat(list(found.values()))


def first_layers(model: nn.Module, layer: str | None = None) -> dict[str, Tensor]:
    """Give the weights (K, C, k, k) of the convolutions that read the image, by their names.

    One, or one for each of two towers. Arguments and errors are those of `filters`.
    """
    found = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    if not found:
        raise InputError(f"{type(model).__name__} has no convolution over maps")
    names = _beside(model, next(iter(found))) if layer is None else (layer,)
    if names[0] not in found:
        raise unknown("convolution", names[0], found)
    layers = {name: widened(found[name].weight.detach().cpu()) for name in names}
    for name, weights in layers.items():
        if weights.shape[1] not in (1, 3):
            raise InputError(
                f"the filters of layer {name!r} span {weights.shape[1]} channels, so they are no "
                "pictures: `patches` and `maximize` show what such a layer looks for"
            )
    return layers


def _beside(model: nn.Module, name: str) -> tuple[str, ...]:
    """Give the name of a layer and, where it is one of a tower, of that of the other tower."""
    for parent, module in model.named_modules():
        first = f"{parent}.tower1.".removeprefix(".")
        if isinstance(module, Towers) and name.startswith(first):
            return name, f"{parent}.tower2.".removeprefix(".") + name.removeprefix(first)
    return (name,)


def colour_share(weights: Tensor) -> Tensor:
    """Say how much of each filter looks for colour: 0 for a grey one, 1 without any grey.

    A filter is its mean over the three channels and a rest; the share of the rest in the sum of
    squares. Krizhevsky et al. 2012, section 6.1, see that the kernels of one of AlexNet's halves
    become largely colour-agnostic and those of the other colour-specific.

    Args:
        weights: (K, 3, k, k).

    Returns:
        (K,); 0 for a filter of zeros.

    Raises:
        InputError: The filters do not span three channels.
    """
    if weights.dim() != 4 or weights.shape[1] != 3:
        raise InputError(f"colour is that of filters (K, 3, k, k), not {tuple(weights.shape)}")
    rest = weights - weights.mean(dim=1, keepdim=True)
    power = weights.square().sum(dim=(1, 2, 3))
    return rest.square().sum(dim=(1, 2, 3)) / power.clamp(min=_least(weights))


def roughness(weights: Tensor) -> Tensor:
    """Say how far filters are from smooth: the correlation of neighbours, turned around.

    The mean product of the values of neighbouring weights, each filter's mean taken away, over
    their mean square. Noise has about 1; a smooth edge or blob is near 0.

    Args:
        weights: (K, C, k, k), k at least 2.

    Returns:
        (K,); 1 for a constant filter.
    """
    values = weights - weights.mean(dim=(2, 3), keepdim=True)
    power = values.square().mean(dim=(1, 2, 3))
    across = (values[..., :, 1:] * values[..., :, :-1]).mean(dim=(1, 2, 3))
    down = (values[..., 1:, :] * values[..., :-1, :]).mean(dim=(1, 2, 3))
    return 1 - (across + down) / (2 * power.clamp(min=_least(weights)))


def _least(values: Tensor) -> float:
    return torch.finfo(values.dtype).tiny
