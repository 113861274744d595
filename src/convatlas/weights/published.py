"""Weights that others publish, by name: which there are, and how they come here."""

import re
from pathlib import Path
from typing import Any

from convatlas.catalog import find
from convatlas.data.cifar_sources import CIFAR10
from convatlas.data.download import Progress, download
from convatlas.errors import FileError, InputError, suggest, unknown
from convatlas.weights.foreign import load_foreign
from convatlas.weights.places import weights_file
from convatlas.weights.registry import REGISTRY
from convatlas.weights.registry.entry import Published
from convatlas.weights.store import save

_NAME = re.compile(r"\w+")  # neither a suffix nor a folder: it is no path


def published(network: str | None = None) -> list[Published]:
    """List the weights that are published for a network, or for all.

    Raises:
        UnknownNameError: No such network.
    """
    if network is not None:
        find(network)
    return [entry for entry in REGISTRY if network in (None, entry.network)]


def find_published(network: str, name: str | None = None) -> Published:
    """Give the weights of that name; without a name, the first of the network.

    Raises:
        UnknownNameError: No such network, or no weights of this name are published for it.
        InputError: None are published for it.
    """
    entries = {entry.name: entry for entry in published(network)}
    if not entries:
        known = dict.fromkeys(entry.network for entry in REGISTRY)
        raise InputError(f"no weights are published for {network}{suggest(network, known)}")
    if name is not None and name not in entries:
        raise unknown(f"weights of {network}, and no file,", name, entries)
    return entries[name or next(iter(entries))]


def place(entry: Published) -> Path:
    """Give the file in which weights are kept once they are here, in the form of `save`."""
    return weights_file(entry.network, entry.name)


def located(network: str, weights: str | Path, progress: Progress | None = None) -> str | Path:
    """Give the place of weights that a user names: a path as it is, a published name fetched.

    Raises:
        UnknownNameError: No weights of this name are published for the network, and there is no
            such file.
        FileError: They can't be downloaded.
    """
    text = str(weights)
    if isinstance(weights, Path) or not _NAME.fullmatch(text) or Path(text).exists():
        return weights
    if not published(network):
        raise FileError(f"no weights file {text}, and none are published for {network}")
    return fetch(find_published(network, text), progress)


def fetch(entry: Published, progress: Progress | None = None) -> Path:
    """Bring published weights here, checked and converted; done only once.

    The file of its source stays beside the converted one.

    Args:
        entry: One of `published()`.
        progress: Told of the bytes that have arrived.

    Raises:
        FileError: No mirror gave the right file, or it can't be read or written.
    """
    path = place(entry)
    if path.is_file():
        return path
    theirs = path.with_name(entry.urls[0].rpartition("/")[2])
    download(entry.urls, theirs, entry.sha256, progress)
    model, metadata = load_foreign(theirs, entry.network, entry.source)
    save(model, path, metadata | _told(entry))
    return path


def _told(entry: Published) -> dict[str, Any]:
    """Give what the file says of where it comes from, and how good it is said to be."""
    accuracies = {
        "published_top1_accuracy": entry.top1_accuracy / 100,
        "published_top5_accuracy": entry.top5_accuracy and entry.top5_accuracy / 100,
    }
    told: dict[str, Any] = {
        "weights": entry.name,
        "source": entry.data,
        "url": entry.urls[0],
        "licence": entry.licence,
        "metrics": {key: value for key, value in accuracies.items() if value is not None},
        "cited": entry.cited,
    }
    if entry.preprocessing is not None:
        told["preprocessing"] = entry.preprocessing.to_dict()
    if entry.data == "cifar10":
        told["classes"] = list(CIFAR10.card.classes)
    return told
