"""Deconvnet: what in an image excites a class or a single map.

Zeiler, Fergus 2013, "Visualizing and Understanding Convolutional Networks", section 2.1:
https://arxiv.org/abs/1311.2901

A deconvnet runs a network backwards: it puts values back where max pooling found them (the
switches), passes them through a ReLU and through the transposed filters. Unpooling by switches and
transposed filters are the gradient of pooling and of convolution; what is new is the ReLU, which
looks at the signal and not at the image. Local response normalization is skipped. Where pooling
windows overlap the signals of a place are added up.
"""

from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.visualize.backward_rules import ruled
from convatlas.visualize.labels import Labels
from convatlas.visualize.scores import (
    explaining,
    gradient_of,
    held_maps,
    input_gradients,
    layer_name,
    prepared,
)


def deconvnet(model: nn.Module, images: Tensor, labels: Labels = None) -> Tensor:
    """Project class scores back to the pixels: R_l = max(R, 0) at each ReLU.

    Args:
        model: A classifier of modules, functions or operations in place; left as it was.
        images: Preprocessed, (N, C, H, W).
        labels: Class to explain: one, or one for each image; the top class of each when not given.

    Returns:
        Signed values of each channel, (N, C, H, W).

    Raises:
        InputError: No such class; a network without activations that can be seen.
    """
    rules = ruled(model, "deconvnet", skip_norm=True)
    return input_gradients(model, images, labels, within=rules)


def deconvnet_map(model: nn.Module, images: Tensor, layer: str, index: int) -> Tensor:
    """Project the strongest activation of one map back to the pixels, as the paper's figure 2.

    All other activations of the layer count as 0.

    Args:
        model: Any network; left as it was.
        images: Preprocessed, (N, C, H, W).
        layer: Dotted name of a layer that gives maps; an activation, if it is to be above 0.
        index: Which of its maps.

    Returns:
        Signed values of each channel, (N, C, H, W); zero where the map is nowhere above 0.

    Raises:
        UnknownNameError: `model` has no such layer.
        InputError: No such map; a layer that gives no maps or runs more than once.
    """
    name = layer_name(model, layer)
    with explaining(model):
        inputs = prepared(model, images).requires_grad_()
        rules = ruled(model, "deconvnet", skip_norm=True)
        with held_maps(model, name, lambda maps: maps) as found, rules:
            model(inputs.clone())
        strongest = _strongest(name, found[0], index)
    # the rule is homogeneous, so the strength may be multiplied in at the end
    strength = strongest.detach().clamp(min=0).view(-1, 1, 1, 1)
    return gradient_of(strongest, inputs, "the image") * strength


def _strongest(name: str, maps: Tensor, index: int) -> Tensor:
    """Give the greatest value of one map of each image, (N,)."""
    count = maps.shape[1]
    if not 0 <= index < count:
        raise InputError(f"no map {index} in layer {name!r}; it has {count}, from 0")
    return maps[:, index].flatten(1).amax(dim=1)
