"""Open a network by what a user has of it: a run, a file, or a name and weights from anywhere."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.catalog import build, build_meta, find
from convatlas.data.download import Progress
from convatlas.errors import FileError, InputError, UnknownNameError
from convatlas.weights.fitting import WeightsWarning, axes_of_sizes, fill
from convatlas.weights.foreign import load_foreign, read_state_dict
from convatlas.weights.hub import PREFIX
from convatlas.weights.key_map import Rules
from convatlas.weights.published import located
from convatlas.weights.sources import SOURCES, find_map, their_keys
from convatlas.weights.store import FILE_NAME, describes_network, load

OURS = "convatlas"  # the names in a file that are ours, though no header says so


def open_model(
    model: str | Path,
    weights: str | Path | None = None,
    source: str | None = None,
    progress: Progress | None = None,
) -> tuple[nn.Module, dict[str, Any]]:
    """Open a trained network.

    Args:
        model: A run folder, a safetensors file that says which network it holds, "hf:USER/NAME";
            or the name of a network, with `weights`.
        weights: Where the weights of a network's name lie: one of those just told, or a file of
            another library, as `convatlas.weights.foreign.load_foreign` takes it; or the name of
            weights that are published for the network, which are brought here.
        source: Which library wrote that file; None: the one whose names its tensors have.
        progress: Told of the way of published weights here.

    Returns:
        The network in eval mode, float32, on the CPU; and its metadata, as of `convatlas.load`.

    Raises:
        UnknownNameError: No such network or source.
        InputError: A network's name without weights; weights of another network.
        FileError: No such file, or none that can be read.
    """
    if weights is None:
        _check_trained(model)
        return load(model)
    name = str(model)
    if _is_place(model):
        raise InputError(f"{model} has weights of its own: --weights belongs to a network's name")
    find(name)
    weights = located(name, weights, progress)
    if source is None and _tells_network(weights):
        network, metadata = load(weights)
        if metadata["architecture"] != name:
            held = metadata["architecture"]
            raise InputError(f"{weights} holds weights of {held}, not of {name}")
        return network, metadata
    tensors = read_state_dict(weights)
    source = source or guess_source(tensors, name)
    if source == OURS:
        return _load_unnamed(Path(weights), name, tensors)
    network, metadata = load_foreign(weights, name, source)
    return network, _told(network) | metadata


def guess_source(tensors: dict[str, Any], name: str) -> str:
    """Give the library whose names most tensors have: `OURS`, or one of `SOURCES`.

    Raises:
        InputError: No library that has this network calls any tensor so.
    """
    keys = {str(key).removeprefix("module.") for key in tensors}
    net = build_meta(name)
    shared = {OURS: len(keys & net.state_dict().keys())}
    for library in SOURCES:
        try:
            theirs, key_map = find_map(name, library)
            net = build_meta(name, **key_map.overrides)
        except InputError:
            continue  # it has no network of this function
        called = {_as_today(key, theirs.aliases) for key in keys}
        shared[library] = len(called & set(their_keys(net, theirs, key_map).values()))
    best = max(shared, key=lambda library: shared[library])
    if not shared[best]:
        known = ", ".join(library for library in shared if library != OURS)
        raise InputError(
            f"no tensor has a name that {name} has here or in {known or 'another library'}; "
            f"the first is {min(keys, default='none')!r}"
        )
    return best


def _as_today(key: str, aliases: Rules) -> str:
    for pattern, today in aliases:
        key = re.sub(pattern, today, key)
    return key


def _load_unnamed(
    path: Path, name: str, tensors: dict[str, Tensor]
) -> tuple[nn.Module, dict[str, Any]]:
    """Load tensors that have our names, of a network with any number of classes and channels."""
    sizes = {
        argument: tensors[key].shape[axis]
        for argument, places in axes_of_sizes(build_meta(name)).items()
        for key, axis in places.items()
        if key in tensors
    }
    with torch.random.fork_rng(devices=()):  # the fresh weights are overwritten at once
        model = build(name, **sizes)
    for remark in fill(model, tensors, str(path)):
        warnings.warn(remark, WeightsWarning, stacklevel=3)
    return model.eval(), _told(model)


def _told(network: Any) -> dict[str, Any]:
    """Give what a file of ours would say of which network it holds."""
    made = network.created_as
    sizes = {key: made[key] for key in ("num_classes", "in_channels", "overrides")}
    return {"architecture": made["name"], **sizes}


def _check_trained(model: str | Path) -> None:
    """Tell a network's name from a path, where it has no weights."""
    if _is_place(model):
        return
    try:
        find(str(model))
    except UnknownNameError as error:
        if Path(model).suffix:
            return  # it looks like a file: loading says that there is none
        raise FileError(f"there is no run folder or file {model}, and {error}") from error
    raise InputError(f"{model} is a network without weights: add --weights FILE")


def _is_place(model: str | Path) -> bool:
    return str(model).startswith(PREFIX) or Path(model).exists()


def _tells_network(weights: str | Path) -> bool:
    """Say whether a place holds what `save` wrote."""
    if str(weights).startswith(PREFIX) or Path(weights).is_dir():
        return True
    return Path(weights).suffix.lower() == Path(FILE_NAME).suffix and describes_network(weights)


def pair_weights(
    models: Sequence[str | Path], weights: Sequence[str | Path]
) -> list[tuple[str | Path, str | Path | None]]:
    """Give each model its weights: those that are names of networks take them in order.

    Args:
        models: As `open_model` takes them.
        weights: One for each that is the name of a network and no path.

    Raises:
        InputError: More or fewer weights than names.
    """
    names = [str(model) for model in models if not _is_place(model) and _is_network(model)]
    if len(names) > len(weights):
        raise InputError(
            f"{names[len(weights)]} is a network without weights: add --weights FILE for each name"
        )
    if len(names) < len(weights):
        known = ", ".join(names) or "none"
        raise InputError(f"{len(weights)} --weights, and names of networks: {known}")
    left = iter(weights)
    return [(model, next(left) if str(model) in names else None) for model in models]


def _is_network(model: str | Path) -> bool:
    try:
        find(str(model))
    except UnknownNameError:
        return False
    return True
