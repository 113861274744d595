"""Class scores and what they depend on: the start of every explanation.

A score is a logit, the class score before the softmax: a probability near 1 hardly changes with
its image, so its gradient says little (Simonyan, Vedaldi, Zisserman 2013, section 2).
"""

import contextlib
from collections.abc import Callable, Generator, Sequence

import torch
from torch import Tensor, nn

from convatlas.errors import InputError, suggest, unknown
from convatlas.evaluate.modes import eval_mode
from convatlas.visualize.labels import Labels, broken, chosen_labels, class_scores


@contextlib.contextmanager
def explaining(model: nn.Module) -> Generator[None]:
    """Evaluate `model` with gradients, whatever the caller's mode; leave it as it was."""
    with eval_mode(model), torch.inference_mode(False), torch.enable_grad():
        yield


def prepared(model: nn.Module, images: Tensor) -> Tensor:
    """Give a copy of the images in the number type of the weights, outside any graph.

    A copy, because one that was made in inference mode can't enter a graph, and because a network
    may begin with an operation in place.

    Raises:
        InputError: `images` are not floating-point values (N, C, H, W).
    """
    if images.dim() != 4 or len(images) == 0 or not images.is_floating_point():
        raise InputError(
            "images are floating-point values (N, C, H, W), at least one; got "
            f"{tuple(images.shape)} of {images.dtype}"
        )
    weights = (p for p in model.parameters() if p.is_floating_point())
    return images.detach().clone().to(next(weights, images).dtype)


@torch.no_grad()
def scores_of(model: nn.Module, images: Tensor, labels: Labels = None) -> tuple[Tensor, Tensor]:
    """Give the scores of the classes to explain and these classes, (N,) each, without a graph."""
    with eval_mode(model):
        logits = model(prepared(model, images))
    chosen = chosen_labels(logits, labels)
    return widened(class_scores(logits, chosen)), chosen


def input_gradients(
    model: nn.Module,
    images: Tensor,
    labels: Labels = None,
    *,
    probability: bool = False,
    within: contextlib.AbstractContextManager[object] | None = None,
) -> Tensor:
    """Differentiate the score of each image's class with respect to its pixels.

    Args:
        model: A classifier; left as it was.
        images: (N, C, H, W), preprocessed.
        labels: Classes to explain; the top class of each image when not given.
        probability: Differentiate the probability (softmax) and not the logit.
        within: What the network runs in, such as another rule of how gradients pass.

    Returns:
        (N, C, H, W), float32, or float64 where the network is.

    Raises:
        InputError: What `prepared` and `chosen_labels` refuse; the scores don't depend on the
            pixels, or not by finite numbers.
    """
    with explaining(model):
        inputs = prepared(model, images).requires_grad_()
        with within or contextlib.nullcontext():
            logits = model(inputs.clone())
        chosen = chosen_labels(logits, labels)
        scores = class_scores(logits.softmax(dim=1) if probability else logits, chosen)
    return gradient_of(scores, inputs, "the image")


def maps_and_gradients(
    model: nn.Module, images: Tensor, labels: Labels = None, layer: str | None = None
) -> tuple[Tensor, Tensor]:
    """Give the maps of a layer and the gradient of the class scores with respect to them.

    Args:
        model: A classifier; left as it was.
        images: (N, C, H, W), preprocessed.
        labels: Classes to explain; the top class of each image when not given.
        layer: Dotted name of a layer that gives maps; `model.cam_layer` when not given.

    Returns:
        Both (N, K, h, w), float32, or float64 where the network is.

    Raises:
        UnknownNameError: `model` has no such layer.
        InputError: What `input_gradients` refuses; a layer without maps, or one that runs twice.
    """
    name = layer_name(model, layer)
    with explaining(model):
        with held_maps(model, name, lambda maps: maps.detach().requires_grad_()) as found:
            logits = model(prepared(model, images))
        scores = class_scores(logits, chosen_labels(logits, labels))
    gradients = gradient_of(scores, found[0], f"the maps of layer {name!r}")
    if not torch.isfinite(found[0]).all():
        raise broken(f"the maps of layer {name!r}")
    return widened(found[0].detach()), gradients


