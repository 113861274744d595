"""Weights of other libraries made ours, and back.

A state_dict tells names and shapes, not the function: where a stride is, what batch norm adds to
the variance, on which side zeros stand. So weights are taken only where both networks are known to
compute the same; what a state_dict does not say stands in `convatlas.weights.keymaps`.
"""

import contextlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from convatlas.catalog import build_meta
from convatlas.data.preprocess import Preprocessing
from convatlas.errors import InputError
from convatlas.weights.fitting import axes_of_sizes, explain_misfit
from convatlas.weights.key_map import KeyMap, Source
from convatlas.weights.sources import SOURCES, check_function, find_map, their_keys


def convert(
    state_dict: Mapping[str, Any], name: str, source: str = "torchvision", **overrides: Any
) -> dict[str, Tensor]:
    """Turn a state_dict of another library into one of ours.

    The network of convatlas then gives the logits that the other gives, in evaluation mode and up
    to rounding: channels are reordered, BGR becomes RGB, and where batch norm adds another eps to
    the variance its scale is changed to match. Side classifiers are left out unless
    `sides=True`. The numbers of classes and of input channels are those of the weights.

    Args:
        state_dict: Tensors (or NumPy arrays) by their names there; a prefix `module.` is dropped.
        name: A network of convatlas that computes what theirs does.
        source: `torchvision`, `timm`, `caffe`, `gluon` or `akamaster`.
        overrides: Fields of the variant's spec, as for `convatlas.create`; only those that leave
            the function as theirs is.

    Returns:
        What `convatlas.create(name, num_classes, in_channels, **overrides)` loads by
        `load_state_dict`. Tensors that need no change share the memory of those given.

    Raises:
        UnknownNameError: (a KeyError) no such network or no such source.
        InputError: (a ValueError) the source has no network of this function, or the weights
            are those of another network; the message lists what is missing, unexpected or of
            another shape, by their names.
    """
    library, key_map = find_map(name, source)
    check_function(name, library, key_map, overrides)
    net = build_meta(name, **overrides)
    keys = their_keys(net, library, key_map)
    given = _cleaned(state_dict, library)
    given = _completed(given, _their_form(net.state_dict(), keys, key_map), library)
    net = build_meta(name, **_sizes(given, net, keys), **overrides)
    misfit = explain_misfit(_their_form(net.state_dict(), keys, key_map), given)
    if misfit:
        raise InputError(
            f"these are not the weights of {library.name}'s {key_map.theirs}, which {name} takes: "
            f"{misfit}{_hint(given, name, library)}"
        )
    shapes = {key: tensor.shape for key, tensor in net.state_dict().items()}
    ours = {key: given[keys[key]].reshape(shape) for key, shape in shapes.items()}
    return _carried_over(ours, net, library, key_map, back=False)


def export_state_dict(model: nn.Module, target: str = "torchvision") -> dict[str, Tensor]:
    """Turn the weights of a network of convatlas into a state_dict of another library.

    The reverse of `convert`; the network there gives the logits that `model` gives.

    Args:
        model: As `convatlas.create` and `convatlas.load` give it; it stays as it is.
        target: As `source` of `convert`.

    Raises:
        UnknownNameError: (a KeyError) no such target.
        InputError: (a ValueError) not a network of convatlas, or the target has none of its
            function.
    """
    made = getattr(model, "created_as", None)
    if not isinstance(made, dict):
        raise InputError(f"can't export this {type(model).__name__}: convatlas did not build it")
    library, key_map = find_map(made["name"], target)
    check_function(made["name"], library, key_map, made["overrides"])
    ours = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    ours = _carried_over(ours, model, library, key_map, back=True)
    return _their_form(ours, their_keys(model, library, key_map), key_map)


def published_preprocessing(name: str, source: str) -> Preprocessing | None:
    """Give the preprocessing of the weights that a library publishes for a network.

    None: they were trained with several.

    Raises:
        UnknownNameError: No such network or source.
        InputError: The source has no network of this function.
    """
    return find_map(name, source)[1].preprocessing


