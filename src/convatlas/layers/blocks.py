"""Parts that several papers are built of and that are no paper's own contribution."""

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn


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


def make_chain(**layers: nn.Module | None) -> nn.Sequential:
    """Build layers that run one after the other, by name; None: there is no such layer."""
    found = ((name, layer) for name, layer in layers.items() if layer is not None)
    return nn.Sequential(OrderedDict(found))


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


class ResidualUnit(nn.Module):
    """A residual unit made of parts: after(shortcut(x) + branch(before(x))).

    He et al. 2016 (1603.05027), equations 1 and 2.

    Args:
        branch: F.
        shortcut: h; None: a plain net has none.
        before: The pre-activation of the branch.
        after: What follows the addition.
        merge: Joins shortcut and branch instead of the addition.
        shared: The shortcut too starts from the pre-activation, not from x itself.
    """

    def __init__(
        self,
        branch: nn.Module,
        shortcut: nn.Module | None,
        *,
        before: nn.Module | None = None,
        after: nn.Module | None = None,
        merge: nn.Module | None = None,
        shared: bool = False,
    ) -> None:
        super().__init__()
        self.shared = shared
        self.before = before or nn.Identity()
        self.branch = branch
        self.shortcut = shortcut
        self.merge = merge
        self.after = after or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride)."""
        activated = self.before(x)
        y = self.branch(activated)
        if self.shortcut is not None:
            x = self.shortcut(activated if self.shared else x)
            y = x + y if self.merge is None else self.merge(x, y)
        return self.after(y)
