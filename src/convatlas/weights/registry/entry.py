"""The noun of the registry: weights that somebody publishes."""

from dataclasses import dataclass

from convatlas.data.preprocess import Preprocessing


@dataclass(frozen=True, slots=True)
class Published:
    """Weights for one network, and what is known of them.

    Attributes:
        network: Of convatlas.
        name: What a user calls them, such as "torchvision_v1"; once for each network.
        source: The library whose names the file has, as for `convatlas.convert`.
        urls: Of the file; mirrors, in the order in which they are tried.
        sha256: Of the file, in hexadecimal digits, or the first of them where no more is known.
        megabytes: Size of the file, in 2^20 bytes.
        data: What they were trained on.
        licence: Of the weights, as far as who publishes them says.
        top1_accuracy: Percent, as who publishes them measured it.
        top5_accuracy: Likewise; None: it is not told.
        cited: Where these accuracies stand.
        preprocessing: What the images need; None: what the source's other weights need.
    """

    network: str
    name: str
    source: str
    urls: tuple[str, ...]
    sha256: str
    megabytes: float
    data: str
    licence: str
    top1_accuracy: float
    top5_accuracy: float | None
    cited: str
    preprocessing: Preprocessing | None = None
