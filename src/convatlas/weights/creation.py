"""Create a network: fresh, or with weights from anywhere."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import nn

from convatlas.catalog import build, find
from convatlas.errors import FileError
from convatlas.weights.fitting import WeightsWarning, axes_of_sizes, fill, with_channels
from convatlas.weights.published import located
from convatlas.weights.store import Stored, build_arguments, read_stored


def create(
    name: str,
    num_classes: int | None = None,
    in_channels: int | None = None,
    weights: str | Path | None = None,
    **overrides: Any,
) -> nn.Module:
    """Build a network in train mode, with fresh weights or with those of a file.

    Args:
        name: One of `convatlas.variants()`, or a name of the forms that `convatlas.find` takes.
        num_classes: Outputs of the last layer; if not given, the file's or else the paper's.
            Where it differs from the file's, the last layer starts afresh, with a warning.
        in_channels: Channels of the input; if not given, the file's or else the paper's. Where it
            differs from the file's, the first convolution is adapted, with a warning: one channel
            gets the sum over the file's channels, more get them over and over, scaled.
        weights: A safetensors file, a run folder or "hf:USER/NAME"; or the name of weights that
            are published for the network, such as "torchvision_v1", which are brought here once;
            None: the paper's initialization. A file that another library wrote will do if the
            names and shapes of its tensors are ours.
        overrides: Fields of the variant's spec to replace, such as `shortcut="A"`.

    Returns:
        The network; `model.created_as` tells how to build it again.

    Raises:
        UnknownNameError: (a KeyError) no such network, or no weights of this name for it.
        InputError: (a ValueError) a value that the network can't be built with.
        FileError: (an OSError) no such file, no safetensors file, weights of another network, or
            published weights that can't be downloaded.
    """
    if weights is None:
        return build(name, num_classes, in_channels, **overrides)
    find(name)
    stored = read_stored(located(name, weights))
    arguments = {} if stored.metadata is None else build_arguments(stored.metadata)
    if stored.metadata is not None and stored.metadata["architecture"] != name:
        held = stored.metadata["architecture"]
        raise FileError(f"{stored.path} holds weights of {held}, not of {name}")
    sizes = {"num_classes": num_classes, "in_channels": in_channels}
    arguments |= {key: value for key, value in sizes.items() if value is not None} | overrides
    model = build(name, **arguments)
    axes = axes_of_sizes(model) if num_classes is not None or in_channels is not None else {}
    remarks = _adapt_channels(stored, model, axes.get("in_channels", {}))
    remarks += fill(model, stored.tensors, str(stored.path), list(axes.get("num_classes", ())))
    for remark in remarks:
        warnings.warn(remark, WeightsWarning, stacklevel=2)
    return model


def _adapt_channels(stored: Stored, model: nn.Module, first_layers: Iterable[str]) -> list[str]:
    """Make the first convolution's weights those of another number of channels; tell of it."""
    remarks, expected = [], model.state_dict()
    for name in first_layers:
        given = stored.tensors.get(name)
        if given is None or given.dim() != 4 or given.shape[1] == expected[name].shape[1]:
            continue
        channels = expected[name].shape[1]
        stored.tensors[name] = with_channels(given, channels)
        rule = "the sum over them" if channels == 1 else "them repeated and scaled"
        remarks.append(
            f"{name} takes {given.shape[1]} channels in {stored.path}; for {channels} it is {rule}"
        )
    return remarks
