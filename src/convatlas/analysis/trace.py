"""Run a network once, on the meta device, and record every layer: names, shapes, costs, fields."""

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from convatlas.analysis.meta import MetaMode, images, run
from convatlas.analysis.operation import Operation, Sight, collapse, dependent, merged
from convatlas.analysis.receptive_field import Field, Reach
from convatlas.analysis.record import LayerRecord, Parameters, Step, container, functions, leaf
from convatlas.analysis.rules import FACTORIES, cost, see
from convatlas.catalog import no_collection
from convatlas.errors import InputError, UserError


@dataclass(frozen=True, slots=True)
class Trace:
    """One run of a model.

    Attributes:
        input_shape: Of the image, without the batch.
        layers: In order of execution.
        containers: By dotted name, in order of completion; the model itself is "".
        weight_layers: Convolutions and linear layers on the longest path.
        weight_and_pool_layers: The same with poolings counted too.
    """

    input_shape: tuple[int, ...]
    layers: tuple[LayerRecord, ...]
    containers: dict[str, LayerRecord]
    weight_layers: int
    weight_and_pool_layers: int


def trace(model: nn.Module, input_shape: Sequence[int], method: str = "forward") -> Trace:
    """Run a model that is on the meta device, in eval mode, on one image.

    Args:
        model: As `build_on_meta` and `meta_copy` give it.
        input_shape: Of one image, without the batch: (channels, height, width).
        method: What is called, such as "forward_with_sides".

    Raises:
        InputError: The model does not run on such an input.
    """
    shape = tuple(input_shape) if isinstance(input_shape, (list, tuple)) else ()
    if not shape or any(not isinstance(n, int) or isinstance(n, bool) or n < 1 for n in shape):
        raise InputError(
            "input_shape is that of one image without the batch, such as (3, 224, 224); "
            f"got {input_shape!r}"
        )
    tracer = _Tracer(model)
    x = images(model, shape)
    with no_collection(), tracer.hooked(), torch.no_grad(), torch.device("meta"), tracer:
        tracer.look_at(x)
        try:
            output = model(x) if method == "forward" else getattr(model, method)(x)
        except UserError:
            raise
        except Exception as error:  # whatever a user's forward may raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            size = "x".join(map(str, shape))
            name = type(model).__name__
            raise InputError(f"{name} does not run on an input of {size}: {reason}") from error
    return tracer.finish(shape, output)


