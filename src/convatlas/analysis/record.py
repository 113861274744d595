"""What is known of a layer after one run."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from convatlas.analysis.operation import Fields, Sight
from convatlas.analysis.rules import Cost

_ROLES = ("conv", "linear", "norm", "pool", "activation")  # the first that a layer does names it


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """A layer, or a container of layers, as one image runs through it.

    Attributes:
        name: Its dotted name in the model. A function called in a module's `forward` is named
            after both: "stages.conv2_x.0.add"; a second call of the same layer ends with "#2".
        kind: The class of the module, or the function.
        role: "conv", "linear", "norm", "pool", "activation", "other" or "container".
        input_shape: Of its first input, without the batch: (C, H, W) for maps.
        output_shape: Of its first output, without the batch.
        kernel: Of a convolution or a pooling, for each axis.
        stride: Of a convolution or a pooling, for each axis.
        groups: Of a convolution.
        weight_shape: Of a convolution or a linear layer: (out, in / groups, ...) as torch keeps it.
        fan_in: Inputs of one unit of a convolution or a linear layer; what the module names so.
        params: Parameters, each counted where it is used first.
        bias_params: Those of them that are a bias, the shift of a batch norm not counted.
        trainable_params: Those of them that need a gradient.
        macs: Multiply-adds of its convolutions and linear layers, for one image.
        activation_bytes: Size of its output for one image; 0 where the output shares its
            input's memory. Of a container: the sum over its layers.
        receptive_field: Pixels that one output value depends on, along the wider axis.
        stride_to_input: Pixels between two neighbours of the output map; 0: no map is left.
        fields: The receptive field along each spatial axis of the input, with its position.
    """

    name: str
    kind: str
    role: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    kernel: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    groups: int = 1
    weight_shape: tuple[int, ...] | None = None
    fan_in: int | None = None
    params: int = 0
    bias_params: int = 0
    trainable_params: int = 0
    macs: int = 0
    activation_bytes: int = 0
    receptive_field: int = 0
    stride_to_input: int | float = 0
    fields: Fields = ()

    @property
    def is_map(self) -> bool:
        """Whether the output still is a map over the image."""
        return bool(self.fields) and all(field.axis is not None for field in self.fields)


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a run: what it costs, and what its output sees.

    Attributes:
        cost: What it is and costs.
        input: Its first input that depends on the image.
        output: Its first output.
        sight: What is known of the output.
        shared: Whether the output lies in the memory of an input.
        weights: Its arguments that are parameters.
    """

    cost: Cost
    input: Tensor
    output: Tensor
    sight: Sight
    shared: bool
    weights: tuple[Tensor, ...]

    @property
    def kind(self) -> str:
        """The operation's name as a user knows it: "conv", "linear", "max_pool2d", "add"."""
        if self.cost.role == "linear":
            return "linear"
        name = self.cost.name.strip("_").removeprefix("native_").removesuffix("_with_indices")
        return {"convolution": "conv"}.get(name, name)


@dataclass(slots=True)
class Parameters:
    """Counts parameters, each only once."""

    counted: set[int] = field(default_factory=set)

    def take(self, named: Iterable[tuple[str, Tensor]]) -> dict[str, int]:
        """Count those of some named parameters that have not been counted."""
        params = biases = trainable = 0
        for name, parameter in named:
            if id(parameter) not in self.counted:
                self.counted.add(id(parameter))
                params += parameter.numel()
                biases += parameter.numel() if name == "bias" else 0
                trainable += parameter.numel() if parameter.requires_grad else 0
        return {"params": params, "bias_params": biases, "trainable_params": trainable}


def leaf(
    name: str,
    module: nn.Module,
    x: Tensor,
    output: Tensor,
    sight: Sight,
    steps: Sequence[Step],
    parameters: Parameters,
) -> LayerRecord:
    """Record a module that calls no other module."""
    kind = type(module).__name__
    costs = [step.cost for step in steps]
    shared = output.untyped_storage()._cdata == x.untyped_storage()._cdata
    bytes_ = 0 if shared else output.numel() * output.element_size()
    counts = parameters.take(module.named_parameters())
    record = _record(name, kind, x, output, sight, costs, bytes_, counts)
    named = getattr(module, "fan_in", None)
    return replace(record, fan_in=named) if isinstance(named, int) else record


def functions(
    steps: Sequence[tuple[str, Step]], module: nn.Module, parameters: Parameters
) -> list[LayerRecord]:
    """Record the functions that a container calls between its modules, each with its name.

    They have the container's own parameters: each the ones that it takes, the first the rest.
    """
    own = {id(parameter): name for name, parameter in module.named_parameters(recurse=False)}
    rows = []
    for name, step in steps:
        bytes_ = step.output.numel() * step.output.element_size()
        counts = parameters.take((own.get(id(weight), ""), weight) for weight in step.weights)
        costs = [step.cost]
        rows.append(
            _record(name, step.kind, step.input, step.output, step.sight, costs, bytes_, counts)
        )
    if rows:
        rest = parameters.take(module.named_parameters(recurse=False))
        total = {key: getattr(rows[0], key) + amount for key, amount in rest.items()}
        rows[0] = replace(rows[0], **total)
    return rows


def container(
    name: str,
    module: nn.Module,
    x: Tensor,
    output: Tensor,
    sight: Sight,
    rows: Sequence[LayerRecord],
) -> LayerRecord:
    """Record a module that calls other modules: the sum of what ran in it."""
    counts = Parameters().take(module.named_parameters())
    counts["bias_params"] = sum(row.bias_params for row in rows)
    record = _record(
        name,
        type(module).__name__,
        x,
        output,
        sight,
        [],
        sum(row.activation_bytes for row in rows),
        counts,
    )
    return replace(record, role="container", macs=sum(row.macs for row in rows))


def _record(
    name: str,
    kind: str,
    x: Tensor,
    output: Tensor,
    sight: Sight,
    costs: Sequence[Cost],
    activation_bytes: int,
    counts: dict[str, int],
) -> LayerRecord:
    role = next((role for role in _ROLES if any(c.role == role for c in costs)), "other")
    if "norm" in kind.lower() and role in ("pool", "activation", "other"):
        role = "norm"  # such as local response normalization
    main = next((c for c in costs if c.role == role), Cost("", role))
    if role == "norm":
        counts = counts | {"bias_params": 0}
    sliding = role in ("conv", "pool") and sum(c.role == role for c in costs) == 1
    fields, shape = sight.fields, output.shape
    widths = [f.size(1 if f.axis is None else shape[f.axis]) for f in fields]
    strides = [0 if f.reach is None else f.reach.stride for f in fields]
    stride = max(strides, default=0)
    return LayerRecord(
        name,
        kind,
        role,
        tuple(x.shape[1:]),
        tuple(output.shape[1:]),
        kernel=main.kernel if sliding else None,
        stride=main.stride if sliding else None,
        groups=main.groups,
        weight_shape=main.weight_shape,
        fan_in=_fan_in(main),
        macs=sum(c.macs for c in costs),
        activation_bytes=activation_bytes,
        receptive_field=max(widths, default=0),
        stride_to_input=int(stride) if stride == int(stride) else float(stride),
        fields=fields,
        **counts,
    )


def _fan_in(cost: Cost) -> int | None:
    shape = cost.weight_shape
    if shape is None:
        return None
    inputs = shape[0] // cost.groups if cost.transposed else shape[1]
    return inputs * math.prod(shape[2:])
