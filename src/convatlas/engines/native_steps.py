"""Layers of this package one after another, in one call: Python takes as long as some of them."""

import ctypes
import itertools
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.engines.native_arena import Arena
from convatlas.engines.native_layer import NativeLayer
from convatlas.errors import InputError
from convatlas.native.maps import Call
from convatlas.native.steps import Step, run_steps


@dataclass(slots=True)
class Block:
    """Memory that layers share.

    Attributes:
        value: What lies in it, a tensor without data.
        number: Of the memory: 0 is kept for the time of the call, then come what is given and
            what is made.
        start: Where it begins, in bytes.
    """

    value: Tensor
    number: int = 0
    start: int = 0


@dataclass(slots=True)
class Part:
    """Some maps of a block: `value`, a tensor without data, from byte `start` of it on."""

    block: Block
    value: Tensor
    start: int = 0


@dataclass(slots=True)
class Planned:
    """One layer, what it reads and what it writes."""

    layer: NativeLayer
    x: Part
    added: Part | None
    y: Part


@dataclass(slots=True)
class Plan:
    """Layers in order, and their memory.

    Attributes:
        steps: The layers.
        given: What others have made.
        changed: The numbers of those of them that are written to.
        made: What others will read.
        floats: What is kept for the time of the call.
    """

    steps: list[Planned] = field(default_factory=list)
    given: list[Block] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    made: list[Block] = field(default_factory=list)
    floats: int = 0


@dataclass(frozen=True, slots=True)
class _Ready:
    """What the code is told, for some threads and the place of the first weights.

    The layers stay as long as the steps, which know where they lie.
    """

    told: tuple[int, ...]
    layers: list[ctypes.Structure]
    steps: "ctypes.Array[Step]"


class Steps(nn.Module):
    """Layers one after another; gives the maps that are changed, then those that are made."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.layers = nn.ModuleList(step.layer for step in plan.steps)
        self.arena: Arena = plan.steps[0].layer.arena
        self._first = [*itertools.islice(self.parameters(), 1)]  # moves when all do
        self._ready: _Ready | None = None

    def forward(self, *given: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(N, C, H, W), ... -> (N, C', H', W'), ..., channels last."""
        read = [_laid_out(x, block.value) for x, block in zip(given, self.plan.given, strict=True)]
        made = [self._room(block.value) for block in self.plan.made]
        kept = self.arena.images((1, self.plan.floats, 1, 1), torch.float32)
        now = torch.get_num_threads(), *(one.data_ptr() for one in self._first)
        ready = self._ready
        if ready is None or ready.told != now:
            ready = self._ready = _Ready(now, *self._written())
        run_steps(ready.steps, [one.data_ptr() for one in (kept, *read, *made)])
        found = (*(read[i] for i in self.plan.changed), *made)
        return found[0] if len(found) == 1 else found

    def extra_repr(self) -> str:
        """Tell how many layers there are."""
        return f"{len(self.layers)} layers in one call"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_ready": None}  # addresses of these very tensors

    def _room(self, like: Tensor) -> Tensor:
        count, channels, height, width = like.shape
        return self.arena.images((count, channels, height, width), like.dtype)

    def _written(self) -> tuple[list[ctypes.Structure], "ctypes.Array[Step]"]:
        layers = [step.layer.layer() for step in self.plan.steps]
        steps = (Step * len(layers))()
        for step, layer, to in zip(self.plan.steps, layers, steps, strict=True):
            added = None if step.added is None else step.added.value
            call = Call.of(step.x.value, step.y.value, added)
            call.input.data, call.output.data = _begin(step.x), _begin(step.y)
            numbers = [step.x.block.number, -1, step.y.block.number]
            if step.added is not None:
                call.added.data, numbers[1] = _begin(step.added), step.added.block.number
            to.run, to.layer = step.layer.entry().value, ctypes.addressof(layer)
            to.call = call
            to.input, to.added, to.output = numbers
        return layers, steps


def _begin(part: Part) -> int:
    return part.block.start + part.start


def _laid_out(x: Tensor, like: Tensor) -> Tensor:
    """Give maps with the distances that the layers were told.

    Raises:
        InputError: Maps of another size or type.
    """
    if x.shape != like.shape or x.dtype != like.dtype:
        raise InputError(
            f"was prepared for {list(like.shape)} of {like.dtype}, not {list(x.shape)} of {x.dtype}"
        )
    if x.stride() == like.stride():
        return x
    return torch.empty_strided(like.shape, like.stride(), dtype=like.dtype).copy_(x)
