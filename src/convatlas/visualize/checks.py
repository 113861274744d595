"""How good an explanation is: identities, curves and games that need no one's eye."""

import torch
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.evaluate.modes import eval_mode
from convatlas.visualize.integrated_gradients import baseline_of
from convatlas.visualize.labels import Labels, chosen_labels, class_scores
from convatlas.visualize.scores import prepared, widened
from convatlas.visualize.smoothness import blurred


@torch.no_grad()
def completeness_gap(
    model: nn.Module,
    images: Tensor,
    attributions: Tensor,
    labels: Labels = None,
    *,
    baseline: Tensor | float = 0.0,
    probability: bool = False,
) -> Tensor:
    """Give how far shares are from adding up to what they share out.

    Sundararajan et al. 2017, proposition 1: the sum of integrated gradients is F(x) - F(x').

    Args:
        model: A classifier; left as it was.
        images: (N, C, H, W), preprocessed.
        attributions: (N, C, H, W), as `integrated_gradients` gives them.
        labels: As for `attributions`.
        baseline: As for `attributions`.
        probability: As for `attributions`.

    Returns:
        |sum - change| / |change| of each image, (N,); infinite where only the change is 0.
    """
    end = prepared(model, images)
    with eval_mode(model):
        both = [model(end), model(baseline_of(end, baseline).clone())]
    chosen = chosen_labels(both[0], labels)
    values = [widened(logits) for logits in both]
    if probability:
        values = [logits.softmax(dim=1) for logits in values]
    change = class_scores(values[0], chosen) - class_scores(values[1], chosen)
    gap = (attributions.sum(dim=(1, 2, 3)) - change).abs()
    return torch.where(gap == 0, gap, gap / change.abs())


def deletion_curve(
    model: nn.Module,
    images: Tensor,
    heat: Tensor,
    labels: Labels = None,
    *,
    steps: int = 32,
    fill: float = 0.0,
    sigma: float | None = None,
) -> Tensor:
    """Give the probability of the class while pixels vanish, the hottest first.

    Petsiuk, Das, Saenko 2018, "RISE", section 4.2 (https://arxiv.org/abs/1806.07421): the faster
    it falls, the better the map; `area` makes one number of it.

    Args:
        model: A classifier; left as it was.
        images: (N, C, H, W), preprocessed.
        heat: (N, H, W).
        labels: Class: one, or one for each image; the top class of each when not given.
        steps: In how many equal parts the pixels vanish.
        fill: What takes their place; 0 is the mean colour where images are normalised.
        sigma: Let the image blurred by so many pixels take their place instead: scattered grey
            pixels are a noise of their own, which changes an answer wherever they lie.

    Returns:
        (N, steps + 1), from the whole image to none of it.

    Raises:
        InputError: No such class; no steps; heat of another size.
    """
    whole = prepared(model, images)
    end = torch.full_like(whole, fill) if sigma is None else blurred(whole, sigma)
    return _curve(model, whole, end, heat, labels, steps)


def insertion_curve(
    model: nn.Module,
    images: Tensor,
    heat: Tensor,
    labels: Labels = None,
    *,
    steps: int = 32,
    sigma: float = 5.0,
) -> Tensor:
    """Give the probability of the class while a blurred image grows sharp, the hottest first.

    The faster it rises, the better the map. `sigma` is the blur's, in pixels; the paper takes 5
    for images of 224. Other arguments and errors are those of `deletion_curve`.

    Returns:
        (N, steps + 1), from the blurred image to the sharp one.
    """
    whole = prepared(model, images)
    if labels is None:  # what the sharp image shows, not the blurred one
        with torch.no_grad(), eval_mode(model):
            labels = chosen_labels(model(whole))
    return _curve(model, blurred(whole, sigma), whole, heat, labels, steps)


def area(curve: Tensor) -> Tensor:
    """Give the area under curves (N, points) over the share of pixels, by trapezoids: (N,)."""
    return torch.trapezoid(curve, dx=1 / (curve.shape[1] - 1), dim=1)


def pointing_hits(heat: Tensor, boxes: Tensor, tolerance: int = 0) -> Tensor:
    """Say whether the hottest pixel of each map lies in its box: (N,), bool.

    The pointing game of Zhang, Bargal, Lin, Brandt, Shen, Sclaroff 2016, "Top-down Neural
    Attention by Excitation Backprop", section 4.1: https://arxiv.org/abs/1608.00507

    Args:
        heat: (N, H, W).
        boxes: (N, 4): first row, first column, row and column after the last.
        tolerance: Pixels that a hit may lie beside the box; the paper takes 15.
    """
    place = heat.flatten(1).argmax(dim=1)
    row, column = place // heat.shape[2], place % heat.shape[2]
    top, left, bottom, right = boxes.to(heat.device).unbind(dim=1)
    inside = (row >= top - tolerance) & (row < bottom + tolerance)
    return inside & (column >= left - tolerance) & (column < right + tolerance)


def share_inside(heat: Tensor, boxes: Tensor) -> Tensor:
    """Give how much of the heat above 0 lies in the box of each map: (N,), 0 where there is none.

    The energy-based pointing game of Wang et al. 2020 ("Score-CAM", section 4.3). Arguments are
    those of `pointing_hits`.
    """
    rows = torch.arange(heat.shape[1], device=heat.device)[None, :, None]
    columns = torch.arange(heat.shape[2], device=heat.device)[None, None, :]
    top, left, bottom, right = (side[:, None, None] for side in boxes.to(heat.device).unbind(1))
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    positive = heat.clamp(min=0)
    total = positive.sum(dim=(1, 2))
    share = (positive * inside).sum(dim=(1, 2)) / total
    return torch.where(total > 0, share, 0)


@torch.no_grad()
def _curve(
    model: nn.Module, start: Tensor, end: Tensor, heat: Tensor, labels: Labels, steps: int
) -> Tensor:
    """Give the probability on the way from `start` to `end`, the hottest pixels first."""
    if steps < 1:
        raise InputError(f"a curve needs at least 1 step, not {steps}")
    if heat.shape != (len(start), *start.shape[2:]):
        raise InputError(
            f"heat of {tuple(heat.shape)} does not fit images of {tuple(start.shape)}: (N, H, W)"
        )
    hottest = heat.flatten(1).argsort(dim=1, descending=True, stable=True)
    rank = hottest.argsort(dim=1).view_as(heat)[:, None]
    chosen, points = None, []
    with eval_mode(model):
        for step in range(steps + 1):
            changed = rank < round(step / steps * heat[0].numel())
            logits = model(torch.where(changed, end, start))
            chosen = chosen_labels(logits, labels) if chosen is None else chosen
            points.append(class_scores(widened(logits).softmax(dim=1), chosen))
    return torch.stack(points, dim=1)
