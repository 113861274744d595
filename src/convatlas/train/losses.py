"""The losses that recipes name: functions of logits (N, classes) and labels (N,)."""

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional as F

from convatlas.architectures.lenet5 import map_loss
from convatlas.errors import InputError, unknown

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Loss] = {
    "cross_entropy": F.cross_entropy,  # mean, in nats
    "lenet5_map": map_loss,  # LeCun et al. 1998, equation 9
}


def make_loss(name: str, label_smoothing: float = 0.0) -> Loss:
    """Give the loss of that name.

    Args:
        name: A key of `LOSSES`.
        label_smoothing: Weight of the uniform distribution in the target of the cross entropy;
            Szegedy et al. 2015 (1512.00567), section 7.

    Raises:
        UnknownNameError: There is none of that name; the message lists the nearest.
        InputError: Only the cross entropy has a smoothed form.
    """
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    if not label_smoothing:
        return LOSSES[name]
    if name != "cross_entropy":
        raise InputError(f"the loss {name} takes no label_smoothing; got {label_smoothing}")
    return partial(F.cross_entropy, label_smoothing=label_smoothing)
