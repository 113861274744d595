"""How much the loss bends along each weight: second derivatives by a pass backwards.

LeCun et al. 1998, appendix C (equations 24 to 28). The loss of an image is differentiated twice by
the logits, exactly; from there on back, a unit passes on its second derivative by the squares of
its weights and of its slope, as it does its first by the weights and the slope. Two things are
left out, as in the paper: how the slopes change (the Gauss-Newton approximation, which keeps the
result at 0 and above) and the mixed derivatives of any two units or connections.

Where the output compares with codes, what enters it bends the distance to the right code by 2
(equation 8). The second term of equation 9 takes that away again as the network learns: with
all of it, every weight had the rate lr / mu after one pass, and the next undid what was learnt.

A pass that squares is an ordinary one through a layer of squared weights and squared inputs. So
each layer here gives its own values, on a graph of that other layer.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, jacrev, vmap
from torch.nn import Parameter
from torch.nn import functional as F

from convatlas.architectures.lenet5 import RBF, Squash, Subsampling
from convatlas.errors import InputError
from convatlas.evaluate.modes import eval_mode
from convatlas.train.losses import Loss


def curvature(
    model: nn.Module, loss: Loss, images: Tensor, labels: Tensor
) -> dict[Parameter, Tensor]:
    """Measure the second derivative of the loss along each weight: its mean over images.

    Args:
        model: A classifier of convolutions, linear layers, poolings and activations; left as it
            was.
        loss: Of logits and labels.
        images: (N, C, H, W), on the model's device.
        labels: (N,).

    Returns:
        For each parameter that takes gradients a tensor of its shape, at least 0.

    Raises:
        InputError: The network has a layer of another kind, or gives no vector of logits.
    """
    compared: list[Tensor] = []

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if isinstance(layer, RBF):
            compared.append(inputs[0])
            return output
        squared = _rule(layer)(layer, inputs[0], output)
        return output.detach() + squared - squared.detach()

    hooks = [layer.register_forward_hook(hook) for layer in model.modules() if _is_leaf(layer)]
    try:
        with eval_mode(model), torch.enable_grad():
            logits = model(images)
    finally:
        for handle in hooks:
            handle.remove()
    if logits.dim() != 2:
        raise InputError("DiagonalLM trains networks that give each image one vector of logits")
    last = compared[0] if compared else logits
    bend = torch.full_like(last, 2.0) if compared else _second(loss, logits.detach(), labels)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    found = torch.autograd.grad(last, weights, bend / len(images))
    return dict(zip(weights, found, strict=True))


def _second(loss: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    """Differentiate the loss of each image twice by each of its logits: (N, classes)."""

    def loss_of_one(values: Tensor, label: Tensor) -> Tensor:
        return loss(values[None], label[None])

    found = vmap(jacrev(grad(loss_of_one)), chunk_size=50)(logits, labels)
    return found.diagonal(dim1=1, dim2=2).clamp(min=0)


def _is_leaf(layer: nn.Module) -> bool:
    return next(layer.children(), None) is None


Rule = Callable[[Any, Tensor, Tensor], Tensor]  # (layer, input, output) -> the other layer's


def _rule(layer: nn.Module) -> Rule:
    for kinds, rule in _RULES:
        if isinstance(layer, kinds):
            return rule
    known = ", ".join(kind.__name__ for kinds, _ in _RULES for kind in kinds)
    raise InputError(
        f"DiagonalLM knows no second derivatives of {type(layer).__name__}; it knows {known}, RBF"
    )


def _squared(x: Tensor) -> Tensor:
    """Give the squares; what comes back goes on to `x` as it is."""
    return x + (x.square() - x).detach()


def _convolved(layer: nn.Conv2d, x: Tensor, _: Tensor) -> Tensor:
    weight, groups = _squared(layer.weight), layer.groups
    around = (layer.stride, layer.padding, layer.dilation)
    return F.conv2d(_squared(x), weight, layer.bias, *around, groups)


def _multiplied(layer: nn.Linear, x: Tensor, _: Tensor) -> Tensor:
    return F.linear(_squared(x), _squared(layer.weight), layer.bias)


def _summed(layer: Subsampling, x: Tensor, _: Tensor) -> Tensor:
    total = 4 * F.avg_pool2d(x, 2)
    shape = (-1, 1, 1)
    return _squared(total) * _squared(layer.coefficient).view(shape) + layer.bias.view(shape)


def _averaged(layer: nn.AvgPool2d, x: Tensor, _: Tensor) -> Tensor:
    side = layer.kernel_size
    cells = side**2 if isinstance(side, int) else side[0] * side[1]
    return F.avg_pool2d(x, side, layer.stride, layer.padding) / cells


def _bent(_layer: nn.Module, x: Tensor, output: Tensor) -> Tensor:
    [slope] = torch.autograd.grad(output.sum(), x)
    return slope.square() * x


def _passed_on(_layer: nn.Module, _x: Tensor, output: Tensor) -> Tensor:
    return output


_RULES: tuple[tuple[tuple[type[nn.Module], ...], Rule], ...] = (
    ((nn.Conv2d,), _convolved),
    ((nn.Linear,), _multiplied),
    ((Subsampling,), _summed),
    ((nn.AvgPool2d,), _averaged),
    ((Squash, nn.ReLU, nn.Tanh, nn.Sigmoid), _bent),
    ((nn.MaxPool2d, nn.Flatten, nn.Dropout, nn.Identity), _passed_on),
)
