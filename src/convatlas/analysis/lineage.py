"""The family tree of the atlas: which paper builds on which.

What a file of `architectures/` imports from another is read from the sources. Ancestors whose ideas
a paper takes without sharing code are declared in its `Architecture.builds_on`.
"""

import ast
import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass

from convatlas import catalog
from convatlas.card import Architecture
from convatlas.errors import FileError

_ROOM = "convatlas.architectures"


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A paper that another one builds on.

    Attributes:
        name: The older family: "resnet".
        parts: What the younger file imports of the older one, by name; empty: nothing.
        idea: What it takes in words, and where it says so; empty: the code says it.
    """

    name: str
    parts: tuple[str, ...] = ()
    idea: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """A paper in the tree.

    Attributes:
        name: Of the file: "resnext".
        year: When it was published.
        ancestors: All it builds on, in order of publication.
        parents: Those that lead to it in the tree: all but the ones whose code it has by way of
            another ancestor too.
    """

    name: str
    year: int
    ancestors: tuple[Ancestor, ...] = ()
    parents: tuple[str, ...] = ()


def lineage(architectures: Sequence[Architecture] | None = None) -> list[Family]:
    """Give every family with what it builds on, in order of publication.

    Args:
        architectures: Those of the catalog by default.
    """
    chosen = catalog.ARCHITECTURES if architectures is None else architectures
    order = [architecture.name for architecture in chosen]
    families: list[Family] = []
    above: dict[str, set[str]] = {}
    for architecture in chosen:
        name = architecture.name
        imported = {key: parts for key, parts in imports_of(name).items() if key in order}
        declared = architecture.builds_on
        names = sorted({*imported, *declared}, key=order.index)
        ancestors = tuple(
            Ancestor(key, imported.get(key, ()), declared.get(key, "")) for key in names
        )
        above[name] = set(names).union(*(above.get(key, ()) for key in names))
        parents = tuple(
            key for key in names if key in declared or not any(key in above[o] for o in imported)
        )
        families.append(Family(name, architecture.paper.year, ancestors, parents))
    return families


def imports_of(name: str) -> dict[str, tuple[str, ...]]:
    """Read from the source of a family what it imports from others: family -> names.

    Raises:
        FileError: There is no such file.
    """
    file = importlib.resources.files(_ROOM) / f"{name}.py"
    try:
        source = file.read_text(encoding="utf-8")
    except OSError as error:
        raise FileError(f"no architecture file {name}.py: {error}") from error
    return imported(source)


def imported(source: str) -> dict[str, tuple[str, ...]]:
    """Find in a source what it imports from architecture files, wherever it does so."""
    found: dict[str, list[str]] = {}
    for step in ast.walk(ast.parse(source)):
        if isinstance(step, ast.ImportFrom) and step.module == _ROOM:
            for alias in step.names:
                found.setdefault(alias.name, [])
        elif isinstance(step, ast.ImportFrom) and (step.module or "").startswith(f"{_ROOM}."):
            names = [alias.name for alias in step.names]
            found.setdefault(_family(step.module), []).extend(names)
        elif isinstance(step, ast.Import):
            for alias in step.names:
                if alias.name.startswith(f"{_ROOM}."):
                    found.setdefault(_family(alias.name), [])
    return {family: tuple(names) for family, names in found.items()}


def _family(module: str | None) -> str:
    return (module or "").removeprefix(f"{_ROOM}.").partition(".")[0]
