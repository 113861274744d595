"""Layers that several papers share and that are no paper's own contribution."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from convatlas.errors import InputError


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm, activation: (N, C, H, W) -> (N, out, H', W').

    The padding keeps the size at stride 1. `act=None` leaves the activation out.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        *,
        groups: int = 1,
        act: Callable[[], nn.Module] | None = nn.ReLU,
    ) -> None:
        conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        parts = OrderedDict[str, nn.Module](conv=conv, norm=nn.BatchNorm2d(out_channels))
        if act is not None:
            parts["act"] = act()
        super().__init__(parts)


class ConvLayer(nn.Sequential):
    """Convolution with a bias or with batch norm, ReLU: (N, in, H, W) -> (N, out, H', W').

    The padding keeps the size at stride 1, unless another is given. `eps` is what batch norm adds
    to the variance; None: no batch norm.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | None = None,
        *,
        eps: float | None = None,
        act: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        same = (size[0] // 2, size[1] // 2)
        pad = same if padding is None else padding
        conv = nn.Conv2d(in_channels, out_channels, size, stride, pad, bias=eps is None)
        parts = OrderedDict[str, nn.Module](conv=conv)
        if eps is not None:
            parts["norm"] = nn.BatchNorm2d(out_channels, eps=eps)
        parts["act"] = act()
        super().__init__(parts)


def make_chain(**layers: nn.Module) -> nn.Sequential:
    """Build layers that run one after the other, by name."""
    return nn.Sequential(OrderedDict(layers))


class Classifier(nn.Sequential):
    """Global average pooling and one linear layer: (N, C, H, W) -> (N, num_classes)."""

    fc: nn.Linear

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(
            OrderedDict[str, nn.Module](
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                fc=nn.Linear(in_channels, num_classes),
            )
        )


class LocalResponseNorm(nn.Module):
    """Divide each value by a power of the energy in `size` neighbouring maps.

    Krizhevsky et al. 2012, section 3.3: b = a / (k + alpha * sum of a_j^2)^beta, the sum over
    the `size` maps around this one. `nn.LocalResponseNorm` and Caffe divide alpha by `size`:
    they need alpha = 5e-4 to compute what the paper prints with 1e-4.
    """

    def __init__(
        self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
    ) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """Normalise across channels; the shape stays (N, C, H, W)."""
        half = x.dtype in (torch.float16, torch.bfloat16)
        wide = x.float() if half else x  # the square of 256 is too large for float16
        y = nn.functional.local_response_norm(
            wide, self.size, self.alpha * self.size, self.beta, self.k
        )
        return y.to(x.dtype)

    def extra_repr(self) -> str:
        """Name the constants of the formula."""
        return f"size={self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def he_normal_(conv: nn.Conv2d) -> None:
    """Draw from N(0, 2 / (k k c_out)), the fan-out form of He et al. 2015 (1502.01852, eq. 14).

    The authors' code (facebook/fb.resnet.torch) takes c_out whole for grouped convolutions too.
    """
    fan_out = conv.out_channels * math.prod(conv.kernel_size)
    nn.init.normal_(conv.weight, 0.0, math.sqrt(2.0 / fan_out))


def check_images(
    x: Tensor, channels: int, smallest: tuple[int, int], layer: str, net: str = "this network"
) -> None:
    """Refuse what `net` can't take, before a layer fails in words of its own.

    Args:
        x: The batch that was given.
        channels: How many the first layer takes.
        smallest: Least height and width for which every layer still has an output.
        layer: The first layer that has none below that size.
        net: How the message names the network.

    Raises:
        InputError: Not a float tensor (N, channels, H, W), or too small; the message gives the
            size that came, the smallest legal one and the layer.
    """
    if x.dim() != 4:
        raise InputError(
            f"{net} takes a batch of images (N, {channels}, H, W); got a tensor of "
            f"{x.dim()} dimensions, {tuple(x.shape)}"
        )
    if not x.is_floating_point():
        raise InputError(
            f"{net} takes floating-point images; got {x.dtype}: convert and normalise them first"
        )
    if x.shape[1] != channels:
        raise InputError(
            f"{net} takes {channels} channels; got {x.shape[1]} in {tuple(x.shape)}: "
            f"build it with in_channels={x.shape[1]}"
        )
    height, width = x.shape[2:]
    if height < smallest[0] or width < smallest[1]:
        raise InputError(
            f"{net} takes images of at least {smallest[0]}x{smallest[1]}, the least for "
            f"{layer}; got {height}x{width}"
        )


def check_map(x: Tensor, size: tuple[int, int], layer: str, sizes: str) -> None:
    """Refuse a feature map that a fully connected layer was not built for.

    Args:
        x: The maps that reach `layer`, (N, C, H, W).
        size: Height and width that `layer` takes.
        layer: Its dotted name.
        sizes: The legal image sizes, in words.

    Raises:
        InputError: The maps have another size.
    """
    if x.shape[2:] != torch.Size(size):
        raise InputError(
            f"{layer} takes maps of {size[0]}x{size[1]}, that is images of {sizes}; "
            f"got maps of {x.shape[2]}x{x.shape[3]}"
        )


Window = tuple[int, int, int]  # kernel, stride, padding


def map_side(image: int, windows: Iterable[Window]) -> int:
    """Give the height of the maps that `windows`, one after the other, leave of an image's."""
    side = image
    for kernel, stride, padding in windows:
        side = (side + 2 * padding - kernel) // stride + 1
    return side


def image_sides(side: int, windows: Sequence[Window]) -> tuple[int, int]:
    """Give the least and the largest height of an image that `windows` turn into maps of `side`."""
    least = largest = side
    for kernel, stride, padding in reversed(windows):
        least = (least - 1) * stride + kernel - 2 * padding
        largest = largest * stride + kernel - 2 * padding - 1
    return least, largest
