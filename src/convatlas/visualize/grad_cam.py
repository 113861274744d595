"""Grad-CAM: where a class finds its evidence in an image.

Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra 2017, "Grad-CAM: Visual Explanations from Deep
Networks via Gradient-based Localization": https://arxiv.org/abs/1610.02391
"""

import torch
from torch import Tensor, nn

from convatlas.visualize.labels import Labels
from convatlas.visualize.scores import maps_and_gradients, peak_of_one, resized


def grad_cam(
    model: nn.Module, images: Tensor, labels: Labels = None, *, layer: str | None = None
) -> Tensor:
    """Weigh the maps of `layer` by the gradient of one class score, and sum them.

    Selvaraju et al. 2017, equations 1 and 2; each map is then resized to the image (bilinear)
    and divided by its greatest value.

    Args:
        model: A classifier; evaluated in evaluation mode and left as it was, gradients included.
        images: Preprocessed, (N, C, H, W), on the device of `model`.
        labels: Class to explain, 0 <= label < classes: one, or one for each image; the top class
            of each when not given.
        layer: Dotted name of a layer that gives maps; `model.cam_layer` when not given.

    Returns:
        Heat maps in [0, 1], (N, H, W), on the device of `images`. One is zero everywhere where no
        map speaks for the class.

    Raises:
        UnknownNameError: (a KeyError) `model` has no such layer; the message lists near names.
        InputError: No such class, or a layer whose maps can't be explained.
    """
    heat = torch.relu(weighted_sum(*maps_and_gradients(model, images, labels, layer)))
    return peak_of_one(resized(heat, images.shape[2:]))


def weighted_sum(maps: Tensor, gradients: Tensor) -> Tensor:
    """Sum the maps, each weighed by the mean of its gradient: equation 2 before its ReLU.

    Args:
        maps: A of the paper, (N, K, h, w).
        gradients: Of the class scores with respect to `maps`, (N, K, h, w).

    Returns:
        The sum of alpha_k A_k, (N, h, w), with alpha_k of equation 1.
    """
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * maps).sum(dim=1)
