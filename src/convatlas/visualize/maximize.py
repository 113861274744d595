"""Activation maximization: an image that a class, or a map, finds ideal.

Simonyan, Vedaldi, Zisserman 2013, section 2 (the class score, with decay); Yosinski, Clune, Nguyen,
Fuchs, Lipson 2015, section 3 (decay and blur); Mordvintsev, Olah, Tyka 2015, "Inceptionism"
(jitter and octaves).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.errors import InputError
from convatlas.visualize.layers import maps_in_graph
from convatlas.visualize.scores import (
    chosen_labels,
    class_scores,
    explaining,
    layer_name,
    prepared,
    widened,
)
from convatlas.visualize.smoothness import blurred, total_variation

_SMALLER = 1.4  # from one octave to the next, as Mordvintsev et al. take it
_START = 0.01  # standard deviation of the noise that the climb begins with


@dataclass(frozen=True, slots=True)
class Ascent:
    """How the image is changed, and what keeps it from becoming noise.

    Attributes:
        steps: In all.
        rate: Root mean square of a step, in units of the preprocessed image.
        decay: Part of the image that each step takes away; with the same number as `rate`, the
            values of the image come to a root mean square near 1, as those of photographs have.
        blur: Width of the Gaussian, pixels; 0: none.
        blur_every: Steps from one blur to the next.
        jitter: The image is moved at random by up to so many pixels before each step.
        tv: Weight of the total variation (beta 2).
        octaves: The image is made in so many sizes, each 1.4 times the one before; the network
            always sees it enlarged to its full size.
        seed: Of the first image and of the jitter.
    """

    steps: int = 200
    rate: float = 0.1
    decay: float = 0.1
    blur: float = 0.5
    blur_every: int = 4
    jitter: int = 2
    tv: float = 0.0
    octaves: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what would not climb."""
        for name, least in (("steps", 1), ("blur_every", 1), ("jitter", 0), ("octaves", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name, top in (("decay", 1.0), ("blur", math.inf), ("tv", math.inf)):
            if not 0 <= getattr(self, name) < top:
                limit = f" and below {top:g}" if top < math.inf else ""
                raise InputError(f"{name} must be at least 0{limit}, not {getattr(self, name)}")
        if not 0 < self.rate < math.inf:
            raise InputError(f"rate must be above 0, not {self.rate}")


@dataclass(frozen=True, slots=True)
class Maximized:
    """What the climb came to.

    Attributes:
        images: (N, C, H, W), preprocessed; `Preprocessing.image` makes pictures of them.
        scores: Of each image, (N,): the class score, or the mean of the map.
        first_scores: Of the noise that it began with.
    """

    images: Tensor
    scores: Tensor
    first_scores: Tensor


def maximize(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    units: Sequence[int],
    *,
    layer: str | None = None,
    ascent: Ascent | None = None,
) -> Maximized:
    """Climb the score of each unit from an image of faint noise.

    A step adds the gradient, scaled to a root mean square of `rate`; then decay and blur follow.
    The score is the logit, not the probability, which other classes could raise too (Simonyan et
    al. 2013, section 2).

    Args:
        model: Any network; evaluated in evaluation mode and left as it was.
        input_shape: Of one image, (C, H, W).
        units: Classes, or with `layer` the numbers of its maps; one image for each.
        layer: Dotted name of a layer whose maps' means are climbed.
        ascent: How; see there for what is usual.

    Returns:
        One image for each unit.

    Raises:
        UnknownNameError: `model` has no such layer.
        InputError: No such class or map, no units, or a score that depends on no pixel.
    """
    if not units:
        raise InputError("nothing to maximize: name a class or a map")
    ascent = ascent or Ascent()
    name = None if layer is None else layer_name(model, layer)
    generator = torch.Generator().manual_seed(ascent.seed)
    noise = torch.randn((len(units), *input_shape), generator=generator) * _START
    first = next(iter(model.parameters()), noise)
    images = widened(prepared(model, noise.to(first.device)))
    begun = _scores(model, images, units, name).detach()
    for octave in reversed(range(ascent.octaves)):
        size = [max(1, round(side / _SMALLER**octave)) for side in input_shape[1:]]
        images = _resized(images, size)
        share = ascent.steps * (ascent.octaves - octave) // ascent.octaves
        done = ascent.steps * (ascent.octaves - octave - 1) // ascent.octaves
        for step in range(done, share):
            images = _climbed(model, images, (units, name, input_shape[1:]), ascent, generator)
            if ascent.blur and (step + 1) % ascent.blur_every == 0:
                images = blurred(images, ascent.blur)
    return Maximized(images, _scores(model, images, units, name).detach(), begun)


def _climbed(
    model: nn.Module,
    images: Tensor,
    aim: tuple[Sequence[int], str | None, tuple[int, ...]],
    ascent: Ascent,
    generator: torch.Generator,
) -> Tensor:
    units, layer, size = aim
    moves = [0, 0]
    if ascent.jitter:
        span = (-ascent.jitter, ascent.jitter + 1)
        moves = torch.randint(*span, (2,), generator=generator).tolist()
    with explaining(model):
        leaf = images.detach().clone().requires_grad_()
        shown = _resized(leaf, size).roll(moves, dims=(2, 3))
        score = _scores(model, shown, units, layer).sum()
        found = (
            torch.autograd.grad(score, leaf, allow_unused=True)[0] if score.requires_grad else None
        )
        if found is None or not torch.isfinite(found).all():
            raise InputError("the score depends on no pixel, or not by finite numbers")
        root = found.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        step = found / root.clamp(min=torch.finfo(found.dtype).tiny)
        if ascent.tv:
            rough = torch.autograd.grad(total_variation(leaf).sum(), leaf)[0]
            step = step - ascent.tv * rough
    return ((leaf + ascent.rate * step) * (1 - ascent.decay)).detach()


def _scores(model: nn.Module, images: Tensor, units: Sequence[int], layer: str | None) -> Tensor:
    """Give the score that each image has for its own unit: (N,)."""
    with explaining(model):
        first = next(iter(model.parameters()), images)
        inputs = images.to(first.dtype)
        if layer is None:
            logits = model(inputs.clone())
            return widened(class_scores(logits, chosen_labels(logits, units)))
        maps = maps_in_graph(model, inputs, layer).mean(dim=(2, 3))
    for unit in units:
        if not 0 <= unit < maps.shape[1]:
            raise InputError(
                f"layer {layer!r} has no map {unit}; there are {maps.shape[1]}, from 0"
            )
    return widened(maps[range(len(units)), list(units)])


def _resized(images: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(images.shape[2:]) == tuple(size):
        return images
    return F.interpolate(images, tuple(size), mode="bilinear", align_corners=False)
