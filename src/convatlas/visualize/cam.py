"""Class activation maps: what a network with global average pooling adds up.

Zhou, Khosla, Lapedriza, Oliva, Torralba 2016, "Learning Deep Features for Discriminative
Localization": https://arxiv.org/abs/1512.04150
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.visualize.labels import Labels, chosen_labels
from convatlas.visualize.scores import layer_name, maps_and_logits, peak_of_one, resized

_NEAR = 1e-3  # of the largest logit: what rounding to 32 bits may make of an identity


def cam(
    model: nn.Module, images: Tensor, labels: Labels = None, *, layer: str | None = None
) -> Tensor:
    """Sum the last maps with the weights that the class gives them.

    M_c = sum over k of w_kc A_k (equation 2). What speaks against the class is left out, the rest
    resized to the image (bilinear) and divided by its greatest value, so that it equals Grad-CAM.

    Args:
        model: A classifier that ends in global average pooling and at most one linear layer;
            left as it was.
        images: Preprocessed, (N, C, H, W).
        labels: Class to explain: one, or one for each image; the top class of each when not given.
        layer: Dotted name of the layer before the pooling; `model.cam_layer` when not given.

    Returns:
        Heat maps in [0, 1], (N, H, W).

    Raises:
        UnknownNameError: `model` has no such layer.
        InputError: No such class; a network whose scores are no means of class maps.
    """
    heat = torch.relu(class_maps(model, images, labels, layer=layer))
    return peak_of_one(resized(heat, images.shape[2:]))


def class_maps(
    model: nn.Module, images: Tensor, labels: Labels = None, *, layer: str | None = None
) -> Tensor:
    """Give M_c itself, (N, h, w): its mean plus the class's bias is the class score.

    Which weights are the class's is found by this identity, so nothing else is taken for it.
    Where a network ends in one map a class (Network in Network, SqueezeNet) that map is M_c.
    Arguments and errors are those of `cam`.
    """
    maps, logits = maps_and_logits(model, images, layer)
    chosen = chosen_labels(logits, labels)
    near = max(_NEAR, 8 * torch.finfo(logits.dtype).eps) * float(logits.abs().max())
    for weight, bias in _candidates(model, maps, logits):
        means = maps.mean(dim=(2, 3)) @ weight.T + bias
        if torch.allclose(means, logits.to(means), rtol=0, atol=near):
            return torch.einsum("nk,nkhw->nhw", weight[chosen], maps)
    raise InputError(
        f"{type(model).__name__} has no class activation maps at {layer_name(model, layer)!r}: "
        "its scores are not the means of weighed maps there (global average pooling and one linear "
        "layer); Grad-CAM takes any network"
    )


def _candidates(model: nn.Module, maps: Tensor, logits: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Give weights (classes, K) and biases that could make logits of maps."""
    count, classes = maps.shape[1], logits.shape[1]
    if count == classes:
        yield torch.eye(classes).to(maps), maps.new_zeros(classes)
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if not isinstance(module, nn.Linear | nn.Conv2d) or not isinstance(weight, Tensor):
            continue
        if weight.shape[:2] == (classes, count) and weight[0, 0].numel() == 1:
            bias = maps.new_zeros(classes) if module.bias is None else module.bias.detach()
            yield weight.detach().reshape(classes, count).to(maps), bias.to(maps)
