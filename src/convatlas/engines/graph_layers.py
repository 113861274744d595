"""Layers by oneDNN's own operations: weights laid out once, what follows done while writing.

torch lays weights out for oneDNN anew at each call, and runs the activation as a pass of its own.
The operations that its compiler uses do neither, and need no compiling.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# what oneDNN can do to a value before it is written, by the module that does it otherwise
FUSED: dict[type[nn.Module], Callable[[Any], tuple[str, list[float]]]] = {
    nn.ReLU: lambda _: ("relu", []),
    nn.ReLU6: lambda _: ("hardtanh", [0.0, 6.0]),
    nn.Hardtanh: lambda act: ("hardtanh", [act.min_val, act.max_val]),
    nn.LeakyReLU: lambda act: ("leaky_relu", [act.negative_slope]),
    nn.SiLU: lambda _: ("swish", []),
    nn.Sigmoid: lambda _: ("sigmoid", []),
    nn.Tanh: lambda _: ("tanh", []),
    nn.Hardswish: lambda _: ("hardswish", []),
    nn.Hardsigmoid: lambda _: ("hardsigmoid", []),
}


_FEW_MACS = 2**21  # up to here calling oneDNN takes longer than multiplying
_MANY_MACS = 2**25  # from here on the call does not count, and convolutions suit large maps


class PackedConv(nn.Module):
    """A convolution whose weights lie as oneDNN reads them; perhaps an addition, an activation."""

    def __init__(self, conv: nn.Conv2d, size: torch.Size, act: nn.Module | None) -> None:
        super().__init__()
        how = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self.how = tuple(list(one) if isinstance(one, tuple) else one for one in how)
        plain = conv.weight.detach().contiguous(memory_format=torch.channels_last)
        self.weight = kept(torch.ops.mkldnn._reorder_convolution_weight(plain, *how, list(size)))
        self.bias = conv.bias
        self.act, self.scalars = pointwise(act)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """(N, in, H, W) -> (N, out, H', W'); `other`: added before the activation, none or ReLU."""
        if other is None:
            return torch.ops.mkldnn._convolution_pointwise.default(
                x, self.weight, self.bias, *self.how, self.act, self.scalars, ""
            )
        act = None if self.act == "none" else self.act
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, other, self.weight, self.bias, *self.how, "add", 1.0, act, [], None
        )


class PackedPixels(nn.Module):
    """A 1x1 convolution as a linear layer over pixels, which oneDNN is asked for in less time."""

    def __init__(self, conv: nn.Conv2d, size: torch.Size, act: nn.Module | None) -> None:
        super().__init__()
        plain = conv.weight.detach().flatten(1).contiguous()
        pixels = size[0] * size[2] * size[3]
        self.weight = kept(torch.ops.mkldnn._reorder_linear_weight(plain, pixels))
        self.bias = conv.bias
        self.act, self.scalars = pointwise(act)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H, W), channels last."""
        y = torch.ops.mkldnn._linear_pointwise.default(
            x.permute(0, 2, 3, 1).contiguous(),
            self.weight,
            self.bias,
            self.act,
            self.scalars,
            "",
        )
        return y.permute(0, 3, 1, 2)


class FewPixels(nn.Module):
    """A 1x1 convolution so small that torch has multiplied before oneDNN has begun."""

    def __init__(self, conv: nn.Conv2d, act: nn.Module | None) -> None:
        super().__init__()
        self.weight = kept(conv.weight.detach().flatten(1).contiguous())
        self.bias = conv.bias
        self.act = nn.Identity() if act is None else act

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H, W), channels last."""
        y = nn.functional.linear(x.permute(0, 2, 3, 1), self.weight, self.bias)
        return self.act(y).permute(0, 3, 1, 2)


def packed_conv(
    conv: nn.Conv2d, size: torch.Size, act: nn.Module | None, residual: bool
) -> nn.Module:
    """Give the layer of oneDNN or torch that does a convolution in the least time."""
    points = (conv.kernel_size, conv.stride, conv.padding, conv.groups) == (
        (1, 1),
        (1, 1),
        (0, 0),
        1,
    )
    if residual or not points:
        return PackedConv(conv, size, act)
    macs = size[0] * size[2] * size[3] * conv.in_channels * conv.out_channels
    if macs <= _FEW_MACS:
        return FewPixels(conv, act)
    return PackedPixels(conv, size, act) if macs <= _MANY_MACS else PackedConv(conv, size, act)


class PackedTranspose(nn.Module):
    """A transposed convolution whose weights lie as oneDNN reads them; perhaps an activation."""

    def __init__(self, conv: nn.ConvTranspose2d, size: torch.Size, act: nn.Module | None) -> None:
        super().__init__()
        how = (conv.padding, conv.output_padding, conv.stride, conv.dilation)
        self.how = [list(one) for one in how]
        self.groups = conv.groups
        plain = conv.weight.detach().contiguous(memory_format=torch.channels_last)
        ordered = torch.ops.mkldnn._reorder_convolution_transpose_weight
        self.weight = kept(ordered(plain, *self.how, self.groups, list(size)))
        self.bias = conv.bias
        self.act, self.scalars = pointwise(act)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H', W')."""
        return torch.ops.mkldnn._convolution_transpose_pointwise.default(
            x, self.weight, self.bias, *self.how, self.groups, self.act, self.scalars, ""
        )


class PackedLinear(nn.Module):
    """A linear layer whose weights lie as oneDNN reads them, and perhaps an activation."""

    def __init__(self, linear: nn.Linear, size: torch.Size, act: nn.Module | None) -> None:
        super().__init__()
        plain = linear.weight.detach().contiguous()
        self.weight = kept(torch.ops.mkldnn._reorder_linear_weight(plain, size[0]))
        self.bias = linear.bias
        self.act, self.scalars = pointwise(act)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in) -> (N, out)."""
        return torch.ops.mkldnn._linear_pointwise.default(
            x.contiguous(), self.weight, self.bias, self.act, self.scalars, ""
        )


class ScaleShift(nn.Module):
    """A batch norm that no layer could take: one multiplication and addition, perhaps a ReLU."""

    def __init__(self, scale: Tensor, shift: Tensor, relu: bool) -> None:
        super().__init__()
        self.scale, self.shift = nn.Buffer(scale), nn.Buffer(shift)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        y = torch.addcmul(self.shift, x, self.scale)
        return y.relu_() if self.relu else y


def kept(weight: Tensor) -> nn.Parameter:
    """Let a network that asks its layers for the device of their parameters find it."""
    return nn.Parameter(weight, requires_grad=False)


def pointwise(act: nn.Module | None) -> tuple[str, list[float]]:
    """Give oneDNN's name of an activation, and its constants."""
    return ("none", []) if act is None else FUSED[type(act)](act)
