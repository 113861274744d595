"""What a network costs and sees, layer by layer: `analyze`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import nn

from convatlas import catalog
from convatlas.analysis.meta import build_on_meta, meta_copy, smallest_square
from convatlas.analysis.record import LayerRecord
from convatlas.analysis.trace import Trace, trace
from convatlas.errors import InputError

if TYPE_CHECKING:
    from convatlas.analysis.memory import Device, Precision
    from convatlas.analysis.timeline import Timeline
    from convatlas.recipe import Optimizer

COUNTED = (
    "One multiply-add is one MAC; convolutions (transposed ones too) and linear layers are "
    "counted, without their biases, for one image. Parameters include biases and the scale and "
    "shift of batch norm. Activations are the outputs of the layers for one image. The receptive "
    "field ignores the borders of the image."
)
_COLUMNS = ("layer", "kind", "output", "kernel", "stride", "params", "MACs", "field")


@dataclass(frozen=True)
class Report:
    """The cost of a network and its layers, for one image.

    Attributes:
        name: The network's name, or the class of the model.
        trace: The run that everything is read from.
        model: The network on the meta device, in eval mode.
    """

    name: str
    trace: Trace = field(repr=False)
    model: nn.Module = field(repr=False)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the image, without the batch: (C, H, W)."""
        return self.trace.input_shape

    @property
    def layers(self) -> tuple[LayerRecord, ...]:
        """The layers in order of execution, and the functions between them; no containers."""
        return self.trace.layers

    @property
    def containers(self) -> Mapping[str, LayerRecord]:
        """The modules that are made of layers, such as stages and blocks, by dotted name."""
        return {name: record for name, record in self.trace.containers.items() if name}

    @cached_property
    def params(self) -> int:
        """Parameters of the model, each counted once; layers that did not run too."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @cached_property
    def trainable_params(self) -> int:
        """Those parameters that need a gradient."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and linear layers, without biases."""
        return sum(layer.macs for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Size of the outputs of all layers, without the image itself, in bytes."""
        return sum(layer.activation_bytes for layer in self.layers)

    @property
    def receptive_field(self) -> int:
        """Pixels, along the wider axis, that a value of the last map depends on.

        The last map is the output of the last layer before the maps are averaged or flattened;
        0: no layer has maps.
        """
        return next((layer.receptive_field for layer in reversed(self.layers) if layer.is_map), 0)

    @property
    def weight_layers(self) -> int:
        """Convolutions and linear layers on the longest path from the image to the output."""
        return self.trace.weight_layers

    @cached_property
    def min_input_size(self) -> int | None:
        """Least height and width in pixels of a square image that runs, found by trying.

        None: it takes no images, or no square ones up to the size of this report.
        """
        return smallest_square(self.model, self.input_shape)

    def peak_inference_bytes(
        self, batch: int, precision: "Precision" = "float32", device: "Device" = "cpu"
    ) -> int:
        """Give the most memory that answering takes at once: see `inference_memory`."""
        return self.memory(None, precision, device=device).peak_bytes(batch)

    def peak_training_bytes(
        self,
        batch: int,
        optimizer: "str | Optimizer" = "momentum",
        precision: "Precision" = "float32",
        checkpointing: bool = False,
        device: "Device" = "cpu",
    ) -> int:
        """Give the most memory that a training step takes at once: see `training_memory`."""
        return self.memory(optimizer, precision, checkpointing, device).peak_bytes(batch)

    def memory(
        self,
        optimizer: "str | Optimizer | None",
        precision: "Precision" = "float32",
        checkpointing: bool = False,
        device: "Device" = "cpu",
    ) -> "Timeline":
        """Follow the memory of a training step; without an optimizer, of a forward pass.

        Arguments and errors are those of `training_memory` and `inference_memory`. The result is
        kept: it serves every batch.
        """
        # imported when needed: it loads torch's compiler, for seconds
        from convatlas.analysis.memory import inference_memory, training_memory

        key = (optimizer, precision, checkpointing, device)
        if key not in self._memory:
            model, shape = self.model, self.input_shape
            self._memory[key] = (
                inference_memory(model, shape, precision, device)
                if optimizer is None
                else training_memory(model, shape, optimizer, precision, checkpointing, device)
            )
        return self._memory[key]

    @cached_property
    def _memory(self) -> dict[tuple, "Timeline"]:
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Give everything as numbers, strings and lists, for JSON."""
        return {
            "name": self.name,
            "input_shape": list(self.input_shape),
            "params": self.params,
            "trainable_params": self.trainable_params,
            "macs": self.macs,
            "activation_bytes": self.activation_bytes,
            "receptive_field": self.receptive_field,
            "weight_layers": self.weight_layers,
            "min_input_size": self.min_input_size,
            "counted": COUNTED,
            "layers": [_layer_dict(layer) for layer in self.layers],
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Give the table as text: the head, and a row for each layer."""
        return [_COLUMNS, *(_row(layer) for layer in self.layers)]

    def totals(self) -> list[tuple[str, str]]:
        """Give the totals as text: what, and how much."""
        last = "pixels, before the maps are averaged or flattened"
        return [
            ("parameters", f"{self.params:,}"),
            ("MACs", f"{self.macs:,}"),
            ("activations", f"{self.activation_bytes:,} bytes"),
            ("weight layers", f"{self.weight_layers} on the longest path"),
            ("receptive field", f"{self.receptive_field} {last}"),
        ]

    def __str__(self) -> str:
        """The table, the totals, and what is counted."""
        rows = self.rows()
        widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
        lines = [f"{self.name} on {size_text(self.input_shape)}"]
        for row in rows:
            cells = (
                cell.ljust(width) if i < 3 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("  ".join(cells).rstrip())
        lines += [f"{what}: {amount}" for what, amount in self.totals()]
        return "\n".join([*lines, COUNTED])


def analyze(model_or_name: nn.Module | str, input_shape: Sequence[int] | None = None) -> Report:
    """Run a network once on the meta device, where nothing is allocated, and report every layer.

    Args:
        model_or_name: A name of the catalog, or any module; a module is left as it was, and is
            analyzed in eval mode.
        input_shape: Of one image, without the batch: (channels, height, width). By default that
            of the catalog's network; any other module needs it.

    Raises:
        UnknownNameError: No such network.
        InputError: No input shape is known, or the model does not run on it.
    """
    if isinstance(model_or_name, str):
        return analyze_name(model_or_name, input_shape)
    created = getattr(model_or_name, "created_as", None)
    if input_shape is None:
        if created is None:
            raise InputError(
                f"{type(model_or_name).__name__} is not of the catalog: give input_shape, such "
                "as (3, 224, 224)"
            )
        own = catalog.input_shape_of(created["name"], **created["overrides"])
        input_shape = (created["in_channels"], *own[1:])
    name = created["name"] if created is not None else type(model_or_name).__name__
    twin = meta_copy(model_or_name)
    return Report(name, trace(twin, input_shape), twin)


def analyze_name(
    name: str, input_shape: Sequence[int] | None = None, num_classes: int | None = None
) -> Report:
    """Report on a network of the catalog that is built for an input and a number of classes.

    Args:
        name: As for `catalog.find`.
        input_shape: (channels, height, width); the network's own by default.
        num_classes: Outputs of the last layer; the network's own by default.

    Raises:
        UnknownNameError: No such network.
        InputError: It can't be built so, or does not run on such an input.
    """
    _, variant = catalog.find(name)
    shape = variant.input_shape if input_shape is None else input_shape
    given = isinstance(shape, (list, tuple)) and len(shape) == 3  # else the trace says so
    channels = shape[0] if given else None
    model = build_on_meta(name, num_classes=num_classes, in_channels=channels)
    return Report(name, trace(model, shape), model)


def size_text(shape: Sequence[int]) -> str:
    """Write a shape as papers do: 3x224x224."""
    return "x".join(map(str, shape)) or "1"


def _row(layer: LayerRecord) -> tuple[str, ...]:
    sliding = layer.kernel is not None
    return (
        layer.name,
        layer.kind,
        size_text(layer.output_shape),
        size_text(layer.kernel or ()) if sliding else "",
        size_text(layer.stride or ()) if sliding and layer.stride else "",
        f"{layer.params:,}" if layer.params else "",
        f"{layer.macs:,}" if layer.macs else "",
        f"{layer.receptive_field}" if layer.receptive_field else "",
    )


def _layer_dict(layer: LayerRecord) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "role": layer.role,
        "input_shape": list(layer.input_shape),
        "output_shape": list(layer.output_shape),
        "kernel": list(layer.kernel) if layer.kernel else None,
        "stride": list(layer.stride) if layer.stride else None,
        "groups": layer.groups,
        "params": layer.params,
        "macs": layer.macs,
        "activation_bytes": layer.activation_bytes,
        "receptive_field": layer.receptive_field,
        "stride_to_input": layer.stride_to_input,
    }
