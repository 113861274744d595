"""Every library whose weights can be converted; which of its networks is one of ours."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from convatlas.catalog import find
from convatlas.errors import InputError, suggest, unknown
from convatlas.weights.key_map import KeyMap, Source, translate
from convatlas.weights.keymaps import akamaster, caffe, gluon, timm, torchvision

SOURCES: dict[str, Source] = {
    module.SOURCE.name: module.SOURCE for module in (torchvision, timm, caffe, gluon, akamaster)
}
# fields of a spec that evaluation does not see
TRAINING = ("dropout", "drop_connect", "init", "sides")


def find_map(name: str, source: str) -> tuple[Source, KeyMap]:
    """Give a library and its network that computes what `name` does.

    Raises:
        UnknownNameError: No such network of ours, or no such source.
        InputError: The library has no network of this function; the message says why, or which
            it has.
    """
    find(name)
    if source not in SOURCES:
        raise unknown("source of weights", source, SOURCES)
    library = SOURCES[source]
    key_map = _network_of(library, name)
    if key_map is not None:
        return library, key_map
    reason = library.refused.get(name)
    if reason is None:
        others = [other for other in SOURCES if _network_of(SOURCES[other], name) is not None]
        there = f"; {' and '.join(others)} has one" if others else suggest(name, library.networks)
        reason = f"{source} has no network that computes the same{there}"
    raise InputError(f"{name} takes no weights of {source}: {reason}")


def _network_of(library: Source, name: str) -> KeyMap | None:
    for ours, key_map in library.networks.items():
        theirs = translate(name, ours, key_map.theirs)
        if theirs is not None:
            return replace(key_map, theirs=theirs)
    return None


def check_function(
    name: str, library: Source, key_map: KeyMap, overrides: Mapping[str, Any]
) -> None:
    """Refuse fields of the spec with which `name` computes something else than theirs.

    Raises:
        InputError: A field has another value than theirs needs; the message names it.
    """
    theirs, spec = f"{library.name}'s {key_map.theirs}", find(name)[1].spec
    for field, value in key_map.overrides.items():
        if overrides.get(field, getattr(spec, field)) != value:
            needed = ", ".join(f"{key}={value!r}" for key, value in key_map.overrides.items())
            raise InputError(f"{theirs} is {name} with {needed}: give these, here and to create")
    for field, value in overrides.items():
        known = field in key_map.overrides or field in TRAINING or not hasattr(spec, field)
        if not known and value != getattr(spec, field):
            raise InputError(f"{theirs} computes something else than {name} with {field}={value!r}")


def their_keys(net: nn.Module, library: Source, key_map: KeyMap) -> dict[str, str]:
    """Give the key in the library's state_dict for each of ours, in our order."""
    keys = {}
    for key in net.state_dict():
        layer, _, kind = key.rpartition(".")
        found = (translate(layer, ours, theirs) for ours, theirs in key_map.rules)
        theirs = next((name for name in found if name is not None), None)
        if theirs is None:
            raise InputError(f"no rule for {key} of {library.name}'s {key_map.theirs}")
        keys[key] = theirs + (f".{kind}" if library.suffixes is None else library.suffixes[kind])
    return keys
