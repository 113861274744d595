"""Guided Grad-CAM: fine as guided backpropagation, of one class as Grad-CAM.

Selvaraju et al. 2017, section 3.2: https://arxiv.org/abs/1610.02391
"""

from torch import Tensor, nn

from convatlas.visualize.grad_cam import grad_cam
from convatlas.visualize.guided_backprop import guided_backprop
from convatlas.visualize.labels import Labels
from convatlas.visualize.scores import scores_of


def guided_grad_cam(
    model: nn.Module, images: Tensor, labels: Labels = None, *, layer: str | None = None
) -> Tensor:
    """Multiply guided backpropagation by Grad-CAM, pixel by pixel.

    Arguments and errors are those of `grad_cam` and of `guided_backprop`, whose edges it keeps:
    inside the place that Grad-CAM finds, it tells as little of the class (Adebayo et al. 2018).

    Returns:
        Signed values of each channel, (N, C, H, W).
    """
    chosen = scores_of(model, images, labels)[1]
    heat = grad_cam(model, images, chosen, layer=layer)
    return heat[:, None] * guided_backprop(model, images, chosen)
