"""What a run takes and gives back over time, its peak at any batch, and the batch that fits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, get_args

from convatlas.analysis.allocations import Allocation, Event, Part, Phase
from convatlas.errors import InputError

_MOST = 1 << 30  # images; nobody has more memory than that


@dataclass(frozen=True, slots=True)
class Peak:
    """The moment of a run that needs most memory.

    Attributes:
        batch: Images.
        bytes: In all; the sum of the parts below.
        weights: Parameters and buffers.
        gradients: Of the parameters, as far as there are any yet.
        optimizer_state: What the optimizer remembers from step to step.
        activations: The images, and what the layers make of them.
        temporaries: Gradients of activations, weights in another precision, the optimizer's copies.
        workspace: What oneDNN takes while a convolution runs on a processor.
        phase: "forward", "backward" or "optimizer step".
        layer: The dotted name of the layer that runs; empty: none of the network's.
    """

    batch: int
    bytes: int
    weights: int
    gradients: int
    optimizer_state: int
    activations: int
    temporaries: int
    workspace: int
    phase: Phase
    layer: str

    @property
    def parts(self) -> dict[str, int]:
        """What takes the memory, in bytes, without what takes none."""
        return {part: size for part in get_args(Part) if (size := getattr(self, part))}

    def to_dict(self) -> dict[str, Any]:
        """Give everything as numbers and strings, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Timeline:
    """The allocations of a run, and when they are born and die."""

    allocations: Sequence[Allocation]
    events: Sequence[Event]

    def peak(self, batch: int) -> Peak:
        """Find the moment that needs most memory at a batch.

        Raises:
            InputError: `batch` is no whole number of at least 1.
        """
        _check_batch(batch)
        changes = [event.sign * self.allocations[event.index].size(batch) for event in self.events]
        taken = list(accumulate(changes))
        highest = max(taken)
        moment = taken.index(highest)
        parts = Counter(dict.fromkeys(get_args(Part), 0))
        for event, change in zip(self.events[: moment + 1], changes, strict=False):
            parts[self.allocations[event.index].part] += change
        event = self.events[moment]
        return Peak(batch, highest, **parts, phase=event.phase, layer=event.layer)

    def peak_bytes(self, batch: int) -> int:
        """Give the bytes of the peak at a batch.

        Raises:
            InputError: `batch` is no whole number of at least 1.
        """
        _check_batch(batch)
        return max(fixed + batch * per_image for fixed, per_image in self._levels)

    def largest_batch(self, memory: int) -> int:
        """Give the largest batch whose peak fits into `memory` bytes; 0: not even one image."""
        return min(
            (_fitting(memory, fixed, per_image) for fixed, per_image in self._levels), default=_MOST
        )

    @cached_property
    def _levels(self) -> set[tuple[int, int]]:
        """Bytes that are taken at each moment: fixed ones, and those of each image."""
        fixed = accumulate(e.sign * self.allocations[e.index].fixed for e in self.events)
        moving = accumulate(e.sign * self.allocations[e.index].per_image for e in self.events)
        return set(zip(fixed, moving, strict=True))


def _check_batch(batch: int) -> None:
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        raise InputError(f"batch is a whole number of at least 1, not {batch!r}")


def _fitting(memory: int, fixed: int, per_image: int) -> int:
    if fixed > memory:
        return 0
    return (memory - fixed) // per_image if per_image else _MOST
