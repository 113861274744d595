"""Packed shards beside the same pictures in a folder, and beside the library webdataset.

Run: python benchmarks/packed.py --images FOLDER [--rounds 5] [--batch-size 32]

It needs `pip install --no-deps webdataset braceexpand` beside peers.py's torchvision, and the extra
`fast`. FOLDER holds JPEG files, in folders of their classes or not. First, pictures a second that
are read in random order, without decoding: from the system's cache, each picture many times.
Second, normalised batches (N, 3, 224, 224) for training, on one core, by the processor's time: the
shorter side 256, a random crop, a mirror. webdataset reads the same shards as its documentation
says, in the order in which they lie, with the decoder and the transforms of torchvision. The rounds
are interleaved, there and back.
"""

import argparse
import importlib
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peers import torchvision_models
from record import write_record
from torch import Tensor

from convatlas.data import jpeg
from convatlas.data.augment import Flip, RandomCrop, ScaleJitter
from convatlas.data.card import IMAGENET_MEAN, IMAGENET_STD, Source
from convatlas.data.folder import FolderSplit, picture_card
from convatlas.data.loader import batches
from convatlas.data.pack_format import PackOptions
from convatlas.data.packing import pack
from convatlas.data.preprocess import Preprocessing
from convatlas.data.sources import open_source

READS = 110_000  # a second, of packed files: five times what webdataset gives
LEAST_READS = 20_000  # in a round

FORMS = {
    "packed files": PackOptions("files"),
    "packed pixels": PackOptions("pixels"),
    "packed jpeg 256": PackOptions("jpeg", 256),
    "packed pixels 256": PackOptions("pixels", 256),
}
PREPROCESSING = Preprocessing((224, 224), IMAGENET_MEAN, IMAGENET_STD, resize_shorter=256)
AUGMENT = (ScaleJitter(256, 256), RandomCrop(), Flip())

EPOCHS = itertools.count()


def looped(folder: Path) -> FolderSplit:
    """Take the JPEG files of a folder; their classes don't matter here."""
    files = sorted(str(f.relative_to(folder)) for f in folder.rglob("*.[jJ][pP]*[gG]"))
    return FolderSplit(folder, files, [i % 2 for i in range(len(files))])


def ours(split: Any, batch_size: int) -> Iterator[Tensor]:
    epoch = next(EPOCHS)
    for batch in batches(
        split, PREPROCESSING, batch_size, augment=AUGMENT, shuffle=True, epoch=epoch
    ):
        yield batch.images


def theirs(shard: Path, batch_size: int) -> Iterator[Tensor]:
    """Do what the documentation of webdataset does for training."""
    torchvision_models()
    transforms = importlib.import_module("torchvision.transforms")
    whole = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.RandomCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    samples = _webdataset(shard).shuffle(100).decode("pil").to_tuple("jpg", "cls")
    for images, _ in samples.map_tuple(whole, int).batched(batch_size):
        yield images


def _webdataset(shard: Path) -> Any:
    return importlib.import_module("webdataset").WebDataset(str(shard), shardshuffle=False)


def read_theirs(shard: Path) -> int:
    """Read every sample of a shard, undecoded."""
    return sum(1 for sample in _webdataset(shard) if sample["jpg"])


def read_ours(read: Callable[[int], object], count: int) -> int:
    """Read in random order."""
    order = random.Random(0).sample(range(count), count)
    for i in order:
        read(i)
    return count


def race(
    sides: dict[str, Callable[[], int]], rounds: int, clock: Callable[[], float]
) -> dict[str, dict[str, float]]:
    """Give pictures a second of each side, which take turns: there and back."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1, rounds):  # the first round warms up
        for name in sorted(sides, reverse=bool(number % 2)):
            begun = clock()
            count = sides[name]()
            if number >= 0:
                rates[name].append(count / (clock() - begun))
    return {
        name: {"median": statistics.median(found), "least": min(found), "most": max(found)}
        for name, found in rates.items()
    }


def again(read: Callable[[], int], count: int) -> int:
    """Read so often that the clock can tell."""
    return sum(read() for _ in range(max(1, LEAST_READS // count)))


def counted(epoch: Callable[[], Iterator[Tensor]]) -> int:
    return sum(len(images) for images in epoch())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="a folder of JPEG files")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    args = parser.parse_args()
    torch.set_num_threads(1)
    split = looped(args.images)
    source = Source(picture_card(args.images, ("a", "b")), split, split, split)
    with tempfile.TemporaryDirectory() as folder:
        packs, bytes_each = {}, {}
        for name, options in FORMS.items():
            place = Path(folder) / name.replace(" ", "-")
            written = pack(source, str(args.images), place, options, max_bad=0)
            packs[name] = open_source(f"packed:{place}").train
            bytes_each[name] = round(written.bytes / sum(written.images.values()))
        shard, count = packs["packed files"].shards[0], len(split)
        reads = {
            "folder": partial(read_ours, split.content, count),
            "webdataset": partial(read_theirs, shard),
            "packed files": partial(read_ours, packs["packed files"].content, count),
            "packed pixels 256": partial(read_ours, packs["packed pixels 256"].view, count),
        }
        repeated = {name: partial(again, read, count) for name, read in reads.items()}
        reading = race(repeated, args.rounds, time.perf_counter)
        epochs: dict[str, Callable[[], Iterator[Tensor]]] = {
            "folder": partial(ours, split, args.batch_size),
            "webdataset": partial(theirs, shard, args.batch_size),
        }
        epochs |= {name: partial(ours, found, args.batch_size) for name, found in packs.items()}
        training = race(
            {name: partial(counted, epoch) for name, epoch in epochs.items()},
            args.rounds,
            time.process_time,
        )
    rows = []
    for what, found in (("reads", reading), ("training", training)):
        for name, rate in found.items():
            ratio = rate["median"] / found["webdataset"]["median"]
            print(f"{what:9} {name:18} {rate['median']:10,.0f}/s  {ratio:6.2f} times webdataset")
            rows.append({"what": what, "side": name, "per_second": rate, "ratio": ratio})
    versions = {
        name: importlib.import_module(name).__version__ for name in ("torchvision", "webdataset")
    }
    versions["simplejpeg"] = jpeg.decoders()["simplejpeg"]
    sizes = [(split.folder / file).stat().st_size for file in split.files]
    images = {"count": count, "mean_bytes": round(statistics.mean(sizes))}
    print(f"bytes a picture: {images['mean_bytes']} in the folder, {bytes_each}")
    print(write_record("packed", rows, images=images, packed_bytes=bytes_each, **versions))
    if reading["packed files"]["median"] < READS:
        raise SystemExit("the target is missed")


if __name__ == "__main__":
    main()
