"""Labels of images in the numbers of a network that knows the same classes in another order."""

from collections.abc import Sequence

from PIL import Image

from convatlas.data.imagenet_names import imagenet_classes, imagenet_synsets
from convatlas.data.sources import Split
from convatlas.errors import InputError


class Relabelled:
    """A split whose labels have other numbers.

    Attributes:
        labels: In the numbers of the network.
    """

    def __init__(self, split: Split, numbers: Sequence[int]) -> None:
        """Take a split and the new number of each of its classes."""
        self._split = split
        self.labels = [numbers[label] for label in split.labels]

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, i: int) -> Image.Image:
        """Give image `i`."""
        return self._split.image(i)

    def label(self, i: int) -> int:
        """Give the class of image `i` in the numbers of the network."""
        return self.labels[i]

    def name(self, i: int) -> str:
        """Name image `i` as the split does."""
        return self._split.name(i)


def aligned(split: Split, given: Sequence[str], trained: Sequence[str]) -> Split:
    """Give a split the labels of a network that knows all of its classes.

    Every class of the data must be one of the network's, by its name. The 1,000 classes of ImageNet
    are also known by all names of their synsets at once, and by the numbers of these, after which
    the official folders are called. The network may know more: it still answers with any of its
    classes.

    Args:
        split: Images and labels.
        given: Names of the split's classes.
        trained: Names of the network's, in the order of its logits.

    Raises:
        InputError: A class that the network does not know, or knows twice.
    """
    if tuple(given) == tuple(trained) or (_are_imagenet(given) and _are_imagenet(trained)):
        return split
    numbers = _numbers(trained)
    unknown = [(i, name) for i, name in enumerate(given) if name not in numbers]
    if unknown:
        i, name = unknown[0]
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        here = f"; its class {i} is {trained[i]!r}" if i < len(trained) else ""
        raise InputError(
            f"it knows {len(trained)} classes and the data has {len(given)}, of which it knows "
            f"no {name!r}{more}{here}"
        )
    found = [numbers[name] for name in given]
    for name, number in zip(given, found, strict=True):
        if number is None:
            raise InputError(f"it knows two classes called {name!r}: which one is meant?")
    chosen = [number for number in found if number is not None]
    if len(set(chosen)) < len(chosen):
        raise InputError("two classes of the data are one class of the network")
    return Relabelled(split, chosen)


def _numbers(trained: Sequence[str]) -> dict[str, int | None]:
    """Give the number of each class by its name; None: two have it."""
    numbers: dict[str, int | None] = {}
    for i, name in enumerate(trained):
        numbers[name] = None if name in numbers else i
    if _are_imagenet(trained):
        numbers |= {synset: i for i, synset in enumerate(imagenet_synsets())}
    return numbers


def _are_imagenet(classes: Sequence[str]) -> bool:
    """Say whether these are all classes of ImageNet: "tench", or "tench, Tinca tinca"."""
    return tuple(name.partition(",")[0].strip() for name in classes) == imagenet_classes()
