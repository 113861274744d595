"""Weights on disk: one safetensors file that also says which network it holds.

The header carries one JSON object under the key `convatlas`: architecture, classes, preprocessing
and whatever else a run knows, so that the file alone is enough to predict with. Nothing here
unpickles, so a file can't run code.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from convatlas import __version__
from convatlas.catalog import build, build_meta
from convatlas.errors import FileError, InputError
from convatlas.files import whole_file
from convatlas.weights.fitting import WeightsWarning, explain_misfit, fill
from convatlas.weights.hub import PREFIX, from_hub

FORMAT = 1
FILE_NAME = "model.safetensors"  # what a run folder calls its result
_KEY = "convatlas"


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file holds; `metadata` is None where another library wrote it."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, Any] | None


def save(model: nn.Module, path: str | Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a network that `create` or `load` gave, and what is needed to use it.

    Args:
        model: On any device, in any mode and precision; it stays as it is.
        path: The file to write, by custom with the suffix `.safetensors`.
        metadata: JSON values to keep with the weights. These keys are used elsewhere: `classes`
            (names in the order of the logits), `preprocessing`, `source`, `recipe`, `metrics`.
            Those that tell the network are set from the model.

    Raises:
        InputError: Not a network of convatlas, or metadata that can't be kept.
        FileError: The disk is full or `path` can't be written; nothing is left behind.
    """
    model = getattr(model, "_orig_mod", model)  # torch.compile gives a network around ours
    header = json.dumps(_header(model, metadata or {}), ensure_ascii=False)
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    with whole_file(path) as aside:
        try:
            save_file(tensors, aside, {_KEY: header})
        except SafetensorError as error:  # it is no OSError even when the disk is full
            raise OSError(str(error)) from error


def load(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Read a network that `save` wrote.

    Args:
        path: A safetensors file, or a folder of a run or of `convatlas push`, of which
            `model.safetensors` is read; or "hf:USER/NAME", a repository of the hub.

    Returns:
        The network in eval mode, float32, on the CPU; and its metadata: `architecture`,
        `num_classes`, `in_channels`, `overrides`, and what `save` was given.

    Raises:
        FileError: No such file, not a safetensors file, one that doesn't say which network it
            holds, or one that doesn't fit that network.
    """
    stored = read_stored(path)
    if stored.metadata is None:
        raise FileError(
            f"{stored.path} doesn't say which network it holds; name the network: "
            f'create("resnet50", weights="{stored.path.name}")'
        )
    name, arguments = stored.metadata["architecture"], build_arguments(stored.metadata)
    try:
        expected = build_meta(name, **arguments).state_dict()
    except Exception as error:  # a header may ask for anything, even what no spec foresees
        reason = str(error).partition("\n")[0]
        raise FileError(f"the header of {stored.path} describes no network: {reason}") from error
    misfit = explain_misfit(expected, stored.tensors)
    if misfit:
        raise FileError(f"{stored.path} doesn't fit {name}: {misfit}")
    with torch.random.fork_rng(devices=()):  # the fresh weights are overwritten at once
        model = build(name, **arguments)
    for remark in fill(model, stored.tensors, str(stored.path)):
        warnings.warn(remark, WeightsWarning, stacklevel=2)
    return model.eval(), stored.metadata


def describes_network(path: str | Path) -> bool:
    """Say whether a file is one that `save` wrote, by its header alone."""
    try:
        with safe_open(path, framework="pt") as file:
            return _KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def _header(model: nn.Module, metadata: Mapping[str, Any]) -> dict[str, Any]:
    made = getattr(model, "created_as", None)
    if not isinstance(made, dict):
        raise InputError(
            f"can't save this {type(model).__name__}: only a network that convatlas built can say "
            "in its file which one it is"
        )
    name = made["name"]
    try:
        json.dumps({**metadata, "overrides": made["overrides"]}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"can't keep the metadata of {name}: {error}") from error
    classes = metadata.get("classes")
    if classes is not None and not isinstance(classes, (list, tuple)):
        raise InputError(f"classes are a list of names, not {classes!r}")
    if classes is not None and len(classes) != made["num_classes"]:
        raise InputError(f"{name} has {made['num_classes']} classes; got {len(classes)} names")
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise InputError(f"can't save {name}: on the meta device it has shapes but no weights")
    misfit = explain_misfit(
        build_meta(name, **build_arguments(made)).state_dict(), model.state_dict()
    )
    if misfit:
        raise InputError(f"can't save {name}: it has changed since it was built: {misfit}")
    return {
        **metadata,
        "format": FORMAT,
        "convatlas": __version__,
        "architecture": name,
        "num_classes": made["num_classes"],
        "in_channels": made["in_channels"],
        "overrides": made["overrides"],
    }


def build_arguments(made: Mapping[str, Any]) -> dict[str, Any]:
    """Give the arguments of `catalog.build` that a file's metadata, or `created_as`, tells."""
    sizes = {key: made[key] for key in ("num_classes", "in_channels")}
    return {**sizes, **made["overrides"]}


def read_stored(path: str | Path) -> Stored:
    """Read a file, wherever `load` takes it from; whether it fits its network is not looked at.

    Raises:
        FileError: No such file, no safetensors file, or a damaged header.
    """
    path = from_hub(str(path), FILE_NAME) if str(path).startswith(PREFIX) else Path(path)
    if path.is_dir():
        path = path / FILE_NAME
        if not path.is_file():
            raise FileError(
                f"{path.parent} holds no {FILE_NAME}: no run folder, or its training hasn't ended"
            )
    if not path.is_file():
        raise FileError(f"no weights file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
            header = (file.metadata() or {}).get(_KEY)
    except (SafetensorError, OSError) as error:
        raise FileError(f"{path} is no whole safetensors file: {error}") from error
    return Stored(path, tensors, None if header is None else _metadata(path, header))


def _metadata(path: Path, header: str) -> dict[str, Any]:
    try:
        metadata = json.loads(header)
        version = metadata["format"]
    except (ValueError, TypeError, KeyError) as error:
        raise FileError(f"the header of {path} is damaged: {error!r}") from error
    if version != FORMAT:
        raise FileError(
            f"{path} has format {version!r}, this convatlas {__version__} reads {FORMAT}: "
            f"it was written by {metadata.get('convatlas', 'another version')}"
        )
    kinds = {"architecture": str, "num_classes": int, "in_channels": int, "overrides": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(metadata.get(name), kind)]
    optional = {"classes": list, "preprocessing": dict}
    wrong += [k for k, kind in optional.items() if not isinstance(metadata.get(k) or kind(), kind)]
    if wrong:
        raise FileError(f"the header of {path} is damaged: no valid {', '.join(wrong)}")
    return metadata
