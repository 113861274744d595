"""Batches: the same bytes whatever the workers and wherever one begins; faults come out clean."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convatlas.data.augment import Affine, Flip, PadCrop, RandomCrop, Resize, ScaleJitter
from convatlas.data.images import read_image
from convatlas.data.loader import Batch, batches, num_batches
from convatlas.data.preprocess import Preprocessing
from convatlas.data.sources import open_source
from convatlas.data.splits import ArraySplit
from convatlas.data.workers import WorkerWarning
from convatlas.errors import FileError, InputError

GREY = Preprocessing((6, 6), (0.3,), (0.6,))
COUNT = 23
AUGMENT = (Resize(), Affine(degrees=30, translate=0.2, scale=(0.8, 1.2), shear=10), Flip())


def split_of(count: int = COUNT, side: int = 4) -> ArraySplit:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, side, side), dtype=np.uint8)
    return ArraySplit(images, rng.integers(0, 5, count), np.arange(count), "speck")


SPLIT = split_of()


class Loose:
    """A split of no known class: nothing of it is kept, and it counts what is read."""

    def __init__(self, split: ArraySplit) -> None:
        self.split, self.labels, self.read = split, split.labels, []

    def __len__(self) -> int:
        return len(self.split)

    def image(self, i: int) -> Image.Image:
        self.read.append(i)
        return self.split.image(i)

    def label(self, i: int) -> int:
        return self.labels[i]

    def name(self, i: int) -> str:
        return self.split.name(i)


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b)
        for first, second in zip(one, other, strict=True)
        for a, b in zip(first[:3], second[:3], strict=True)
    )


def epoch(split=SPLIT, preprocessing=GREY, batch_size=5, **options) -> list[Batch]:
    return list(batches(split, preprocessing, batch_size, **options))


def test_gives_every_image_once_in_order():
    found = epoch()
    assert num_batches(SPLIT, 5) == len(found) == 5
    assert [len(batch.labels) for batch in found] == [5, 5, 5, 5, 3]
    assert torch.cat([batch.indices for batch in found]).tolist() == list(range(COUNT))
    assert torch.cat([batch.labels for batch in found]).tolist() == SPLIT.labels
    images = torch.cat([batch.images for batch in found])
    assert images.dtype == torch.float32
    for i in range(COUNT):
        assert torch.equal(images[i], GREY(SPLIT.image(i)))


def test_shuffles_by_seed_and_epoch():
    def order(**options) -> list[int]:
        found = epoch(shuffle=True, **options)
        for batch in found:
            assert batch.labels.tolist() == [SPLIT.label(i) for i in batch.indices.tolist()]
        return torch.cat([batch.indices for batch in found]).tolist()

    assert sorted(order()) == list(range(COUNT))
    assert order(seed=1, epoch=2) == order(seed=1, epoch=2)
    orders = [order(seed=seed, epoch=number) for seed in range(3) for number in range(3)]
    assert len({tuple(one) for one in orders}) == 9
    assert list(range(COUNT)) not in orders


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 30),
    batch_size=st.integers(1, 40),
    start=st.integers(0, 40),
    seed=st.integers(0, 2**63),
    number=st.integers(0, 10**6),
    shuffle=st.booleans(),
    augment=st.sampled_from(((), AUGMENT, (ScaleJitter(5, 9), RandomCrop()), (PadCrop(1),))),
)
def test_begins_anywhere(count, batch_size, start, seed, number, shuffle, augment):
    options = {"seed": seed, "epoch": number, "shuffle": shuffle, "augment": augment}
    split = split_of(count)
    whole = epoch(split, batch_size=batch_size, **options)
    assert len(whole) == num_batches(split, batch_size)
    assert same(epoch(split, batch_size=batch_size, start=start, **options), whole[start:])


def test_reads_nothing_of_what_it_skips():
    split = Loose(SPLIT)
    found = epoch(split, start=4)
    assert split.read == found[0].indices.tolist() == [20, 21, 22]


def test_reads_no_further_than_it_is_asked():
    split = Loose(SPLIT)
    next(batches(split, GREY, 5))
    assert split.read == [0, 1, 2, 3, 4]


def test_keeps_small_images_that_it_has_resized():
    class Once(ArraySplit):
        def image(self, i: int) -> Image.Image:
            assert i not in seen
            seen.add(i)
            return super().image(i)

    seen: set[int] = set()
    split = Once(SPLIT.images, SPLIT.classes, SPLIT.indices, "speck")
    first = epoch(split)
    assert same(epoch(split), first)
    assert same(epoch(split, augment=AUGMENT), epoch(augment=AUGMENT))


def test_keeps_nothing_that_takes_too_much_room(monkeypatch):
    monkeypatch.setattr("convatlas.data.reader.CACHE_BYTES", COUNT * 36 - 1)

    class Counted(ArraySplit):
        def image(self, i: int) -> Image.Image:
            read.append(i)
            return super().image(i)

    read: list[int] = []
    split = Counted(SPLIT.images, SPLIT.classes, SPLIT.indices, "speck")
    assert same(epoch(split), epoch(split))
    assert len(read) == 2 * COUNT


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing((4, 4), (0.3,), (0.6,)),
        Preprocessing((4, 4), (0.3,), (0.6,), resize_shorter=4),
        Preprocessing((4, 4), (0.3,), (0.6,), resize_shorter=5),
        Preprocessing((8, 8), (0.3,), (0.6,), border=2),
        Preprocessing((4, 4), (0.3,) * 3, (0.6,) * 3),
    ],
)
@pytest.mark.parametrize("augment", [(), AUGMENT, (PadCrop(1),), (RandomCrop(),)])
def test_images_of_the_right_size_are_those_that_are_resized(preprocessing, augment):
    kept = epoch(split_of(), preprocessing, augment=augment)
    assert same(kept, epoch(Loose(SPLIT), preprocessing, augment=augment))


def test_images_of_the_right_size_are_not_read_one_by_one(monkeypatch):
    split = split_of()
    monkeypatch.setattr(ArraySplit, "image", None)
    assert epoch(split, Preprocessing((8, 8), (0.3,), (0.6,), border=2))


@pytest.mark.parametrize("channels", [1, 3])
def test_another_device_normalises_to_the_same_bits(channels):
    values = np.arange(256, dtype=np.uint8).repeat(channels).reshape(4, 8, 8, channels)
    preprocessing = Preprocessing((8, 8), (0.485, 0.456, 0.406)[:channels], (0.229,) * channels)
    here = preprocessing.normalized(values)
    there = preprocessing.normalized_on(torch.from_numpy(values), torch.device("cpu"))
    assert there.equal(here)
    assert there.stride() == here.stride()


def test_only_bytes_travel_to_another_device():
    whole = epoch(device=torch.device("meta"))
    assert all(batch.images.is_meta and not batch.labels.is_meta for batch in whole)
    assert all(
        one.images.stride() == other.images.stride() and one.labels.equal(other.labels)
        for one, other in zip(whole, epoch(), strict=True)
    )


def test_another_size_is_not_taken_from_those_kept():
    other = Preprocessing((9, 7), (0.3,), (0.6,))
    assert epoch()[0].images.shape[2:] == (6, 6)
    assert epoch(preprocessing=other)[0].images.shape[2:] == (9, 7)
    assert epoch()[0].images.shape[2:] == (6, 6)


def test_keeping_makes_no_difference():
    assert same(epoch(Loose(SPLIT)), epoch())
    assert same(epoch(Loose(SPLIT), augment=AUGMENT), epoch(augment=AUGMENT))


def test_a_change_depends_on_seed_epoch_and_index_alone():
    def images(**options) -> dict[int, bytes]:
        return {
            index: image.numpy().tobytes()
            for batch in epoch(augment=AUGMENT, **options)
            for index, image in zip(batch.indices.tolist(), batch.images, strict=True)
        }

    assert images() == images(shuffle=True, batch_size=7)
    for options in ({"seed": 1}, {"epoch": 1}):
        changed = images(**options)
        assert sum(changed[i] != image for i, image in images().items()) > COUNT / 2


def test_a_first_resize_or_pad_crop_begins_with_that_of_the_preprocessing():
    bordered = Preprocessing((8, 8), (0.3,), (0.6,), border=2)
    assert same(epoch(preprocessing=bordered, augment=(Resize(),)), epoch(preprocessing=bordered))
    assert same(epoch(preprocessing=bordered, augment=(PadCrop(0),)), epoch(preprocessing=bordered))
    stretched = epoch(preprocessing=bordered, augment=(Resize("bilinear"),))
    assert not same(stretched, epoch(preprocessing=bordered))


def test_brings_changed_images_to_size_and_mode():
    colour = Preprocessing((10, 12), (0.5,) * 3, (0.5,) * 3)
    for augment in ((Flip(),), (ScaleJitter(3, 30),), (Resize(), Flip()), AUGMENT):
        assert epoch(preprocessing=colour, augment=augment)[0].images.shape == (5, 3, 10, 12)


def test_takes_its_chance_from_nowhere_else():
    def state() -> tuple:
        return torch.random.get_rng_state().tolist(), np.random.get_state()[1].tolist()

    before = state()
    first = epoch(shuffle=True, augment=AUGMENT)
    torch.manual_seed(5)
    after = state()
    assert before != after
    assert same(first, epoch(shuffle=True, augment=AUGMENT, workers=1))
    assert state() == after


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_make_no_difference(workers):
    options = {"shuffle": True, "seed": 3, "augment": AUGMENT, "start": 1}
    assert same(epoch(workers=workers, **options), epoch(**options))


def test_an_empty_epoch_is_empty():
    assert epoch(start=5) == epoch(start=5, workers=2) == []


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 0}, {"seed": -1}, {"epoch": -1}, {"start": -1}, {"workers": -1}],
)
def test_refuses_numbers_out_of_range_at_once(options):
    name, value = next(iter(options.items()))
    arguments = {"batch_size": 5} | options
    with pytest.raises(InputError, match=rf"{name} must be at least \d, not {value}"):
        batches(SPLIT, GREY, **arguments)


class Unreadable(Loose):
    def image(self, i: int) -> Image.Image:
        if i == 12:
            return read_image("/nowhere/12.png")
        return super().image(i)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_is_named(workers):
    found = batches(Unreadable(SPLIT), GREY, 5, workers=workers)
    assert [next(found).indices[0].item() for _ in range(2)] == [0, 5]
    with pytest.raises(FileError) as caught:
        next(found)
    assert str(caught.value) == "there is no file /nowhere/12.png"


class Interrupted(Loose):
    """Sends what a terminal and a supervisor send, to the process that reads."""

    def image(self, i: int) -> Image.Image:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        return super().image(i)


def test_workers_ignore_the_signals_that_end_a_run():
    assert same(epoch(Interrupted(SPLIT), workers=2), epoch())


class Killed(Loose):
    def image(self, i: int) -> Image.Image:
        if i == 12:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().image(i)


@pytest.mark.timeout(60)
def test_an_image_that_kills_every_worker_is_an_error_and_no_hang():
    with (
        pytest.raises(InputError, match="fewer than 1 workers"),
        pytest.warns(WorkerWarning, match="has died, as it does when memory runs out; going on"),
    ):
        epoch(Killed(SPLIT), workers=2)
    assert multiprocessing.active_children() == []


@pytest.mark.timeout(60)
def test_a_worker_killed_from_outside_is_replaced():
    handler = signal.getsignal(signal.SIGCHLD)
    split = split_of(400)
    found = batches(split, GREY, 1, workers=2)
    first = [next(found)]
    multiprocessing.active_children()[0].kill()
    time.sleep(0.2)  # nothing may be raised here, where no batch is asked for
    with pytest.warns(WorkerWarning, match="going on with 1"):
        assert same([*first, *found], list(batches(split, GREY, 1)))
    assert signal.getsignal(signal.SIGCHLD) == handler
    assert multiprocessing.active_children() == []


class Stuck(Loose):
    def image(self, i: int) -> Image.Image:
        if i == 12:
            time.sleep(100)
        return super().image(i)


@pytest.mark.timeout(60)
def test_a_worker_that_hangs_is_told_of_and_given_up(monkeypatch):
    monkeypatch.setattr("convatlas.data.workers.NOTICE_AFTER", 0.5)
    monkeypatch.setattr("convatlas.data.workers.GIVE_UP_AFTER", 2.0)
    names = ", ".join(SPLIT.name(i) for i in (10, 11, 12))
    with (
        pytest.warns(WorkerWarning, match=f"waiting .* that read {names} and 2 more$"),
        pytest.raises(InputError, match=f"nothing came .* {names} and 2 more: can these"),
    ):
        epoch(Stuck(SPLIT), workers=2)
    assert multiprocessing.active_children() == []


class Greedy(Loose):
    def image(self, *_) -> Image.Image:
        raise MemoryError


def test_a_worker_without_memory_is_one_line():
    with pytest.raises(InputError, match="memory ran out while images were read"):
        epoch(Greedy(SPLIT), workers=1)


def test_a_defect_of_a_split_is_not_taken_for_a_killed_worker():
    class Defective(Loose):
        def image(self, i: int) -> Image.Image:
            raise RuntimeError(f"a defect at {i}")

    with pytest.raises(RuntimeError, match="a defect"):
        epoch(Defective(SPLIT), workers=1)


def test_an_abandoned_epoch_ends_its_workers():
    found = batches(SPLIT, GREY, 1, workers=2)
    next(found)
    assert len(multiprocessing.active_children()) == 2
    del found
    assert multiprocessing.active_children() == []


def test_a_program_can_end_in_the_midst_of_an_epoch():
    code = (
        "from convatlas.data.loader import batches\n"
        "from convatlas.data.sources import open_source\n"
        "source = open_source('digits')\n"
        "found = batches(source.train, source.card.preprocessing((1, 32, 32)), 4, workers=2)\n"
        "next(found)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_an_epoch_of_augmented_digits_is_quick():
    source = open_source("digits")
    preprocessing = source.card.preprocessing((1, 32, 32))
    augment = (Resize(), Affine(degrees=10, translate=0.1, scale=(0.9, 1.1), shear=10))
    seconds = []
    for number in range(3):
        begun = time.process_time()
        epoch(source.train, preprocessing, 64, augment=augment, shuffle=True, epoch=number)
        seconds.append(time.process_time() - begun)
    assert min(seconds) < 0.4
