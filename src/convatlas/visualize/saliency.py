"""Saliency: which pixels change a class score most.

Simonyan, Vedaldi, Zisserman 2013, "Deep Inside Convolutional Networks: Visualising Image
Classification Models and Saliency Maps", section 3: https://arxiv.org/abs/1312.6034
"""

from torch import Tensor, nn

from convatlas.visualize.labels import Labels
from convatlas.visualize.scores import input_gradients


def saliency(model: nn.Module, images: Tensor, labels: Labels = None) -> Tensor:
    """Give the greatest magnitude of the gradient over the channels of each pixel.

    M_ij = max over c of |d S / d x_cij|, S the class score before the softmax (section 3.1).

    Args:
        model: A classifier; left as it was.
        images: Preprocessed, (N, C, H, W).
        labels: Class to explain: one, or one for each image; the top class of each when not given.

    Returns:
        Magnitudes, (N, H, W), not normalised.

    Raises:
        InputError: No such class, or a score that does not depend on the pixels.
    """
    return magnitude(input_gradients(model, images, labels))


def magnitude(gradients: Tensor) -> Tensor:
    """Give the greatest magnitude over the channels: (N, C, H, W) -> (N, H, W)."""
    return gradients.abs().amax(dim=1)
