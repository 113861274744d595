"""The same classifier, fully convolutional: a map of logits on larger images.

A fully connected layer is a convolution whose kernel covers all of its maps: Sermanet et al. 2013
(OverFeat, https://arxiv.org/abs/1312.6229, section 3.5), Long et al. 2014
(https://arxiv.org/abs/1411.4038, section 3.1).
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.analysis.meta import meta_copy
from convatlas.catalog import find
from convatlas.errors import InputError
from convatlas.layers import check_images
from convatlas.transfer.chain import Call, Chain, follow, least_size, map_shape

Replacement = Callable[[nn.Module], nn.Module]
_SILENT = (nn.Dropout, nn.Identity, nn.Flatten)
ROUNDING = 0.01  # a larger relative error is another function, in any precision


@dataclass(frozen=True, slots=True)
class Limits:
    """What images a network takes: their channels, least height and width, and what limits them."""

    in_channels: int
    smallest: tuple[int, int]
    layer: str
    net: str


class FullyConvolutional(nn.Module):
    """Parts of a classifier in a row: (N, C, H, W) -> (N, num_classes, H', W').

    The parts keep their names, such as `stages` and `head`, and so do the layers in them.
    """

    def __init__(self, parts: dict[str, nn.Module], limits: Limits) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.limits = limits

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits at each place of the last map."""
        limits = self.limits
        check_images(x, limits.in_channels, limits.smallest, limits.layer, limits.net)
        for part in self.children():
            x = part(x)
        return x


class PerPosition(nn.Module):
    """A layer for rows of features, at each place of a map: (N, C, H, W) -> (N, C', H, W)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Make a row of the features of each place, and places of the rows."""
        batch, channels, height, width = x.shape
        rows = self.layer(x.permute(0, 2, 3, 1).reshape(-1, channels))
        return rows.reshape(batch, height, width, rows.shape[1]).permute(0, 3, 1, 2)


