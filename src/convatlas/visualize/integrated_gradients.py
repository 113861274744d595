"""Integrated gradients: a class score shared out among the pixels.

Sundararajan, Taly, Yan 2017, "Axiomatic Attribution for Deep Networks":
https://arxiv.org/abs/1703.01365
"""

import torch
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.visualize.labels import Labels
from convatlas.visualize.scores import input_gradients, prepared, scores_of, widened


def integrated_gradients(
    model: nn.Module,
    images: Tensor,
    labels: Labels = None,
    *,
    steps: int = 64,
    baseline: Tensor | float = 0.0,
    probability: bool = False,
    batch_size: int = 32,
) -> Tensor:
    """Integrate the gradient on the straight way from a baseline to the image.

    Section 3: (x_i - x'_i) * integral over a from 0 to 1 of dF/dx_i (x' + a (x - x')), by the
    midpoint rule. Added up over the pixels it gives F(x) - F(x') (proposition 1, completeness);
    `convatlas.visualize.checks.completeness_gap` tells how nearly at this number of steps: the
    gradient of a network of ReLUs jumps, so the gap shrinks as 1 / steps.

    Args:
        model: A classifier; left as it was.
        images: Preprocessed, (N, C, H, W).
        labels: Class to explain: one, or one for each image; the top class of each when not given.
        steps: Of the integral; section 5 finds 20 to 300 enough.
        baseline: x', an image without information, of a shape that `images` broadcasts with; 0 is
            the mean colour of the data set where images are normalised.
        probability: F is the probability, as in the paper, and not the logit.
        batch_size: Images at a time, of all steps; at least those of one step.

    Returns:
        Signed values of each channel, (N, C, H, W); they add up to the change of F.

    Raises:
        InputError: What `input_gradients` refuses; no steps, or a baseline of another shape.
    """
    if steps < 1:
        raise InputError(f"the integral needs at least 1 step, not {steps}")
    chosen = scores_of(model, images, labels)[1]
    end = widened(prepared(model, images))
    start = baseline_of(end, baseline)
    total = torch.zeros_like(end)
    way = (torch.arange(steps, dtype=end.dtype, device=end.device) + 0.5) / steps
    for part in way.split(max(1, batch_size // len(end))):
        between = start + part.view(-1, 1, 1, 1, 1) * (end - start)
        labels_of_all = chosen.repeat(len(part))
        gradients = input_gradients(
            model, between.flatten(0, 1), labels_of_all, probability=probability
        )
        total += gradients.view_as(between).sum(dim=0)
    return (end - start) * total / steps


def baseline_of(images: Tensor, baseline: Tensor | float) -> Tensor:
    """Give the baseline of each image, (N, C, H, W).

    Raises:
        InputError: Its shape does not fit the images.
    """
    given = torch.as_tensor(baseline, dtype=images.dtype, device=images.device)
    try:
        return given.expand_as(images)
    except RuntimeError:
        raise InputError(
            f"a baseline of {tuple(given.shape)} does not fit images of {tuple(images.shape)}"
        ) from None
