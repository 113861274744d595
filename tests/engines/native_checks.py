"""Layers by code of our own against the direct ones in float64."""

import copy

import torch
from torch import Tensor, nn

from convatlas.engines.native_layer import NativeLayer
from convatlas.native.maps import Plan

TILES = [
    Plan(tile, block, together)
    for tile in (2, 4)
    for block in (1, 5, 40)
    for together in (False, True)
]
PRODUCTS = [Plan(1, block, together) for block in (1, 24, 50) for together in (False, True)]


def expected(conv: nn.Conv2d, act: nn.Module | None, x: Tensor, other: Tensor | None) -> Tensor:
    y = copy.deepcopy(conv).double()(x.double())
    y = y if other is None else y + other
    return y if act is None else act(y)


def check(layer: NativeLayer, conv, act, x, other=None) -> None:
    with torch.inference_mode():
        found, wanted = layer(x, other), expected(conv, act, x, other)
    assert found.shape == wanted.shape
    error = (found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-3)
    assert error < 1e-5
