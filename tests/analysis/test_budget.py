"""The largest batch that fits, and the arithmetic below it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from convatlas.analysis.allocations import Allocation, Event
from convatlas.analysis.budget import budget, bytes_text, parse_size
from convatlas.analysis.report import analyze
from convatlas.analysis.timeline import Timeline
from convatlas.errors import InputError


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    """Allocations that are born in order and die at any later time, or never."""
    sizes = draw(
        st.lists(
            st.tuples(st.integers(0, 1000), st.integers(0, 100), st.integers(1, 20)),
            min_size=1,
            max_size=20,
        )
    )
    allocations = [Allocation(fixed, moving, "activations") for fixed, moving, _ in sizes]
    times = [(birth, index, True) for birth, index in enumerate(range(len(sizes)))]
    times += [(birth + life, birth, False) for birth, (_, _, life) in enumerate(sizes)]
    times = [time for time in times if time[0] < len(sizes)]
    ordered = sorted(times, key=lambda time: (time[0], time[2]))
    events = [Event(index, born, "forward", str(index)) for _, index, born in ordered]
    return Timeline(allocations, events)


@given(timelines(), st.integers(1, 1000))
def test_the_peak_is_the_largest_sum_of_what_lives_together(timeline: Timeline, batch: int) -> None:
    living: set[int] = set()
    highest = 0
    for event in timeline.events:
        (living.add if event.born else living.remove)(event.index)
        highest = max(highest, sum(timeline.allocations[i].size(batch) for i in living))
    peak = timeline.peak(batch)
    assert peak.bytes == highest == timeline.peak_bytes(batch) == sum(peak.parts.values())


@given(timelines(), st.integers(0, 100_000))
def test_the_largest_batch_fits_and_the_next_does_not(timeline: Timeline, memory: int) -> None:
    batch = timeline.largest_batch(memory)
    assert batch == 0 or timeline.peak_bytes(batch) <= memory
    moving = any(allocation.per_image for allocation in timeline.allocations)
    assert not moving or timeline.peak_bytes(batch + 1) > memory


def test_batches_fit_and_savings_save() -> None:
    memory = 20_000_000
    found = budget("resnet8_cifar", "20MB")
    report = analyze("resnet8_cifar")
    training, inference = found.training, found.inference
    assert found.memory == memory
    assert inference.batch > training.batch > 1
    assert report.peak_training_bytes(training.batch) == training.peak.bytes <= memory
    assert report.peak_training_bytes(training.batch + 1) > memory
    assert report.peak_inference_bytes(inference.batch + 1) > memory
    ways = [(fit.precision, fit.checkpointing) for fit in found.savings]
    assert ways == [("bfloat16", False), ("float32", True), ("bfloat16", True)]
    for fit in found.savings:
        same = report.peak_training_bytes(
            training.batch, precision=fit.precision, checkpointing=fit.checkpointing
        )
        assert fit.saves == training.peak.bytes - same > 0
        assert fit.batch > training.batch
    assert json.loads(json.dumps(found.to_dict()))["training"]["batch"] == training.batch


def test_too_little_for_one_image_says_how_much_one_needs() -> None:
    with pytest.raises(InputError, match=r"200 kB is too little .* 1 needs 443 kB .* and 919 kB"):
        budget("lenet5", 200_000)
    tight = budget("lenet5", "500kB")
    assert tight.inference.batch >= 1
    assert tight.training.batch == 0
    assert tight.training.peak.batch == 1


def test_any_module_has_a_budget() -> None:
    found = budget(nn.Linear(10, 10), 1_000_000, (10,), "sgd")
    assert found.name == "Linear"
    assert found.inference.batch > 1000


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GB", 8_000_000_000),
        ("8GiB", 8 * 2**30),
        ("512MB", 512_000_000),
        ("1.5 gb", 1_500_000_000),
        ("24G", 24_000_000_000),
        ("64KiB", 65_536),
        ("123", 123),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "8 bananas", "-8GB", "0GB", "0.1", "GB", "8GBB", "1e9", "8PB"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="such as 8GB, 8GiB or 512MB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.00 kB"),
        (12_345_678, "12.3 MB"),
        (512_000_000, "512 MB"),
        (7_996_000_000, "8.00 GB"),
        (4_567_000_000_000, "4,567 GB"),
        (-489_000, "-489 kB"),
    ],
)
def test_sizes_are_written(size: int, text: str) -> None:
    assert bytes_text(size) == text
