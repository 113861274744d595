"""1x1 convolutions before an average pooling, computed behind it, while a network learns.

Both are linear, and neither looks at what the other does: a weighted sum of maps of means is the
mean of the weighted sums. Behind a pooling of 2x2 there is a quarter as much to multiply.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from convatlas.train.adjacent import Line, adjacent


@dataclass(frozen=True, slots=True)
class PooledConv:
    """A 1x1 convolution and the pooling of its maps, as the transitions of DenseNet have them.

    Attributes:
        conv: The convolution.
        pool: The pooling, which does nothing meanwhile.
        ended: Sequences that the convolution ends.
    """

    conv: Any
    pool: Any
    ended: Line = ()

    @property
    def hidden(self) -> Line:
        """Modules that give or take something else meanwhile."""
        return (self.conv, self.pool, *self.ended)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, maps, H', W')."""
        conv, pool = self.conv, self.pool
        return type(conv).forward(conv, type(pool).forward(pool, x))


def find_pooled_convs(model: nn.Module) -> list[PooledConv]:
    """List the 1x1 convolutions of a network whose maps are only averaged."""
    return [
        PooledConv(conv, pool, ended)
        for conv, pool, ended in adjacent(model)
        if _is_pointwise(conv) and _is_plain(pool)
    ]


def _is_pointwise(conv: nn.Module) -> bool:
    if type(conv) is not nn.Conv2d:
        return False
    return (conv.kernel_size, conv.stride, _pair(conv.padding)) == ((1, 1), (1, 1), (0, 0))


def _is_plain(pool: nn.Module) -> bool:
    """Say whether every output is the mean of as many values, and there are fewer outputs."""
    if type(pool) is not nn.AvgPool2d or pool.divisor_override is not None:
        return False
    sides = _pair(pool.stride)
    return _pair(pool.padding) == (0, 0) and not pool.ceil_mode and sides[0] * sides[1] > 1