def _cleaned(state_dict: Mapping[str, Any], library: Source) -> dict[str, Tensor]:
    """Take tensors and arrays by the keys of today, without the prefix of a parallel wrapper."""
    if not isinstance(state_dict, Mapping):
        kind = type(state_dict).__name__
        raise InputError(f"convert takes a state_dict, a dict of tensors, not {kind}")
    prefix = "module." if all(str(key).startswith("module.") for key in state_dict) else ""
    cleaned = {}
    for key, value in state_dict.items():
        if not isinstance(value, (Tensor, np.ndarray)):
            inside = ": give what is inside" if isinstance(value, Mapping) else ""
            raise InputError(
                f"not a state_dict: {key!r} is {type(value).__name__}, not a tensor{inside}"
            )
        name = str(key).removeprefix(prefix)
        for pattern, today in library.aliases:
            name = re.sub(pattern, today, name)
        cleaned[name] = _tensor(key, value)
    return cleaned


def _tensor(key: str, value: Tensor | np.ndarray) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    try:
        return torch.from_numpy(value if value.flags.writeable else value.copy())
    except TypeError as error:
        raise InputError(f"{key!r} is an array of {value.dtype}, not of numbers") from error


def _sizes(given: Mapping[str, Tensor], net: nn.Module, keys: Mapping[str, str]) -> dict[str, int]:
    """Read from their tensors for how many classes and channels their network was built."""
    sizes = {}
    for argument, axes in axes_of_sizes(net).items():
        for key, axis in axes.items():
            tensor = given.get(keys[key])
            if tensor is not None and tensor.dim() > axis:
                sizes[argument] = tensor.shape[axis]
    return sizes


def _their_form(
    ours: Mapping[str, Tensor], keys: Mapping[str, str], key_map: KeyMap
) -> dict[str, Tensor]:
    """Give tensors by their names and in their shapes."""
    shapes = {f"{layer}.weight": shape for layer, shape in key_map.as_convs.items()}
    return {
        keys[name]: tensor.reshape(-1, *shapes[name]) if name in shapes else tensor
        for name, tensor in ours.items()
    }


def _completed(
    given: Mapping[str, Tensor], expected: Mapping[str, Tensor], library: Source
) -> dict[str, Tensor]:
    """Add the counters that old files lack, leave out what only training needs."""
    completed = dict(given)
    for key, tensor in expected.items():
        if key.endswith(".num_batches_tracked"):
            completed.setdefault(key, torch.zeros((), dtype=torch.int64))
        elif key in completed:
            found = completed[key]
            while found.dim() > tensor.dim() and found.shape[0] == 1:
                found = found[0]  # Caffe once stored everything with four axes
            completed[key] = found
    spare = re.compile(library.training_only) if library.training_only else None
    return {
        key: tensor
        for key, tensor in completed.items()
        if key in expected or spare is None or not spare.match(key)
    }


def _carried_over(
    ours: dict[str, Tensor], net: nn.Module, library: Source, key_map: KeyMap, back: bool
) -> dict[str, Tensor]:
    """Make tensors, by our names, compute in one network what they compute in the other."""
    for name in key_map.nonnegative:
        if (ours[name] < 0).any():
            raise InputError(
                f"{library.name}'s {key_map.theirs} computes something else where {name} is "
                "negative, for it pools before this batch norm; these weights have "
                f"{int((ours[name] < 0).sum())} such channels"
            )
    if key_map.bgr is not None and ours[f"{key_map.bgr}.weight"].shape[1] == 3:
        ours[f"{key_map.bgr}.weight"] = ours[f"{key_map.bgr}.weight"].flip(1)
    if key_map.reorder is not None:
        ours = key_map.reorder(ours, back)
    if key_map.norm_eps is not None:
        _match_eps(ours, net, key_map.norm_eps, back)
    return ours


def _match_eps(ours: dict[str, Tensor], net: nn.Module, theirs: float, back: bool) -> None:
    """Scale each batch norm so that another eps gives the same: weight / sqrt(var + eps) stays."""
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            old, new = (module.eps, theirs) if back else (theirs, module.eps)
            weight = ours[f"{name}.weight"]
            variance = ours[f"{name}.running_var"].to("cpu", torch.float64)
            scale = ((variance + new) / (variance + old)).sqrt()
            ours[f"{name}.weight"] = (weight.cpu() * scale).to(weight)


def _hint(given: Mapping[str, Tensor], name: str, library: Source) -> str:
    """Name another library if more of these names are its."""
    shared = {}
    for other in SOURCES:
        with contextlib.suppress(InputError):
            theirs, key_map = find_map(name, other)
            shared[other] = len(
                given.keys() & their_keys(build_meta(name), theirs, key_map).values()
            )
    best = max(shared, key=lambda other: shared[other])
    better = shared[best] > shared[library.name]
    return f'; these are the names of source="{best}"' if better else ""
