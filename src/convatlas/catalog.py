"""Every architecture in one tuple, in order of publication; find one network of it, build it."""

import contextlib
import gc
import operator
from collections.abc import Generator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import nn

from convatlas.architectures import (
    alexnet,
    bn_inception,
    densenet,
    efficientnet,
    gap_study,
    googlenet,
    inception_resnet,
    inception_v3,
    inception_v4,
    lenet5,
    mobilenet_v1,
    nin,
    preact_resnet,
    resnet,
    resnext,
    squeezenet,
    unet,
    vgg,
    wide_resnet,
    zfnet,
)
from convatlas.card import Architecture, Variant
from convatlas.errors import InputError, suggest, unknown
from convatlas.fields import fitted
from convatlas.layers import undrawn_on_meta

ARCHITECTURES: tuple[Architecture, ...] = (
    lenet5.ARCHITECTURE,
    alexnet.ARCHITECTURE,
    zfnet.ARCHITECTURE,
    nin.ARCHITECTURE,
    vgg.ARCHITECTURE,
    googlenet.ARCHITECTURE,
    bn_inception.ARCHITECTURE,
    unet.ARCHITECTURE,
    inception_v3.ARCHITECTURE,
    resnet.ARCHITECTURE,
    inception_v4.ARCHITECTURE,
    inception_resnet.ARCHITECTURE,
    squeezenet.ARCHITECTURE,
    preact_resnet.ARCHITECTURE,
    wide_resnet.ARCHITECTURE,
    densenet.ARCHITECTURE,
    resnext.ARCHITECTURE,
    mobilenet_v1.ARCHITECTURE,
    efficientnet.ARCHITECTURE,
    gap_study.ARCHITECTURE,
)


def variants() -> list[str]:
    """Name every network, in order of publication.

    Names given by a formula (`resnet<6n+2>_cifar`) are listed where the paper prints them; `find`
    takes the others too.
    """
    return [name for architecture in ARCHITECTURES for name in architecture.variants]


def find(name: str) -> tuple[Architecture, Variant]:
    """Give the architecture and the variant of a network's name.

    Raises:
        UnknownNameError: (a KeyError) no such network; the message lists the nearest names.
        InputError: (a ValueError) `name` is no text.
    """
    if not isinstance(name, str):
        raise InputError(f"a network is found by its name, such as 'resnet50', not by {name!r}")
    for architecture in ARCHITECTURES:
        if name in architecture.variants:
            return architecture, architecture.variants[name]
        if architecture.parse is not None:
            variant = architecture.parse(name)
            if variant is not None:
                return architecture, variant
    forms = [form for architecture in ARCHITECTURES for form in architecture.forms]
    raise unknown("variant", name, [*variants(), *forms])


def build(
    name: str,
    num_classes: int | None = None,
    in_channels: int | None = None,
    **overrides: Any,
) -> nn.Module:
    """Build a network with fresh weights in its paper's initialization, in train mode.

    On the meta device (`with torch.device("meta")`) nothing is drawn or allocated.

    Args:
        name: One of `variants()`, or a name of the forms that `find` takes.
        num_classes: Outputs of the last layer; the paper's when not given.
        in_channels: Channels of the input; the paper's when not given.
        overrides: Fields of the variant's spec to replace, such as `shortcut="A"`.

    Returns:
        The network; `model.created_as` is a dict of these arguments, which `convatlas.save` keeps.

    Raises:
        UnknownNameError: (a KeyError) no such network.
        InputError: (a ValueError) no such field, or a value that the network can't be built with.
    """
    architecture, variant = find(name)
    spec = spec_of(name, **overrides)
    classes = _count("num_classes", variant.num_classes if num_classes is None else num_classes)
    channels = _count("in_channels", variant.input_shape[0] if in_channels is None else in_channels)
    with undrawn_on_meta(), no_collection():
        model = architecture.net(spec, num_classes=classes, in_channels=channels)
    model.created_as = {
        "name": name,
        "num_classes": classes,
        "in_channels": channels,
        "overrides": {key: getattr(spec, key) for key in overrides},
    }
    return model


def build_meta(name: str, **arguments: Any) -> nn.Module:
    """Build a network on the meta device: shapes only, nothing is allocated or drawn."""
    with torch.device("meta"):
        return build(name, **arguments)


@contextlib.contextmanager
def no_collection() -> Generator[None]:
    """Spare the search for garbage: a deep network is 10,000 new objects, all of them in use."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _count(label: str, value: Any) -> int:
    """Take whole numbers of any library, such as the length that NumPy counts."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise InputError(f"{label} must be a whole number of at least 1, not {value!r}")
    return operator.index(value)


def spec_of(name: str, **overrides: Any) -> Any:
    """Give the spec of a network, with some of its fields replaced.

    Raises:
        UnknownNameError: (a KeyError) no such network.
        InputError: (a ValueError) no such field, or a value of another type.
    """
    spec = find(name)[1].spec
    allowed = [f.name for f in fields(spec)] if is_dataclass(spec) else []
    for key in overrides:
        if key not in allowed:
            raise InputError(f"{name} has no option {key!r}{suggest(key, allowed)}")
    values = {key: fitted(spec, key, value, f"{name}: {key}") for key, value in overrides.items()}
    return replace(spec, **values)


def input_shape_of(name: str, **overrides: Any) -> tuple[int, int, int]:
    """Give the image that a network with these options is made for: (channels, height, width).

    Errors are those of `spec_of`.
    """
    _, variant = find(name)
    side = getattr(spec_of(name, **overrides), "input_size", None)
    if "input_size" in overrides and side is not None:
        return variant.input_shape[0], side, side
    return variant.input_shape
