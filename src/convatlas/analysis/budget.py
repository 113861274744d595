"""The largest batch that fits into a memory, what takes it, and what would save some."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from convatlas.analysis.memory import Device, Precision
from convatlas.analysis.report import Report, analyze
from convatlas.analysis.timeline import Peak
from convatlas.errors import InputError
from convatlas.recipe import Optimizer

_UNITS = {"": 1, "k": 1_000, "m": 1_000**2, "g": 1_000**3, "t": 1_000**4}
_BINARY = {"ki": 1024, "mi": 1024**2, "gi": 1024**3, "ti": 1024**4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(|[kmgt]i?)b?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fit:
    """The largest batch that fits, in one way of using the network.

    Attributes:
        training: Whether the network is trained, or answers.
        precision: "float32" or "bfloat16".
        checkpointing: Whether stages are computed again in the backward pass.
        batch: Images; 0: not even one fits.
        peak: At that batch; at a batch of 1 where none fits.
        saves: Bytes that a step at the batch of plain training needs less in this way.
    """

    training: bool
    precision: Precision
    checkpointing: bool
    batch: int
    peak: Peak
    saves: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Give everything as numbers and strings, for JSON."""
        return {
            "training": self.training,
            "precision": self.precision,
            "checkpointing": self.checkpointing,
            "batch": self.batch,
            "peak": self.peak.to_dict(),
            "saves": self.saves,
        }


@dataclass(frozen=True, slots=True)
class Budget:
    """What fits into a memory.

    Attributes:
        name: The network's name, or the class of the model.
        input_shape: Of one image: (C, H, W).
        memory: In bytes.
        inference: The largest batch for answering.
        training: The largest batch for training.
        savings: Training in the ways that need less.
    """

    name: str
    input_shape: tuple[int, ...]
    memory: int
    inference: Fit
    training: Fit
    savings: tuple[Fit, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give everything as numbers, strings and lists, for JSON."""
        return {
            "name": self.name,
            "input_shape": list(self.input_shape),
            "memory": self.memory,
            "inference": self.inference.to_dict(),
            "training": self.training.to_dict(),
            "savings": [fit.to_dict() for fit in self.savings],
        }


def budget(
    model_or_name: nn.Module | str,
    memory: int | str,
    input_shape: Sequence[int] | None = None,
    optimizer: str | Optimizer = "momentum",
    precision: Precision = "float32",
    checkpointing: bool = False,
    device: Device = "cpu",
) -> Budget:
    """Find the largest batches that fit into a memory, by prediction: nothing is allocated.

    Args:
        model_or_name: As for `analyze`.
        memory: Bytes, or a text such as "8GB", "8GiB" or "512MB".
        input_shape: As for `analyze`.
        optimizer: As for `training_memory`.
        precision: "float32" or "bfloat16".
        checkpointing: Whether stages are computed again in the backward pass.
        device: "cpu" or "cuda".

    Raises:
        UnknownNameError: No such network or optimizer.
        InputError: Not even one image fits for inference; the message says how much it needs.
    """
    size = parse_size(memory) if isinstance(memory, str) else memory
    report = analyze(model_or_name, input_shape)
    inference = _fit(report, size, None, precision, False, device)
    training = _fit(report, size, optimizer, precision, checkpointing, device)
    if not inference.batch:
        raise InputError(
            f"{bytes_text(size)} is too little for {report.name}: a batch of 1 needs "
            f"{bytes_text(inference.peak.bytes)} for inference and "
            f"{bytes_text(training.peak.bytes)} for training"
        )
    ways: list[tuple[Precision, bool]]
    ways = [("bfloat16", checkpointing), (precision, True), ("bfloat16", True)]
    savings = []
    for way in dict.fromkeys(ways):
        if way != (precision, checkpointing):
            fit = _fit(report, size, optimizer, *way, device)
            alike = report.memory(optimizer, *way, device).peak_bytes(training.peak.batch)
            savings.append(replace(fit, saves=training.peak.bytes - alike))
    return Budget(report.name, report.input_shape, size, inference, training, tuple(savings))


def _fit(
    report: Report,
    memory: int,
    optimizer: str | Optimizer | None,
    precision: Precision,
    checkpointing: bool,
    device: Device,
) -> Fit:
    timeline = report.memory(optimizer, precision, checkpointing, device)
    batch = timeline.largest_batch(memory)
    peak = timeline.peak(max(batch, 1))
    return Fit(optimizer is not None, precision, checkpointing, batch, peak)


def parse_size(text: str) -> int:
    """Read a size: "8GB" is 8,000,000,000 bytes, "8GiB" 8,589,934,592, "512MB", "1.5GB".

    Raises:
        InputError: It is no such size, or less than one byte.
    """
    found = _SIZE.fullmatch(text.strip())
    unit = found[2].lower() if found else ""
    size = int(float(found[1]) * (_UNITS | _BINARY)[unit]) if found else 0
    if size < 1:
        raise InputError(f"a size of memory is such as 8GB, 8GiB or 512MB, not {text!r}")
    return size


def bytes_text(size: int) -> str:
    """Write bytes as people say them: "7.93 GB", "512 MB"."""
    for unit, factor in (("GB", 1_000**3), ("MB", 1_000**2), ("kB", 1_000)):
        if abs(size) >= factor:
            amount = size / factor
            digits = 2 if abs(amount) < 10 else 1 if abs(amount) < 100 else 0
            return f"{amount:,.{digits}f} {unit}"
    return f"{size} bytes"
