"""What a list of the networks tells of each, kept so that the next list needs no torch."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from convatlas.analysis.code import code_digest
from convatlas.errors import FileError
from convatlas.files import cache_folder, write_text


@dataclass(frozen=True, slots=True)
class Listed:
    """One network of the catalog.

    Attributes:
        name: As users call it.
        year: Of its paper.
        params: Trainable parameters.
        macs: Multiply-adds on an image of `input_shape`.
        input_shape: Channels, height and width of the paper's images.
        num_classes: Of the paper.
        paper: Its title.
        url: Where it is.
        deviation: How the network differs from the paper's; empty: it does not.
        weights: Names of those that are published for it.
    """

    name: str
    year: int
    params: int
    macs: int
    input_shape: tuple[int, ...]
    num_classes: int
    paper: str
    url: str
    deviation: str
    weights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Every network of the catalog, and the forms of names that stand for any other."""

    networks: tuple[Listed, ...]
    forms: tuple[str, ...]


def listing(progress: Callable[[int, int], None] | None = None) -> Listing:
    """List every network, in order of publication.

    The list is kept in CONVATLAS_CACHE (~/.cache/convatlas), in `costs/list.json`, for as long as
    the code that builds and counts the networks and the version of torch stay the same.

    Args:
        progress: Called before each network that must be counted: how many are, of how many.
    """
    path, key = cache_folder("costs") / "list.json", code_digest("weights/registry")
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # missing or damaged
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] == key:
            networks = (Listed(**_facts(facts)) for facts in kept["networks"])
            return Listing(tuple(networks), tuple(kept["forms"]))
    found = _counted(progress)
    with contextlib.suppress(FileError):  # a cache that can't be written only costs time
        write_text(path, json.dumps({"key": key, **asdict(found)}))
    return found


def _facts(facts: dict) -> dict:
    many = ("input_shape", "weights")
    return facts | {name: tuple(facts[name]) for name in many}


def _counted(progress: Callable[[int, int], None] | None) -> Listing:
    """Ask the catalog, which takes torch a second to import and some more to count."""
    from convatlas import catalog
    from convatlas.analysis.costs import catalog_costs
    from convatlas.weights.published import published

    networks = []
    for name, (params, macs) in catalog_costs(progress).items():
        architecture, variant = catalog.find(name)
        paper = architecture.paper
        facts = (variant.input_shape, variant.num_classes, paper.title, paper.url)
        there = tuple(entry.name for entry in published(name))
        networks.append(Listed(name, paper.year, params, macs, *facts, variant.deviation, there))
    forms = [form for architecture in catalog.ARCHITECTURES for form in architecture.forms]
    return Listing(tuple(networks), tuple(forms))
