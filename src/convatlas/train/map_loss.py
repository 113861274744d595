"""The loss that LeNet-5 was trained with."""

from torch import Tensor, nn

from convatlas.errors import InputError


def map_loss(logits: Tensor, labels: Tensor, j: float = 10.0) -> Tensor:
    """Average the maximum a posteriori criterion of LeCun et al. 1998 (equation 9) over a batch.

    y_D + log(exp(-j) + sum of exp(-y_i)), y being minus the logits: the cross-entropy with one
    class more, "rubbish", of the constant logit -j. It keeps the outputs of all classes apart,
    which the distance to the right code alone (equation 8) does not.

    Args:
        logits: Minus the distances to the codes of the classes, (N, classes).
        labels: Right classes, (N,).
        j: Positive; the paper does not print its value.

    Returns:
        The loss, a scalar.

    Raises:
        InputError: `j` is not positive.
    """
    if not j > 0:
        raise InputError(f"j must be positive (equation 9), not {j!r}")
    return nn.functional.cross_entropy(nn.functional.pad(logits, (0, 1), value=-j), labels)
