"""Which engine was the quickest, kept from one process to the next."""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import nn

from convatlas import __version__
from convatlas.engines.engine import Order
from convatlas.engines.machine import machine
from convatlas.errors import FileError
from convatlas.files import cache_folder, write_text

_FILE = "choices.json"
_MOST = 500  # choices kept; the oldest go first


def choice_key(order: Order, asked: Mapping[str, Any], versions: Mapping[str, Any]) -> str:
    """Digest what the choice depends on: network, shape, machine, threads and versions.

    The values of the weights are no part of it: they do not change the speed, and whether the
    answers agree is looked at each time.
    """
    facts = {
        "network": _structure(order.model),
        "shape": list(order.example.shape),
        "device": str(order.example.device.type),
        "machine": machine(),
        "convatlas": __version__,
        **asked,
        **versions,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _structure(model: nn.Module) -> list[Any]:
    shapes = [[name, list(tensor.shape)] for name, tensor in model.state_dict().items()]
    return [type(model).__module__, str(model), shapes, str(getattr(model, "created_as", None))]


def recall(key: str) -> dict[str, Any] | None:
    """Give what was kept under a key, or None."""
    return _read().get(key)


def remember(key: str, choice: dict[str, Any]) -> None:
    """Keep a choice; a cache that can't be written only costs time."""
    kept = _read()
    kept.pop(key, None)
    kept[key] = choice
    newest = dict(list(kept.items())[-_MOST:])
    with contextlib.suppress(FileError):
        write_text(cache_folder("engines") / _FILE, json.dumps(newest))


def _read() -> dict[str, Any]:
    """Read all that was kept; nothing where it is missing or damaged."""
    try:
        kept = json.loads((cache_folder("engines") / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
