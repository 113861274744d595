"""The 1,000 classes of ILSVRC-2012, in the order in which networks know them.

Each has a synset of WordNet, such as n01440764, after which the folders of the official data set
are called, and of whose names the first stands here; the order is that of the synsets. Two names
occur twice: crane, the bird and the machine, and maillot.
"""

from functools import cache
from importlib.resources import files


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Give the names, in the order of the logits."""
    return tuple(line.partition(" ")[2] for line in _lines())


@cache
def imagenet_synsets() -> tuple[str, ...]:
    """Give the synsets, in the same order."""
    return tuple(line.partition(" ")[0] for line in _lines())


def _lines() -> list[str]:
    file = files("convatlas.data") / "imagenet_classes.txt"
    return file.read_text(encoding="utf-8").splitlines()