def _quietly(method: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what `method` asks of tensors from torch's modes: the device takes most of the time."""

    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        with torch._C.DisableTorchFunction():
            return method(*args, **kwargs)

    return called


@dataclass(slots=True)
class _Call:
    """A module that is running, and what has run inside it."""

    name: str
    module: nn.Module
    input: Tensor | None
    items: list[LayerRecord | Step] = field(default_factory=list)


class _Tracer(MetaMode):
    """Sees each operation (as a dispatch mode) and which module it runs in (by hooks)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.names = {module: name for name, module in model.named_modules()}
        self.sights: dict[int, Sight] = {}
        self.tensors: dict[int, list[Tensor]] = {}  # by storage; kept, so that no id comes twice
        self.calls = [_Call("", nn.Module(), None)]
        self.containers: dict[str, LayerRecord] = {}
        self.uses = Counter[str]()  # of each name
        self.parameters = Parameters()

    @_quietly
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict | None = None
    ) -> Any:
        """Run one operation and follow what its output depends on."""
        kwargs = kwargs or {}
        outputs = run(func, args, kwargs)
        listed = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        results = [output for output in listed if isinstance(output, Tensor)]
        for result in results:
            self.tensors.setdefault(_storage(result), []).append(result)
        if results:
            op = Operation(func.overloadpacket, args, kwargs, results[0], self.sights)
            self._follow(func, op, results)
        return outputs

    @contextlib.contextmanager
    def hooked(self) -> Generator[None]:
        """Watch the calls of all modules."""
        handles = []
        for module in self.names:
            handles.append(module.register_forward_pre_hook(self._enter, with_kwargs=True))
            handles.append(module.register_forward_hook(self._leave))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def look_at(self, x: Tensor) -> None:
        """Start from the network's input: each pixel sees itself."""
        fields = tuple(Field(axis, Reach()) for axis in range(2, x.dim()))
        self.sights[id(x)] = Sight(fields)
        self.tensors[_storage(x)] = [x]

    def finish(self, shape: tuple[int, ...], output: Any) -> Trace:
        """Collect what was recorded."""
        ends = [self.sights[id(t)] for t in dependent(tree_leaves(output), self.sights)]
        ends = ends or list(self.sights.values())
        rows = self._rows(self.calls[0])
        depth, steps = max(s.depth for s in ends), max(s.steps for s in ends)
        return Trace(shape, tuple(rows), self.containers, depth, steps)

    def _follow(self, func: Any, op: Operation, results: list[Tensor]) -> None:
        inputs = op.inputs()
        if not inputs or op.name in FACTORIES:
            return
        fields = see(op, func.tags)
        price = cost(op, fields)
        befores = [self.sights[id(t)] for t in inputs]
        weighted = price.role in ("conv", "linear")
        depth = max(s.depth for s in befores) + weighted
        steps = max(s.steps for s in befores) + (weighted or price.role == "pool")
        for result in results:
            aligned = result.dim() == results[0].dim()
            seen = fields if aligned else collapse(fields, results[0].shape)
            self.sights[id(result)] = Sight(seen, depth, steps)
        if func._schema.is_mutable and any(t is not results[0] for t in inputs):
            self._write_through(results[0])
        shared = any(_storage(results[0]) == _storage(t) for t in inputs)
        weights = tuple(arg for arg in op.args if isinstance(arg, nn.Parameter))
        sight = self.sights[id(results[0])]
        self.calls[-1].items.append(Step(price, inputs[0], results[0], sight, shared, weights))

    def _write_through(self, written: Tensor) -> None:
        """Let all views of a tensor that was written to depend on all that was written."""
        sight = self.sights[id(written)]
        whole = collapse(sight.fields, written.shape)
        for view in self.tensors[_storage(written)]:
            if view is not written:
                old = self.sights.get(id(view), Sight(whole))
                fields = merged([old.fields, whole], view.shape)
                depth, steps = max(old.depth, sight.depth), max(old.steps, sight.steps)
                self.sights[id(view)] = Sight(fields, depth, steps)

    @_quietly
    def _enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = dependent(tree_leaves((args, kwargs)), self.sights)
        self.calls.append(_Call(self.names[module], module, given[0] if given else None))

    @_quietly
    def _leave(self, module: nn.Module, _args: Any, output: Any) -> None:
        call, parent = self.calls.pop(), self.calls[-1]
        results = dependent(tree_leaves(output), self.sights)
        if call.input is None or not results:
            parent.items.extend(call.items)  # it makes weights, or hides its tensors from us
            return
        sight = self.sights[id(results[0])]
        if any(isinstance(item, LayerRecord) for item in call.items):
            rows = self._rows(call)
            parent.items.extend(rows)
            name = self._fresh(call.name) if call.name else ""
            self.containers[name] = container(name, module, call.input, results[0], sight, rows)
        else:
            name = self._fresh(call.name or type(module).__name__)
            steps = [item for item in call.items if isinstance(item, Step)]
            parent.items.append(
                leaf(name, module, call.input, results[0], sight, steps, self.parameters)
            )

    def _rows(self, call: _Call) -> list[LayerRecord]:
        """Give what ran in a container: its layers, and the functions between them."""
        steps = [item for item in call.items if isinstance(item, Step) and not item.shared]
        named = [(self._fresh(f"{call.name}.{step.kind}".lstrip(".")), step) for step in steps]
        made = iter(functions(named, call.module, self.parameters))
        kept = [item for item in call.items if isinstance(item, LayerRecord) or not item.shared]
        return [item if isinstance(item, LayerRecord) else next(made) for item in kept]

    def _fresh(self, name: str) -> str:
        self.uses[name] += 1
        return name if self.uses[name] == 1 else f"{name}#{self.uses[name]}"


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
