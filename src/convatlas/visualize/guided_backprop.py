"""Guided backpropagation: fine pictures of what excites a class score.

Springenberg, Dosovitskiy, Brox, Riedmiller 2014, "Striving for Simplicity: The All Convolutional
Net", section 3.4: https://arxiv.org/abs/1412.6806
"""

from torch import Tensor, nn

from convatlas.visualize.backward_rules import ruled
from convatlas.visualize.labels import Labels
from convatlas.visualize.scores import input_gradients


def guided_backprop(model: nn.Module, images: Tensor, labels: Labels = None) -> Tensor:
    """Differentiate the class score, but let a ReLU pass only what excites from above.

    R_l = 1[f_l > 0] 1[R > 0] R at each ReLU; see `backward_rules` for other activations.

    It draws the image's edges more than the class's evidence: its pictures hardly change with the
    class, nor with random weights in the upper layers (Adebayo et al. 2018). Grad-CAM tells where,
    guided backpropagation only what there is to see.

    Args:
        model: A classifier of modules, functions or operations in place; left as it was.
        images: Preprocessed, (N, C, H, W).
        labels: Class to explain: one, or one for each image; the top class of each when not given.

    Returns:
        Signed values of each channel, (N, C, H, W).

    Raises:
        InputError: No such class; a network without activations that can be seen.
    """
    return input_gradients(model, images, labels, within=ruled(model, "guided"))
