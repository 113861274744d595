"""The ledger: what papers print about their networks, as claims in YAML files.

One file per paper under `convatlas/claims`; its form is described in docs/claims.md.
"""

import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from convatlas.errors import FileError, InputError

KINDS = ("derivable", "trainable_small", "trainable_large", "historical")
_REQUIRED = ("id", "architecture", "quantity", "value", "tolerance", "source", "kind")
_BOUNDS = ("exact", "upper_bound", "lower_bound")


@dataclass(frozen=True, slots=True)
class Claim:
    """One printed value.

    Attributes:
        id: Unique over all files: "<family>.<name>".
        architecture: The network that it is about; "a+b": an ensemble; "~a": not of the ledger's
            own registry.
        quantity: What is claimed, such as "params".
        config: Everything that changes the value.
        value: As printed, in plain units.
        tolerance: "exact", {"abs": x}, {"rel": x}, "upper_bound" or "lower_bound".
        source: Who prints it, and where.
        kind: One of KINDS.
        reference_value: What the network really gives; None: not known.
        agrees: Whether that is within the tolerance; False: the print is wrong.
        reference: How the reference value was found.
        note: What a reader should know.
        file: Name of the file, without its folder and ending.
    """

    id: str
    architecture: str
    quantity: str
    config: Mapping[str, Any]
    value: Any
    tolerance: str | Mapping[str, float]
    source: str
    kind: str
    reference_value: Any
    agrees: bool | None
    reference: str
    note: str
    file: str

    @property
    def subject(self) -> str:
        """The network's name without the mark "~"."""
        return self.architecture.removeprefix("~")


def read_ledger(folder: str | Path | None = None) -> list[Claim]:
    """Read all claims of a folder of YAML files, by default the ledger that comes with convatlas.

    Raises:
        FileError: No such folder, or a file that can't be read or is no YAML.
        InputError: An entry that is no claim, or an id that comes twice; the message names both
            the file and the entry.
    """
    claims: dict[str, Claim] = {}
    for path in _files(folder):
        for number, entry in enumerate(_entries(path), start=1):
            claim = _claim(entry, f"{path.name}, entry {number}", Path(path.name).stem)
            if claim.id in claims:
                first = claims[claim.id].file
                raise InputError(
                    f"{path.name}, entry {number}: the id {claim.id} is already in {first}"
                )
            claims[claim.id] = claim
    return list(claims.values())


def _files(folder: str | Path | None) -> Sequence[Traversable]:
    place: Traversable = (
        importlib.resources.files("convatlas") / "claims" if folder is None else Path(folder)
    )
    if not place.is_dir():
        raise FileError(f"no folder of claims at {place}")
    files = [path for path in place.iterdir() if path.name.endswith((".yaml", ".yml"))]
    if not files:
        raise FileError(f"no claims in {place}: it has no .yaml file")
    return sorted(files, key=lambda path: path.name)


def _entries(path: Traversable) -> list[Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where it was built
    try:
        entries = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"can't read {path}: {error}") from error
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = "" if mark is None else f"line {mark.line + 1}: "
        raise FileError(f"{path.name} is not YAML: {line}{problem or 'unreadable'}") from error
    if not isinstance(entries, list):
        raise InputError(f"{path.name} is no ledger: it must be a list of claims")
    return entries


def _claim(entry: Any, place: str, file: str) -> Claim:
    if not isinstance(entry, dict):
        raise InputError(f"{place}: a claim is a mapping, not {entry!r}")
    place += f" ({entry['id']})" if isinstance(entry.get("id"), str) else ""
    missing = [key for key in _REQUIRED if entry.get(key) is None]
    if missing:
        raise InputError(f"{place}: the claim has no {', '.join(missing)}")
    for key in ("id", "architecture", "quantity", "kind"):
        if not isinstance(entry[key], str):
            raise InputError(f"{place}: {key} must be text, not {entry[key]!r}")
    if entry["kind"] not in KINDS:
        raise InputError(f"{place}: kind is one of {', '.join(KINDS)}, not {entry['kind']!r}")
    config = entry.get("config") or {}
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise InputError(f"{place}: config must be a mapping, not {config!r}")
    if entry.get("agrees") not in (True, False, None):
        raise InputError(f"{place}: agrees is true or false, not {entry['agrees']!r}")
    return Claim(
        id=entry["id"],
        architecture=entry["architecture"],
        quantity=entry["quantity"],
        config=config,
        value=entry["value"],
        tolerance=_tolerance(entry["tolerance"], place),
        source=_source(entry["source"], place),
        kind=entry["kind"],
        reference_value=entry.get("reference_value"),
        agrees=entry.get("agrees"),
        reference=str(entry.get("reference") or ""),
        note=str(entry.get("note") or ""),
        file=file,
    )


def _tolerance(given: Any, place: str) -> str | Mapping[str, float]:
    if isinstance(given, str) and given in _BOUNDS:
        return given
    if isinstance(given, dict) and list(given) in (["abs"], ["rel"]):
        (amount,) = given.values()
        if isinstance(amount, (int, float)) and not isinstance(amount, bool) and amount >= 0:
            return given
    allowed = "exact, upper_bound, lower_bound, {abs: x} or {rel: x}"
    raise InputError(f"{place}: tolerance is {allowed}, not {given!r}")


def _source(given: Any, place: str) -> str:
    if not isinstance(given, dict) or not given.get("ref"):
        raise InputError(f"{place}: source must have a ref and a where, not {given!r}")
    return ", ".join(str(given[key]) for key in ("ref", "where") if given.get(key))
