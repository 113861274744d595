"""Sanity check: does an explanation change when the network forgets what it learned?

Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim 2018, "Sanity Checks for Saliency Maps", section 3:
https://arxiv.org/abs/1810.03292. A map that stays the same explains the image and not the network.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.evaluate.modes import eval_mode
from convatlas.visualize.labels import Labels
from convatlas.visualize.scores import prepared, scores_of

_WINDOW = 7  # pixels, of the structural similarity
_SAME = 0.5  # above this correlation two maps are called similar

Method = Callable[[nn.Module, Tensor, Labels], Tensor]


@dataclass(frozen=True, slots=True)
class Similarity:
    """How like the first maps are those of the network with its upper layers drawn afresh.

    Attributes:
        layer: Dotted name of the lowest layer with new weights.
        layers: How many have them.
        of: How many there are.
        spearman: Mean rank correlation of the magnitudes.
        ssim: Mean structural similarity.
    """

    layer: str
    layers: int
    of: int
    spearman: float
    ssim: float


def randomize_weights(
    model: nn.Module,
    method: Method,
    images: Tensor,
    labels: Labels = None,
    *,
    every: int = 1,
    seed: int = 0,
) -> list[Similarity]:
    """Draw the weights of one layer after the other afresh, the top one first, and compare maps.

    Returns:
        One comparison for each stop of `cascade`, whose arguments and errors are the same; not
        that of the untouched network.
    """
    found = cascade(model, method, images, labels, every=every, seed=seed)
    return [likeness for likeness, _ in found if likeness.layers]


def cascade(
    model: nn.Module,
    method: Method,
    images: Tensor,
    labels: Labels = None,
    *,
    every: int = 1,
    seed: int = 0,
) -> Iterator[tuple[Similarity, Tensor]]:
    """Give the maps of a network while it forgets what it learned, layer by layer from the top.

    Section 3.1, cascading randomization. Matrices and filters are drawn from a normal distribution
    with their own mean and deviation, so that signals keep their size; the entries of vectors
    (biases, norms) are shuffled.

    Args:
        model: A classifier; a copy of it is changed.
        method: `method(model, images, labels)` gives maps (N, H, W) or (N, C, H, W).
        images: (N, C, H, W), preprocessed.
        labels: Class to explain, also where the changed network finds another one; the top class
            of each image when not given.
        every: Compare after so many further layers; the last comparison is of all of them.
        seed: Of the new weights.

    Yields:
        The comparison with the first maps and the maps themselves, as the method gives them: at
        first of the untouched network, then at each stop from the top downwards.

    Raises:
        InputError: `every` is below 1, or the network has no weights.
    """
    if every < 1:
        raise InputError(f"compare after at least 1 further layer, not {every}")
    changed = copy.deepcopy(model)
    chosen = scores_of(model, images, labels)[1]
    names = weighted_layers(changed, images)
    maps = method(model, images, chosen)
    first = magnitudes(maps)
    yield Similarity("", 0, len(names), 1.0, 1.0), maps
    generator = torch.Generator().manual_seed(seed)
    for count, name in enumerate(reversed(names), start=1):
        for parameter in changed.get_submodule(name).parameters(recurse=False):
            _redraw(parameter, generator)
        if count % every == 0 or count == len(names):
            maps = method(changed, images, chosen)
            now = magnitudes(maps)
            likeness = (float(spearman(first, now).mean()), float(ssim(first, now).mean()))
            yield Similarity(name, count, len(names), *likeness), maps


def is_sensitive(similarities: list[Similarity]) -> bool:
    """Say whether the maps have changed once half of the layers, the upper ones, are random.

    "Changed": a rank correlation of at most 0.5.
    """
    halfway = [one for one in similarities if 2 * one.layers >= one.of]
    return halfway[0].spearman <= _SAME


def weighted_layers(model: nn.Module, images: Tensor) -> list[str]:
    """Name the modules with weights of their own in the order in which they run.

    Raises:
        InputError: None runs.
    """
    names: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: names.append(name))
        for name, module in model.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    try:
        with torch.no_grad(), eval_mode(model):
            model(prepared(model, images))
    finally:
        for hook in hooks:
            hook.remove()
    if not names:
        raise InputError(f"{type(model).__name__} runs no layer with weights")
    return list(dict.fromkeys(names))


def magnitudes(attributions: Tensor) -> Tensor:
    """Give |a|, added up over channels where there are any: (N, H, W)."""
    found = attributions.abs()
    return found.sum(dim=1) if found.dim() == 4 else found


def spearman(one: Tensor, other: Tensor) -> Tensor:
    """Correlate the ranks of the values of maps, pair by pair: (N, H, W) twice -> (N,).

    Equal values share their mean rank. A map that is the same everywhere has no order: 0.
    """
    pairs = zip(one.flatten(1), other.flatten(1), strict=True)
    return torch.stack([_correlation(_ranks(a), _ranks(b)) for a, b in pairs])


def ssim(one: Tensor, other: Tensor) -> Tensor:
    """Give the structural similarity of maps, pair by pair: (N, H, W) twice -> (N,).

    Wang, Bovik, Sheikh, Simoncelli 2004, "Image Quality Assessment", equation 13, over windows of
    7 x 7, after each map is divided by its greatest value.

    Raises:
        InputError: The maps are smaller than a window.
    """
    if min(one.shape[1:]) < _WINDOW:
        raise InputError(f"maps of {tuple(one.shape[1:])} are smaller than the 7 x 7 windows")
    x, y = (_scaled(maps.double())[:, None] for maps in (one, other))

    def mean(values: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(values, _WINDOW, stride=1)

    mean_x, mean_y = mean(x), mean(y)
    unbiased = _WINDOW**2 / (_WINDOW**2 - 1)
    var_x = unbiased * (mean(x * x) - mean_x**2)
    var_y = unbiased * (mean(y * y) - mean_y**2)
    both = unbiased * (mean(x * y) - mean_x * mean_y)
    c1, c2 = 0.01**2, 0.03**2  # of values from 0 to 1
    top = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    return (top / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean(dim=(1, 2, 3))


def _scaled(maps: Tensor) -> Tensor:
    return maps / maps.abs().amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)


def _ranks(values: Tensor) -> Tensor:
    _, place, counts = values.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2).double()[place]


def _correlation(one: Tensor, other: Tensor) -> Tensor:
    a, b = one - one.mean(), other - other.mean()
    size = a.norm() * b.norm()
    return a @ b / size if size > 0 else torch.zeros_like(size)


@torch.no_grad()
def _redraw(parameter: Tensor, generator: torch.Generator) -> None:
    if parameter.dim() > 1:
        drawn = torch.randn(parameter.shape, generator=generator).to(parameter)
        parameter.copy_(drawn * parameter.std() + parameter.mean())
    else:
        parameter.copy_(parameter[torch.randperm(len(parameter), generator=generator)])
