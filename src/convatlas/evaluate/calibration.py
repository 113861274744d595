"""Does a network know how often it is right? Its confidence beside its accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass

from convatlas.errors import InputError

BINS = 15  # as Guo et al. 2017 count


@dataclass(frozen=True, slots=True)
class Bin:
    """Images whose greatest probability lies in one interval.

    Attributes:
        low: The interval is open here,
        high: and closed here.
        count: Images in it.
        confidence: Mean of their greatest probabilities; None without images.
        accuracy: Fraction of them that is recognised; None without images.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Confidence and accuracy, interval by interval.

    Attributes:
        error: Expected calibration error: the mean over all images of the gap between accuracy
            and confidence of their bin, in [0, 1]; 0 is calibrated.
        bins: Of equal width, from 0 to 1.
    """

    error: float
    bins: tuple[Bin, ...]


def calibrate(confidences: Sequence[float], right: Sequence[bool], bins: int = BINS) -> Calibration:
    """Compare how sure a network is with how often it is right.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equations 2 and 3
    (https://arxiv.org/abs/1706.04599). Bins are of equal width: (0, 1/15], ..., (14/15, 1]. The
    error has a bias: of few images it is above 0 even where the network is calibrated.

    Args:
        confidences: Probability of the predicted class of each image, in [0, 1].
        right: Whether that class is the true one.
        bins: How many.

    Raises:
        InputError: No images, fewer than one bin, or no probability.
    """
    if not len(confidences) or bins < 1:
        raise InputError(f"can't tell the calibration of {len(confidences)} images in {bins} bins")
    held: list[list[int]] = [[] for _ in range(bins)]
    for i, confidence in enumerate(confidences):
        if not 0 <= confidence <= 1:
            raise InputError(f"a probability lies between 0 and 1; image {i} has {confidence}")
        held[_bin_of(confidence, bins)].append(i)
    found, gap = [], 0.0
    for place, members in enumerate(held):
        confidence = accuracy = None
        if members:
            confidence = sum(confidences[i] for i in members) / len(members)
            accuracy = sum(right[i] for i in members) / len(members)
            gap += len(members) * abs(accuracy - confidence)
        low, high = place / bins, (place + 1) / bins
        found.append(Bin(low, high, len(members), confidence, accuracy))
    return Calibration(gap / len(confidences), tuple(found))


def _bin_of(confidence: float, bins: int) -> int:
    place = min(int(confidence * bins), bins - 1)
    # a bin holds its upper end; and the product above may round to either side of it
    while place > 0 and confidence <= place / bins:
        place -= 1
    while confidence > (place + 1) / bins:
        place += 1
    return place