def to_fcn(model: nn.Module, input_shape: Sequence[int] | None = None) -> FullyConvolutional:
    """Copy a classifier so that it gives a map of logits on larger images.

    Fully connected layers behind flattened maps become convolutions: an image of the native size
    has a map of one place, with the logits of `model`; a larger one a place for each window.
    Global average pooling before a linear layer is left out, and the layer works at each place:
    for an image of any size the mean of the map is the logits of `model`. Where more follows the
    pooling, it becomes an average over windows of the native size.

    Args:
        model: A classifier whose forward runs its children in a row, the last of which flattens
            maps by `nn.Flatten`: all of convatlas do, and it stays as it is.
        input_shape: The native size, (channels, height, width); that of the network by default,
            when convatlas built it.

    Returns:
        A copy with weights of its own, on the same device and in the same mode. Unless it is on
        the meta device, it was run beside `model` on one random image of the native size.

    Raises:
        InputError: (a ValueError) the native size is not known, or `model` can't be made fully
            convolutional; the message names it and says why.
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    created = getattr(model, "created_as", None)
    net = type(model).__name__ if created is None else created["name"]
    shape = _native_shape(net, created, input_shape)
    try:
        return _checked_copy(model, _plan(meta_copy(model), shape, net), shape)
    except InputError as error:
        raise InputError(f"{net} can't be made fully convolutional: {error}") from error


@dataclass(frozen=True, slots=True)
class _Plan:
    """How to make a network fully convolutional."""

    parts: tuple[str, ...]
    replacements: dict[str, Replacement]  # of layers, by name
    limits: Limits

    def apply(self, net: nn.Module) -> FullyConvolutional:
        """Replace layers of a network, in place, and put its parts in a row."""
        for name, make in self.replacements.items():
            net.set_submodule(name, make(net.get_submodule(name)))
        parts = {name: net.get_submodule(name) for name in self.parts}
        return FullyConvolutional(parts, self.limits)


def _plan(twin: nn.Module, shape: tuple[int, int, int], net: str) -> _Plan:
    """Find out on the meta device what to replace; `twin` is used up."""
    chain = follow(twin, shape)
    replacements, layer = _replacements(chain)
    limits = Limits(shape[0], least_size(twin, shape), layer, net)
    grown = _Plan(chain.parts, replacements, replace(limits, smallest=(1, 1))).apply(twin)
    _check_growth(grown, shape)
    height, width = map(max, limits.smallest, least_size(grown, shape))
    return _Plan(chain.parts, replacements, replace(limits, smallest=(height, width)))


def _native_shape(
    net: str, created: dict[str, Any] | None, given: Sequence[int] | None
) -> tuple[int, int, int]:
    if given is not None:
        if len(given) != 3:
            raise InputError(f"input_shape is (channels, height, width), not {tuple(given)}")
        channels, height, width = given
        return channels, height, width
    if created is None:
        raise InputError(f"convatlas did not build this {net}: give input_shape, (3, 224, 224)")
    _, height, width = find(created["name"])[1].input_shape
    size = created["overrides"].get("input_size")  # what fc6 of AlexNet, VGG, ... is built for
    return created["in_channels"], size or height, size or width


def _replacements(chain: Chain) -> tuple[dict[str, Replacement], str]:
    """Say for layers by name what stands there instead, and what limits the size of images."""
    replacements: dict[str, Replacement] = {chain.flatten.name: _identity}
    if chain.pooling is not None:
        replacements[chain.pooling.name] = _without_pooling(chain.pooling, chain.behind)
    height, width = chain.flatten.input.shape[2:]
    whole = [chain.flatten.output]  # rows that hold whole maps
    averaged = chain.pooling is not None and height * width == 1
    limit = "its last map" if averaged else ""
    for call in chain.behind:
        on_maps = any(call.input is row for row in whole)
        if call.input.dim() != 2:
            continue  # it is before the flattening and takes maps
        if isinstance(call.module, nn.Linear) and on_maps:
            replacements[call.name] = partial(as_convolution, kernel=(height, width))
            limit = limit or call.name
        elif isinstance(call.module, nn.Linear):
            replacements[call.name] = partial(as_convolution, kernel=(1, 1))
        elif on_maps and height * width > 1 and _holds_tensors(call.module):
            raise InputError(f"{call.name} takes the rows of whole maps and is no linear layer")
        elif _holds_tensors(call.module):
            replacements[call.name] = PerPosition
        elif on_maps:
            whole.append(call.output)
    return replacements, limit or "its last map"


def as_convolution(linear: nn.Module, kernel: tuple[int, int]) -> nn.Conv2d:
    """Make a convolution with the weights of a linear layer for flattened maps.

    Args:
        linear: An `nn.Linear` whose inputs are channels of maps of the size of `kernel`.
        kernel: Height and width of the maps.
    """
    if not isinstance(linear, nn.Linear):
        raise InputError(f"{type(linear).__name__} is no linear layer")
    channels = linear.in_features // math.prod(kernel)
    conv = nn.Conv2d(channels, linear.out_features, kernel, device="meta")
    weight = linear.weight.detach().reshape(conv.weight.shape)
    conv.weight = nn.Parameter(weight, requires_grad=linear.weight.requires_grad)
    conv.bias = linear.bias
    return conv.train(linear.training)


def _without_pooling(pooling: Call, behind: Sequence[Call]) -> Replacement:
    before, after = pooling.input.shape[2:], pooling.output.shape[2:]
    if before == after:
        return _identity
    if not isinstance(pooling.module, nn.AdaptiveAvgPool2d) or after != torch.Size((1, 1)):
        raise InputError(f"{pooling.name} makes {tuple(after)} of maps of any size")
    layers = [call.module for call in behind if not isinstance(call.module, _SILENT)]
    if all(isinstance(layer, nn.Linear) for layer in layers) and len(layers) < 2:
        return _identity  # a mean of logits is the logits of the mean
    return partial(_window, size=(int(before[0]), int(before[1])))


def _identity(_layer: nn.Module) -> nn.Module:
    return nn.Identity()


def _window(_layer: nn.Module, size: tuple[int, int]) -> nn.Module:
    return nn.AvgPool2d(size, stride=1)


def _holds_tensors(module: nn.Module) -> bool:
    return any(True for _ in (*module.parameters(), *module.buffers()))


def _check_growth(twin: nn.Module, shape: tuple[int, int, int]) -> None:
    """See on the meta device that a larger image has a larger map."""
    channels, height, width = shape
    try:
        native = map_shape(twin, shape)
        larger = map_shape(twin, (channels, 2 * height, 2 * width))
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"its layers do not take maps: {reason}") from error
    if len(native) != 4 or native[2] >= larger[2]:
        raise InputError(f"twice the image gives {larger}, where the native size gives {native}")


def _checked_copy(model: nn.Module, plan: _Plan, shape: tuple[int, int, int]) -> FullyConvolutional:
    """Convert a copy and see that its logits are the model's."""
    net = copy.deepcopy(model)
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    weight = next(net.parameters(), torch.empty(0))
    image = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0)).to(weight)
    with torch.no_grad():
        expected = None if weight.is_meta else net(image)
        fcn = plan.apply(net).eval()
        if expected is not None:
            error = (fcn(image).mean((2, 3)) - expected).norm()
            if error > ROUNDING * expected.norm():
                raise InputError("its layers in a row compute something else than its forward")
    fcn.train(model.training)
    for module, training in modes:
        module.training = training
    return fcn
