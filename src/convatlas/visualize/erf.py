"""The effective receptive field: which of the pixels that a value may see really count.

Luo, Li, Urtasun, Zemel 2016, "Understanding the Effective Receptive Field in Deep Convolutional
Neural Networks": https://arxiv.org/abs/1701.04128
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.visualize.layers import Box, maps_in_graph, record_of, seen_box
from convatlas.visualize.scores import explaining, layer_name, prepared

# a pixel counts as inside with more than 4.55 % of the greatest value: two standard deviations of
# a Gaussian (Luo et al., section 3.2)
INSIDE = 1 - 0.9545


@dataclass(frozen=True, slots=True)
class EffectiveField:
    """What the value in the centre of a layer's maps sees.

    Attributes:
        layer: Dotted name.
        effective: (H, W): each pixel's share of the gradient, sum 1.
        theoretical: The pixels that could count: top, left, bottom, right, the last two just
            outside; may reach beyond the image.
    """

    layer: str
    effective: Tensor
    theoretical: Box

    @property
    def effective_size(self) -> float:
        """Side, in pixels, of a square with as many pixels as are inside."""
        return math.sqrt(int((self.effective > INSIDE * self.effective.max()).sum()))

    @property
    def theoretical_size(self) -> int:
        """Longer side of the box, in pixels."""
        top, left, bottom, right = self.theoretical
        return max(bottom - top, right - left)

    @property
    def spread(self) -> tuple[float, float]:
        """Standard deviation of the shares along rows and along columns, in pixels."""
        values = self.effective.double()
        return _deviation(values.sum(dim=1)), _deviation(values.sum(dim=0))


def effective_field(model: nn.Module, images: Tensor, layer: str | None = None) -> EffectiveField:
    """Average |dA/dx| over images, where A is the sum over channels in the middle of the maps.

    Luo et al. 2016, section 2, take random images and, for the field of an untrained network,
    random weights; average the results of several networks for that.

    Args:
        model: Any network; evaluated in evaluation mode and left as it was.
        images: Preprocessed, (N, C, H, W), or noise; each adds to the average.
        layer: Dotted name; `model.cam_layer` when not given.

    Returns:
        The effective field beside the theoretical one.

    Raises:
        UnknownNameError: `model` has no such layer.
        InputError: The layer gives no maps, or the middle of its maps depends on no pixel.
    """
    name = layer_name(model, layer)
    with explaining(model):
        inputs = prepared(model, images).requires_grad_()
        maps = maps_in_graph(model, inputs, name)
        middle = (maps.shape[2] // 2, maps.shape[3] // 2)
        value = maps[:, :, middle[0], middle[1]].sum()
        gradient = None
        if value.requires_grad:
            gradient = torch.autograd.grad(value, inputs, allow_unused=True)[0]
    if gradient is None or not torch.isfinite(gradient).all() or not gradient.any():
        raise InputError(
            f"the middle of the maps of layer {name!r} depends on no pixel of {len(images)} images"
        )
    heat = gradient.detach().double().abs().mean(dim=(0, 1))
    record = record_of(model, tuple(images.shape[1:]), name)
    return EffectiveField(name, heat / heat.sum(), seen_box(record, middle))


def _deviation(shares: Tensor) -> float:
    at = torch.arange(len(shares), dtype=shares.dtype, device=shares.device)
    mean = (shares * at).sum()
    return math.sqrt(max(0.0, float((shares * (at - mean).square()).sum())))
