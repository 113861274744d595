"""Grad-CAM++: Grad-CAM that counts each occurrence of an object.

Chattopadhay, Sarkar, Howlader, Balasubramanian 2018, "Grad-CAM++: Improved Visual Explanations for
Deep Convolutional Networks": https://arxiv.org/abs/1710.11063
"""

import torch
from torch import Tensor, nn

from convatlas.visualize.labels import Labels
from convatlas.visualize.scores import maps_and_gradients, peak_of_one, resized


def grad_cam_plus_plus(
    model: nn.Module, images: Tensor, labels: Labels = None, *, layer: str | None = None
) -> Tensor:
    """Weigh each map by its positive gradients, each with a weight of its own.

    With Y = exp(S), g = dS/dA: alpha = g^2 / (2 g^2 + sum of A_k * g^3) (equation 19, where the
    higher derivatives of S are 0, as they are in networks of ReLUs), w_k = sum of alpha ReLU(g)
    (equation 9; the factor exp(S) is the same for all maps), L = ReLU(sum of w_k A_k).

    Args:
        model: A classifier; left as it was.
        images: Preprocessed, (N, C, H, W).
        labels: Class to explain: one, or one for each image; the top class of each when not given.
        layer: Dotted name of a layer that gives maps, best none below 0; `model.cam_layer` when
            not given.

    Returns:
        Heat maps in [0, 1], (N, H, W).

    Raises:
        UnknownNameError: `model` has no such layer.
        InputError: No such class, or a layer whose maps can't be explained.
    """
    maps, gradients = maps_and_gradients(model, images, labels, layer)
    heat = torch.relu((map_weights(maps, gradients)[:, :, None, None] * maps).sum(dim=1))
    return peak_of_one(resized(heat, images.shape[2:]))


def map_weights(maps: Tensor, gradients: Tensor) -> Tensor:
    """Give w_k of each map, (N, K), of A and dS/dA, both (N, K, h, w)."""
    # alpha as 1 / (2 + sum * g): the same, and no g^2 vanishes in float32
    divisor = 2 + maps.sum(dim=(2, 3), keepdim=True) * gradients
    alphas = torch.where((gradients != 0) & (divisor != 0), 1 / divisor, 0)
    return (alphas * torch.relu(gradients)).sum(dim=(2, 3))
