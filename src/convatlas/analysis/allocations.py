"""Every allocation of a run, from its birth to the death of its last reference.

The run is on fake tensors: they are on the meta device but claim to be on a processor, so that
autocast and the optimizers do what they do there. They die as real ones do, by reference counting.
"""

import contextlib
import weakref
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Part = Literal["weights", "gradients", "optimizer_state", "activations", "temporaries", "workspace"]
Phase = Literal["forward", "backward", "optimizer step"]

# The batch of the recorded run. It is a prime, larger than layers are wide: a size that is a
# multiple of it grows with the batch, any other stays. So one run tells of every batch.
BATCH = 65_537
_LAYER = "convatlas.layer"  # a key of the metadata of nodes of the autograd graph

aten = torch.ops.aten


@dataclass(slots=True)
class Allocation:
    """Memory that is taken at once: `fixed + batch * per_image` bytes."""

    fixed: int
    per_image: int
    part: Part

    def size(self, batch: int) -> int:
        """Give its bytes at a batch."""
        return self.fixed + batch * self.per_image


@dataclass(frozen=True, slots=True)
class Event:
    """An allocation is born or dies, while a layer runs ("": the network itself)."""

    index: int
    born: bool
    phase: Phase
    layer: str

    @property
    def sign(self) -> int:
        """1 for a birth, -1 for a death."""
        return 1 if self.born else -1


class Recorder(TorchDispatchMode):
    """Records the allocations of a model that runs on a batch of BATCH fake images.

    Args:
        model: Of fake tensors; its parameters and buffers are the first allocations.
        workspace: Whether to count what oneDNN takes while a convolution runs.

    Attributes:
        allocations: In order of birth.
        events: In order of time.
        phase: What is being done; see `begin`.
    """

    def __init__(self, model: nn.Module, *, workspace: bool) -> None:
        super().__init__()
        self.allocations: list[Allocation] = []
        self.events: list[Event] = []
        self.phase: Phase = "forward"
        self._workspace = workspace
        self._layers = [""]  # those that are running, the innermost last
        self._alive: dict[int, tuple[int, weakref.ref]] = {}  # by storage
        self._model = model
        for tensor in (*model.parameters(), *model.buffers()):
            self.mark(tensor, "weights")

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in MetaMode

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict | None = None
    ) -> Any:
        """Run one operation and follow the storages of its results."""
        results = func(*args, **(kwargs or {}))
        for result in tree_leaves(results):
            if isinstance(result, Tensor):
                self._follow(result)
        if self._workspace:
            taken = _workspace(func.overloadpacket, args, results)
            if taken:
                sizes = [_size(tensor.nbytes) for tensor in taken]
                fixed, per_image = (sum(kind) for kind in zip(*sizes, strict=True))
                index = self._bear(Allocation(fixed, per_image, "workspace"))
                self._happen(index, born=False)
        return results

    def begin(self, phase: Phase) -> None:
        """Say what is done next."""
        self.phase, self._layers = phase, [""]

    def mark(self, tensor: Tensor, part: Part) -> None:
        """Say what the memory of a tensor is for."""
        self.allocations[self._follow(tensor)].part = part

    @contextlib.contextmanager
    def hooked(self) -> Generator[None]:
        """Watch which layer runs, forward and backward."""
        handles = []
        for name, module in self._model.named_modules():
            enter, leave = partial(self._enter, name), partial(self._leave, name)
            handles.append(module.register_forward_pre_hook(enter))
            # always: recomputation ends with an exception once it has what it needs
            handles.append(module.register_forward_hook(leave, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str, _module: nn.Module, _args: Any) -> None:
        self._layers.append(name)

    def _leave(self, name: str, _module: nn.Module, _args: Any, output: Any) -> None:
        self._layers.pop()
        nodes = [leaf.grad_fn for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        while nodes:
            node = nodes.pop()
            # inner modules leave first, and name the nodes that they made
            if node is not None and node.next_functions and _LAYER not in node.metadata:
                node.metadata[_LAYER] = name
                node.register_prehook(partial(self._turn_back, name))
                nodes += [function for function, _ in node.next_functions]

    def _turn_back(self, name: str, _gradients: Any) -> None:
        self._layers = [name]

    def _follow(self, tensor: Tensor) -> int:
        """Give the index of a tensor's allocation, a new one where its storage is new."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._alive:
            fixed, per_image = _size(storage.nbytes())
            computed = self.phase == "forward" or len(self._layers) > 1  # or recomputed
            part: Part = "activations" if computed and per_image else "temporaries"
            index = self._bear(Allocation(fixed, per_image, part))
            self._alive[key] = (index, weakref.ref(storage, partial(self._die, key, index)))
        return self._alive[key][0]

    def _bear(self, allocation: Allocation) -> int:
        self.allocations.append(allocation)
        index = len(self.allocations) - 1
        self._happen(index, born=True)
        return index

    def _die(self, key: int, index: int, _storage: Any) -> None:
        del self._alive[key]
        self._happen(index, born=False)

    def _happen(self, index: int, born: bool) -> None:
        self.events.append(Event(index, born, self.phase, self._layers[-1]))


def _size(nbytes: int) -> tuple[int, int]:
    """Split the bytes of a storage into those that are fixed and those of each image."""
    return (nbytes, 0) if nbytes % BATCH else (0, nbytes // BATCH)


def _workspace(packet: Any, args: tuple[Any, ...], results: Any) -> Sequence[Tensor]:
    """List tensors as large as what oneDNN takes besides the results of a convolution.

    It computes on maps whose channels lie in blocks of 16: it copies its input, its weights and
    its output where they are in the usual order, and only the weights where channels come last.
    """
    if packet is aten.convolution:
        image, weight = args[:2]
        if _channels_last(results):
            return (weight,)
        return max((image, weight), (results,), key=_total)  # the former are freed before
    if packet is aten.convolution_backward:
        gradient, image, weight = args[:3]
        if _channels_last(gradient):
            return weight, weight
        if args[-1][1]:
            return gradient, image
        return max((gradient, weight), (image,), key=_total)
    return ()


def _total(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _channels_last(maps: Tensor) -> bool:
    last = torch.channels_last
    return maps.dim() == 4 and not maps.is_contiguous() and maps.is_contiguous(memory_format=last)
