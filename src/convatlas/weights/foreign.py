"""Files that another library wrote, read without running what they may hold."""

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from convatlas.catalog import build, build_meta
from convatlas.data.imagenet_names import imagenet_classes
from convatlas.errors import FileError
from convatlas.weights.convert import convert
from convatlas.weights.fitting import WeightsWarning, axes_of_sizes, fill
from convatlas.weights.sources import find_map

# where training scripts put the state_dict among what else they keep
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
TORCH_SUFFIXES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".tar")


def load_foreign(
    path: str | Path, name: str, source: str = "torchvision"
) -> tuple[nn.Module, dict[str, Any]]:
    """Read a file of another library as `convatlas.load` reads ours.

    Args:
        path: See `read_state_dict`.
        name: As for `convatlas.weights.convert.convert`.
        source: Likewise.

    Returns:
        The network in eval mode, built with the fields of its spec that the weights need; and
        metadata to save with it: `converted_from`, the `preprocessing` of the weights that the
        source publishes, where they share one, and the `classes` of ImageNet where there are
        1,000.

    Raises:
        UnknownNameError: No such network or source.
        InputError: The weights belong to another network.
        FileError: The file can't be read; see `read_state_dict`.
    """
    library, key_map = find_map(name, source)
    tensors = convert(read_state_dict(path), name, source, **key_map.overrides)
    axes = axes_of_sizes(build_meta(name, **key_map.overrides))
    sizes = {
        argument: tensors[key].shape[axis]
        for argument, places in axes.items()
        for key, axis in places.items()
    }
    model = build(name, **sizes, **key_map.overrides)
    for remark in fill(model, tensors, str(path)):
        warnings.warn(remark, WeightsWarning, stacklevel=2)
    origin = {"source": library.name, "network": key_map.theirs, "file": Path(path).name}
    metadata: dict[str, Any] = {"converted_from": origin}
    preprocessing = key_map.preprocessing
    if preprocessing is not None and len(preprocessing.mean) == sizes["in_channels"]:
        metadata["preprocessing"] = preprocessing.to_dict()
    if sizes["num_classes"] == len(imagenet_classes()):
        metadata["classes"] = list(imagenet_classes())
    return model.eval(), metadata


def read_state_dict(path: str | Path) -> dict[str, Any]:
    """Read tensors by name from a file of safetensors, NumPy or torch.

    Args:
        path: `.safetensors`; `.npz`; or what `torch.save` wrote, `.pth`, `.pt`, `.th`, `.bin`,
            `.ckpt` or `.tar`, of which only tensors are read. A checkpoint that holds the
            state_dict under `state_dict`, `model_state_dict`, `model` or `net` will do.

    Returns:
        Tensors, or arrays, by their names in the file.

    Raises:
        FileError: No such file, none of these, a damaged one, or a pickle that would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"no weights file {path}")
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return _read_safetensors(path)
    if suffix == ".npz":
        return _read_arrays(path)
    if suffix in TORCH_SUFFIXES:
        return _unwrapped(path, _read_torch(path))
    allowed = ", ".join((".safetensors", ".npz", *TORCH_SUFFIXES))
    raise FileError(f"{path} has the suffix {suffix!r}; weights are read from {allowed}")


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise FileError(f"{path} is no whole safetensors file: {error}") from error


def _read_arrays(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).partition("\n")[0]
        raise FileError(f"{path} is no whole .npz file of numbers: {reason}") from error


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that it then refuses
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        if found is None:
            raise FileError(
                f"{path} is no whole file of torch.save, or holds more than tensors: it is not read"
            ) from error
        raise FileError(
            f"{path} is not read: it needs {found[1]}, and a pickle that names code can run it; "
            "save model.state_dict() instead of the model"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise FileError(f"{path} is no whole file of torch.save: {reason}") from error


def _unwrapped(path: Path, content: Any) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise FileError(f"{path} holds {type(content).__name__}, not a state_dict")
    for key in WRAPPERS:
        if isinstance(content.get(key), Mapping):
            return dict(content[key])
    return dict(content)
