"""How far another runtime's answers are from those of the network itself."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.errors import InputError

LEAST_TOP1 = 0.99  # part of the answers whose class must be the same
FLOAT32_TOLERANCE = 1e-4  # sums in another order, and Winograd's transforms
ROUNDINGS = 4  # times a network's own error that another order of its sums may bring


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a comparison of answers found.

    Attributes:
        relative_error: The largest difference, as a part of the largest expected logit.
        top1: The part of images, or of pixels of a map, for which both name the same class.
        decided_top1: The same part of those whose best two logits are further apart than the
            tolerance: for the others rounding alone may turn the answer.
    """

    relative_error: float
    top1: float
    decided_top1: float

    def misfit(self, tolerance: float, strict: bool = False) -> str:
        """Say what is beyond the tolerance; nothing where all is within it.

        Args:
            tolerance: Largest relative error.
            strict: Close calls count too in the agreement on the class.
        """
        if not self.relative_error <= tolerance:  # a NaN is beyond every tolerance
            return f"a relative error of {self.relative_error:.1e}, beyond {tolerance:.0e}"
        agreed = self.top1 if strict else self.decided_top1
        if agreed < LEAST_TOP1:
            return f"the same class for {agreed:.1%} of the answers only"
        return ""


def compare(expected: Tensor, found: Tensor, tolerance: float) -> Agreement:
    """Compare answers to the same images.

    Args:
        expected: Logits of the network itself, (N, classes) or (N, classes, H, W).
        found: Those of the other runtime.
        tolerance: Relative to the largest expected logit; see `Agreement.decided_top1`.

    Raises:
        InputError: The shapes differ.
    """
    if expected.shape != found.shape:
        raise InputError(
            f"the output has the shape {tuple(found.shape)}, not {tuple(expected.shape)}"
        )
    expected, found = expected.detach().double().cpu(), found.detach().double().cpu()
    scale = expected.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    error = ((expected - found).abs().max() / scale).item()
    same = expected.argmax(1) == found.argmax(1)
    if expected.shape[1] > 1:
        best = expected.topk(2, dim=1).values
        decided = best[:, 0] - best[:, 1] > tolerance * scale
    else:
        decided = torch.ones_like(same)
    agreed = same[decided].double().mean().item() if decided.any() else 1.0
    return Agreement(error, same.double().mean().item(), agreed)


def rounding(model: nn.Module, x: Tensor, logits: Tensor) -> float:
    """Give the relative error that a network itself makes: of its answers against float64.

    Deep networks with fresh weights enlarge what is lost in rounding, layer by layer.
    """
    with torch.inference_mode():
        exact = copy.deepcopy(model).double()(x.double())
    return compare(exact, logits, 1.0).relative_error


def worst(found: list[Agreement]) -> Agreement:
    """Give the worst of each measure over several comparisons."""
    errors = [one.relative_error for one in found]
    finite = all(error == error for error in errors)  # max() overlooks a NaN
    return Agreement(
        max(errors) if finite else float("nan"),
        min(one.top1 for one in found),
        min(one.decided_top1 for one in found),
    )


def to_dict(found: Agreement) -> dict[str, Any]:
    """Give the measures as JSON takes them."""
    return {"relative_error": found.relative_error, "top1_agreement": found.top1}
