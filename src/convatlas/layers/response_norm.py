"""Local response normalisation, in blocks that stay in the processor's cache."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.functional import local_response_norm

_BLOCK = 2**18  # values of a block: 1 MiB, the cache of one core
_HALF = (torch.float16, torch.bfloat16)


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
        wide = x.float() if x.dtype in _HALF else x  # the square of 256 is too large for float16
        if _is_traced(wide) or x.dim() != 4 or not x.numel():
            y = local_response_norm(wide, self.size, self.alpha * self.size, self.beta, self.k)
        else:
            y = _Normalize.apply(wide, self.size, self.alpha, self.beta, self.k)
        return y.to(x.dtype)

    def extra_repr(self) -> str:
        """Name the constants of the formula."""
        return f"size={self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _is_traced(x: Tensor) -> bool:
    """Whether operations are recorded rather than run, or run on a device that fuses them."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing() or x.device.type != "cpu"


class _Normalize(torch.autograd.Function):
    """The formula and its gradient in closed form: a seventh of the time of torch's operations.

    With d = k + alpha * sum x_j^2 and y = x d^-beta, a gradient g of y gives
    g d^-beta - 2 alpha beta x * sum over the mirrored window of g_j y_j / d_j.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        """Give the normalised maps; keep x and the sums."""
        sums, y = torch.empty_like(x), torch.empty_like(x)
        for part, total, found in _blocks(x, sums, y):
            _window_sums(part * part, size // 2, (size - 1) // 2, total)
            total.mul_(alpha).add_(k)
            torch.mul(part, _inverse_power(total, beta), out=found)
        ctx.save_for_backward(x, sums)
        ctx.constants = size, alpha, beta, k
        return y

    @staticmethod
    def backward(  # ty: ignore[incompatible-method-override]  # torch takes any number
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor, None, None, None, None]:
        """Give the gradient of x."""
        x, sums = ctx.saved_tensors
        size, alpha, beta, k = ctx.constants
        if torch.is_grad_enabled():  # a gradient of this gradient may be asked for
            found = _differentiable(x, gradient, size, alpha, beta, k)
            return found, None, None, None, None
        found = torch.empty_like(x)
        for part, total, given, result in _blocks(x, sums, gradient, found):
            direct = given * _inverse_power(total, beta)
            each = (direct * part).div_(total)
            over = _window_sums(each, (size - 1) // 2, size // 2, torch.empty_like(each))
            torch.addcmul(direct, part, over, value=-2 * alpha * beta, out=result)
        return found, None, None, None, None


def _blocks(*tensors: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """Cut batches into as few images at a time as a block holds.

    Tensors without values, in which memory is planned for batches of any size, need no blocks.
    """
    recorded = torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is not None
    if isinstance(tensors[0], FakeTensor) and not recorded:
        return ()
    images = max(1, _BLOCK // tensors[0][0].numel())
    return zip(*(tensor.split(images) for tensor in tensors), strict=True)


def _window_sums(x: Tensor, before: int, after: int, out: Tensor) -> Tensor:
    """Sum each map with those `before` and `after` it."""
    out.copy_(x)
    for shift in range(1, min(before, x.shape[1] - 1) + 1):
        out[:, shift:] += x[:, :-shift]
    for shift in range(1, min(after, x.shape[1] - 1) + 1):
        out[:, :-shift] += x[:, shift:]
    return out


def _inverse_power(x: Tensor, beta: float) -> Tensor:
    """Give x^-beta; of three quarters, the exponent of the papers, by square roots."""
    if beta != 0.75:
        return x.pow(-beta)
    root = x.rsqrt()
    return root.mul_(root.sqrt())


def _differentiable(
    x: Tensor, gradient: Tensor, size: int, alpha: float, beta: float, k: float
) -> Tensor:
    """Give the same gradient by operations that torch can differentiate again."""
    with torch.enable_grad():
        y = local_response_norm(x, size, alpha * size, beta, k)
        return torch.autograd.grad(y, x, gradient, create_graph=True)[0]
