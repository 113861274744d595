"""One operation of PyTorch as the trace sees it, and what its arguments depend on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from convatlas.analysis.receptive_field import Field, merge

Fields = tuple[Field, ...]  # one for each spatial axis of the network's input


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of a tensor that depends on the network's input.

    Attributes:
        fields: What its values see, for each spatial axis of the input.
        depth: Convolutions and linear layers on the longest path to it.
        steps: The same with poolings counted too.
    """

    fields: Fields
    depth: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of an aten operation.

    Attributes:
        packet: Which operation, such as `torch.ops.aten.convolution`.
        args: Its arguments by position; torch leaves trailing defaults out.
        kwargs: Its arguments by name.
        output: Its first output.
        sights: What is known of tensors, by `id()`.
    """

    packet: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Tensor
    sights: dict[int, Sight]

    @property
    def name(self) -> str:
        """The name without its namespace: "convolution"."""
        return str(self.packet).rpartition(".")[2]

    def arg(self, index: int, name: str, default: Any = None) -> Any:
        """Give an argument by position or by name."""
        return self.args[index] if index < len(self.args) else self.kwargs.get(name, default)

    def seen(self, value: Any) -> bool:
        """Tell whether a value is a tensor that depends on the network's input."""
        return isinstance(value, Tensor) and id(value) in self.sights

    def inputs(self) -> list[Tensor]:
        """List the arguments that depend on the network's input."""
        return dependent((*self.args, *self.kwargs.values()), self.sights)

    def fields(self, tensor: Tensor) -> Fields:
        """Give what an argument that depends on the network's input sees."""
        return self.sights[id(tensor)].fields


def dependent(values: Sequence[Any], sights: dict[int, Sight]) -> list[Tensor]:
    """List the tensors in a list of arguments that depend on the network's input."""
    items = [
        item
        for value in values
        for item in (value if isinstance(value, (list, tuple)) else (value,))
    ]
    return [item for item in items if isinstance(item, Tensor) and id(item) in sights]


def collapse(fields: Fields, shape: Sequence[int], axes: Sequence[int] | None = None) -> Fields:
    """Let the values along these axes of a tensor (all by default) depend on all positions."""
    return tuple(
        field
        if field.axis is None or (axes is not None and field.axis not in axes)
        else field.collapsed(shape[field.axis])
        for field in fields
    )


def merged(parts: Sequence[Fields], shape: Sequence[int]) -> Fields:
    """Give what values of a tensor of `shape` see that are each made of a value of each part."""
    together = parts[0]
    for fields in parts[1:]:
        together = tuple(
            merge(a, b, max((shape[f.axis] for f in (a, b) if f.axis is not None), default=1))
            for a, b in zip(together, fields, strict=True)
        )
    return together
