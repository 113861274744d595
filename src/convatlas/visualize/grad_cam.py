"""Grad-CAM: where a class finds its evidence in an image.

Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra 2017, "Grad-CAM: Visual Explanations from Deep
Networks via Gradient-based Localization": https://arxiv.org/abs/1610.02391
"""

import torch
from torch import Tensor, nn

from convatlas.errors import InputError, suggest, unknown
from convatlas.evaluate.modes import eval_mode


def grad_cam(
    model: nn.Module, image: Tensor, label: int | None = None, layer: str | None = None
) -> Tensor:
    """Weigh the maps of `layer` by the gradient of one class score, and sum them.

    Selvaraju et al. 2017, equations 1 and 2; the map is then resized to the image (bilinear)
    and divided by its greatest value.

    Args:
        model: A classifier; evaluated in evaluation mode and left as it was, gradients included.
        image: One preprocessed image, (1, C, H, W), on the device of `model`.
        label: Class to explain, 0 <= label < classes; the top class when not given.
        layer: Dotted name of a layer that gives maps; `model.cam_layer` when not given.

    Returns:
        Heat map in [0, 1], (H, W), on the device of `image`. It is zero everywhere where no
        map speaks for the class.

    Raises:
        UnknownNameError: (a KeyError) `model` has no such layer; the message lists near names.
        InputError: More than one image, no such class, or a layer whose maps can't be explained.
    """
    maps, gradients = maps_and_gradients(model, image, label, layer)
    heat = torch.relu(weighted_sum(maps, gradients))
    size = (int(image.shape[2]), int(image.shape[3]))
    heat = nn.functional.interpolate(heat[None, None], size, mode="bilinear", align_corners=False)[
        0, 0
    ]
    peak = heat.max()
    return heat / peak if peak > 0 else torch.zeros_like(heat)


def weighted_sum(maps: Tensor, gradients: Tensor) -> Tensor:
    """Sum the maps, each weighed by the mean of its gradient: equation 2 before its ReLU.

    Args:
        maps: A of the paper, (C, h, w).
        gradients: Of the class score with respect to `maps`, (C, h, w).

    Returns:
        The sum of alpha_k A_k, (h, w), with alpha_k of equation 1.
    """
    weights = gradients.mean(dim=(1, 2))
    return (weights[:, None, None] * maps).sum(dim=0)


def maps_and_gradients(
    model: nn.Module, image: Tensor, label: int | None = None, layer: str | None = None
) -> tuple[Tensor, Tensor]:
    """Give the maps of `layer` and the gradient of a class score (a logit) with respect to them.

    Arguments and errors are those of `grad_cam`; both results are (C, h, w) in float32.
    """
    name = _layer_name(model, layer)
    if image.dim() != 4 or len(image) != 1:
        raise InputError(
            f"Grad-CAM explains one image at a time, (1, C, H, W); got {tuple(image.shape)}"
        )
    found: list[Tensor] = []

    def hold(_module: nn.Module, _inputs: object, output: object) -> Tensor:
        found.append(_checked_maps(name, output).detach().requires_grad_())
        # what follows works on a copy: an activation in place would change the maps held here
        return found[-1].clone()

    hook = model.get_submodule(name).register_forward_hook(hold)
    try:
        # an image made in inference mode can't enter a graph: a copy can
        with eval_mode(model), torch.inference_mode(False), torch.enable_grad():
            score = _score(model(image.clone()), label)
    finally:
        hook.remove()
    if len(found) != 1:
        raise InputError(
            f"layer {name!r} ran {len(found)} times for one image; Grad-CAM needs a layer that "
            "runs once"
        )
    return found[0].detach()[0].float(), _gradient(score, found[0], name)[0].float()


def _gradient(score: Tensor, maps: Tensor, name: str) -> Tensor:
    gradient = None
    if score.requires_grad:
        gradient = torch.autograd.grad(score, maps, allow_unused=True)[0]
    if gradient is None:
        raise InputError(f"the class score does not depend on the maps of layer {name!r}")
    if not (torch.isfinite(gradient).all() and torch.isfinite(maps).all()):
        raise InputError(
            f"layer {name!r} gives values that are not finite: the weights or the image are broken"
        )
    return gradient


def _layer_name(model: nn.Module, layer: str | None) -> str:
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


def _checked_maps(name: str, output: object) -> Tensor:
    if isinstance(output, Tensor) and output.dim() == 4 and output.is_floating_point():
        return output
    given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    raise InputError(
        f"layer {name!r} gives {given}, not maps (1, C, H, W); choose a layer before the "
        "pooling or the flattening of the head"
    )


def _score(logits: Tensor, label: int | None) -> Tensor:
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != 1:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"Grad-CAM needs a classifier's logits (1, classes); got {given}")
    classes = logits.shape[1]
    if label is None:
        label = int(logits.argmax())
    if isinstance(label, bool) or not hasattr(label, "__index__"):
        raise InputError(f"a class is given by its number, from 0 to {classes - 1}, not {label!r}")
    if not 0 <= label < classes:
        raise InputError(f"no class {label}; there are {classes}, from 0 to {classes - 1}")
    return logits[0, label]
