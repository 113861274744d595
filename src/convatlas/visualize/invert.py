"""Feature inversion: an image whose maps are those of a given image; what a layer still knows.

Mahendran, Vedaldi 2015, "Understanding Deep Image Representations by Inverting Them":
https://arxiv.org/abs/1412.0035
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.visualize.layers import maps_in_graph
from convatlas.visualize.scores import explaining, layer_name, prepared, widened
from convatlas.visualize.smoothness import total_variation

_ALPHA = 6  # of the norm that keeps values in their range (section 3.2)
_BOUND = 3.0  # where that norm begins to tell, in units of the preprocessed image
_START = 0.01  # standard deviation of the noise at the beginning
_MEMORY = 10  # gradients that L-BFGS remembers


@dataclass(frozen=True, slots=True)
class Inversion:
    """Images that were made from maps alone.

    Attributes:
        layer: Dotted name.
        images: (N, C, H, W), preprocessed; `Preprocessing.image` makes pictures of them.
        errors: |Phi(x) - Phi(x0)|^2 / |Phi(x0)|^2 of each, (N,).
    """

    layer: str
    images: Tensor
    errors: Tensor


def invert(
    model: nn.Module,
    images: Tensor,
    layer: str | None = None,
    *,
    steps: int = 100,
    tv: float = 1e-3,
    norm: float = 1e-3,
    seed: int = 0,
) -> Inversion:
    """Minimize, from faint noise, the error of the maps and two penalties.

    error + tv * mean of (dx^2 + dy^2) + norm * mean of (|x| / 3)^6: equations 1 and 5 of the
    paper with alpha 6 and beta 2, per pixel, so that the weights hold for images of any size. The
    paper descends by momentum; L-BFGS comes to the same minimum in fewer passes.

    Args:
        model: Any network; evaluated in evaluation mode and left as it was.
        images: Preprocessed, (N, C, H, W).
        layer: Dotted name; `model.cam_layer` when not given.
        steps: Of L-BFGS.
        tv: Weight of the total variation.
        norm: Weight of the norm.
        seed: Of the noise.

    Returns:
        The images found, and their errors.

    Raises:
        UnknownNameError: `model` has no such layer.
        InputError: The layer gives no maps, or maps that are zero; a number out of range.
    """
    if steps < 1 or not (tv >= 0 and norm >= 0):
        raise InputError(f"at least 1 step and weights of 0 or more, not {steps}, {tv}, {norm}")
    name = layer_name(model, layer)
    generator = torch.Generator().manual_seed(seed)
    with explaining(model):
        inputs = prepared(model, images)
        with torch.no_grad():
            wanted = widened(maps_in_graph(model, inputs, name))
        power = wanted.square().sum(dim=(1, 2, 3))
        if not torch.isfinite(power).all() or not power.all():
            raise InputError(
                f"the maps of layer {name!r} are zero or not finite: nothing to invert"
            )
        noise = torch.randn(images.shape, generator=generator, dtype=torch.float64) * _START
        found = noise.to(inputs.device, wanted.dtype).requires_grad_()
        pixels = found[0].numel()

        def errors() -> Tensor:
            maps = widened(maps_in_graph(model, found.to(inputs.dtype), name))
            return (maps - wanted).square().sum(dim=(1, 2, 3)) / power

        def closure() -> Tensor:
            rough = total_variation(found) / pixels
            large = (found.abs() / _BOUND).pow(_ALPHA).mean(dim=(1, 2, 3))
            loss = (errors() + tv * rough + norm * large).sum()
            # not backward(): it would leave gradients in the parameters of the network
            found.grad = torch.autograd.grad(loss, found)[0]
            return loss.detach()

        descent = torch.optim.LBFGS(
            [found],
            max_iter=steps,
            history_size=_MEMORY,
            tolerance_grad=1e-9,
            tolerance_change=1e-12,
            line_search_fn="strong_wolfe",
        )
        descent.step(closure)
        with torch.no_grad():
            return Inversion(name, found.detach(), errors())