@torch.no_grad()
def maps_and_logits(
    model: nn.Module, images: Tensor, layer: str | None = None
) -> tuple[Tensor, Tensor]:
    """Give the maps of a layer, (N, K, h, w), and the logits, (N, classes), without a graph.

    The logits are in the number type of the network. Arguments and errors are those of
    `maps_and_gradients`.
    """
    name = layer_name(model, layer)
    with eval_mode(model), held_maps(model, name, Tensor.detach) as found:
        logits = model(prepared(model, images))
    return widened(found[0]), logits


@contextlib.contextmanager
def held_maps(
    model: nn.Module, name: str, keep: Callable[[Tensor], Tensor]
) -> Generator[list[Tensor]]:
    """Hold what `keep` makes of the maps of a layer while `model` runs once.

    Raises:
        InputError: The layer gives no maps, or did not run once.
    """
    found: list[Tensor] = []

    def hold(_module: nn.Module, _inputs: object, output: object) -> Tensor:
        found.append(keep(checked_maps(name, output)))
        # what follows works on a copy: an activation in place would change the maps held here
        return found[-1].clone()

    hook = model.get_submodule(name).register_forward_hook(hold)
    try:
        yield found
    finally:
        hook.remove()
    if len(found) != 1:
        raise InputError(
            f"layer {name!r} ran {len(found)} times for one image; its maps are one thing only in "
            "a layer that runs once"
        )


def gradient_of(scores: Tensor, source: Tensor, what: str) -> Tensor:
    """Differentiate scores by what they were computed from; `what` names it in errors.

    The images of a batch do not touch each other in evaluation mode, so the gradient of the sum
    holds the gradient of each one's score.
    """
    gradient = None
    if scores.requires_grad:
        ones = torch.ones_like(scores)
        with torch.inference_mode(False):  # a rule of its own may build a graph on the way back
            gradient = torch.autograd.grad(scores, source, ones, allow_unused=True)[0]
    if gradient is None:
        raise InputError(f"the class score does not depend on {what}")
    if not torch.isfinite(gradient).all():
        raise broken(what)
    return widened(gradient)


def layer_name(model: nn.Module, layer: str | None = None) -> str:
    """Give the dotted name of a layer that there is, `model.cam_layer` when none is given.

    Raises:
        UnknownNameError: `model` has no such layer; the message lists near names.
        InputError: None is given, and `model` names none.
    """
    layers = [name for name, _ in model.named_modules() if name]
    name = getattr(model, "cam_layer", None) if layer is None else layer
    if name is None:
        raise InputError(
            f"name the layer to explain: {type(model).__name__} has no `cam_layer`"
            f"{suggest('', layers)}"
        )
    if name not in layers:
        raise unknown("layer", name, layers)
    return name


def checked_maps(name: str, output: object) -> Tensor:
    """Give what a layer gave, if it is maps (N, K, h, w).

    Raises:
        InputError: It is something else.
    """
    if isinstance(output, Tensor) and output.dim() == 4 and output.is_floating_point():
        return output
    given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    raise InputError(
        f"layer {name!r} gives {given}, not maps (N, K, h, w); choose a layer before the "
        "pooling or the flattening of the head"
    )


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (N, h, w) to (N, *size), bilinear."""
    height, width = size
    return nn.functional.interpolate(
        maps[:, None], (height, width), mode="bilinear", align_corners=False
    )[:, 0]


def peak_of_one(heat: Tensor) -> Tensor:
    """Divide each (H, W) of a batch by its greatest value; one that is zero stays zero."""
    peak = heat.amax(dim=(1, 2), keepdim=True)
    return heat / peak.clamp(min=torch.finfo(heat.dtype).tiny)


def widened(values: Tensor) -> Tensor:
    """Give 16-bit numbers as float32; float64 stays."""
    return values if values.dtype == torch.float64 else values.float()
