"""From files to batches on one core, beside torchvision's transforms on Pillow.

Run: python benchmarks/data.py --images FOLDER [--rounds 7] [--batch-size 32]

It needs torchvision beside the torch of convatlas, see peers.py, and the extra `fast`; the path is
measured without its decoder, too. All sides read the same JPEG files and give normalised batches
(N, 3, 224, 224): for testing, the shorter side to 256 and the centre; for training, a crop of
random area and a mirror. The rounds are interleaved, there and back; what counts is the time of the
processor, since other work may share the machine. The test images are compared with torchvision's,
value by value. Last, it measures how long a training step waits for its images with one process
that reads ahead.
"""

import argparse
import importlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from peers import torchvision_models
from PIL import Image
from record import write_record
from torch import Tensor

import convatlas as ca
from convatlas.analysis.report import analyze_name
from convatlas.data import jpeg
from convatlas.data.augment import AreaCrop, Flip
from convatlas.data.card import IMAGENET_MEAN, IMAGENET_STD
from convatlas.data.folder import FolderSplit
from convatlas.data.loader import batches
from convatlas.data.preprocess import Preprocessing

TARGET = 1.5  # times torchvision, on one core
MOST_ERROR = 1.0  # of 255, on the mean
WAITING = ("mobilenet_v1", "resnet18")  # 0.57 and 1.8 GMAC: the less a step takes, the harder

PREPROCESSING = Preprocessing((224, 224), IMAGENET_MEAN, IMAGENET_STD, resize_shorter=256)

EPOCHS = itertools.count()

Epoch = Callable[[], Iterator[Tensor]]


def ours(split: FolderSplit, batch_size: int, training: bool) -> Iterator[Tensor]:
    """Give the batches of one epoch."""
    augment = (AreaCrop(), Flip()) if training else ()
    epoch = next(EPOCHS)  # other crops in each, as on the other side
    for batch in batches(split, PREPROCESSING, batch_size, augment=augment, epoch=epoch):
        yield batch.images


def on_pillow(split: FolderSplit, batch_size: int, training: bool) -> Iterator[Tensor]:
    """Give the same batches without the decoder of the extra `fast`."""
    with patch.object(jpeg, "library", lambda: None):
        yield from ours(split, batch_size, training)


def theirs(split: FolderSplit, batch_size: int, training: bool) -> Iterator[Tensor]:
    """Do what torchvision's references do: transforms on Pillow's images, then one stack."""
    torchvision_models()
    transforms = importlib.import_module("torchvision.transforms")
    cut = (
        [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()]
        if training
        else [transforms.Resize(256), transforms.CenterCrop(224)]
    )
    whole = transforms.Compose(
        [*cut, transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    )
    for start in range(0, len(split), batch_size):
        images = []
        for file in split.files[start : start + batch_size]:
            with Image.open(split.folder / file) as image:
                images.append(whole(image.convert("RGB")))
        yield torch.stack(images)


def seconds(epoch: Callable[[], Iterator[Tensor]]) -> float:
    """Give the processor's time of one epoch."""
    begun = time.process_time()
    for _ in epoch():
        pass
    return time.process_time() - begun


def race(split: FolderSplit, args: argparse.Namespace, training: bool) -> dict[str, Any]:
    """Time all sides, in turns: there and back."""
    read = {"convatlas": ours, "convatlas on Pillow": on_pillow, "torchvision": theirs}
    sides: dict[str, Epoch] = {
        name: partial(give, split, args.batch_size, training) for name, give in read.items()
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1, args.rounds):  # the first round warms up
        for name in sorted(sides, reverse=bool(number % 2)):
            taken = seconds(sides[name])
            if number >= 0:
                times[name].append(taken)
    rates = {name: sorted(len(split) / taken for taken in found) for name, found in times.items()}
    ratios = {
        name: sorted(b / a for a, b in zip(found, times["torchvision"], strict=True))
        for name, found in times.items()
    }
    return {
        "path": "training" if training else "testing",
        "images_per_second": {name: spread(found) for name, found in rates.items()},
        "ratio": {name: spread(found) for name, found in ratios.items() if name != "torchvision"},
    }


def spread(values: list[float]) -> dict[str, float]:
    """Give the median and the ends of sorted values."""
    return {"median": statistics.median(values), "least": values[0], "most": values[-1]}


def difference(split: FolderSplit, batch_size: int) -> dict[str, float]:
    """Compare the test images of both sides, in levels of 255."""
    levels = 255 * torch.tensor(IMAGENET_STD)[:, None, None]
    sums, most, count = 0.0, 0.0, 0
    pairs = zip(ours(split, batch_size, False), theirs(split, batch_size, False), strict=True)
    for one, other in pairs:
        errors = ((one - other) * levels).abs()
        sums, most = sums + float(errors.sum()), max(most, float(errors.max()))
        count += errors.numel()
    return {"mean_of_255": sums / count, "greatest_of_255": most}


def waiting(name: str, split: FolderSplit, batch_size: int = 16, steps: int = 4) -> dict[str, Any]:
    """Measure how much of the training one waits for images, with one process that reads."""
    model = ca.create(name).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    files = [split.files[i % len(split)] for i in range(batch_size * (steps + 2))]
    looped = FolderSplit(split.folder, files, [0] * len(files))
    stream = batches(
        looped, PREPROCESSING, batch_size, augment=(AreaCrop(), Flip()), shuffle=True, workers=1
    )
    waited, worked = [], []
    for _ in range(steps):
        begun = time.perf_counter()
        batch = next(stream)
        fetched = time.perf_counter()
        torch.nn.functional.cross_entropy(model(batch.images), batch.labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        waited.append(fetched - begun)
        worked.append(time.perf_counter() - fetched)
    # the first batch is read while nothing else goes on, and its step allocates
    return {
        "network": name,
        "gmacs": analyze_name(name, (3, 224, 224)).macs / 1e9,
        "step_seconds": statistics.median(worked[1:]),
        "waited_share": sum(waited[1:]) / (sum(waited[1:]) + sum(worked[1:])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="a folder of JPEG files")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=32)
    args = parser.parse_args()
    files = sorted(str(f.relative_to(args.images)) for f in args.images.rglob("*.[jJ][pP]*[gG]"))
    split = FolderSplit(args.images, files, [0] * len(files))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = [race(split, args, training) for training in (False, True)]
    for row in rows:
        rates = {name: round(found["median"]) for name, found in row["images_per_second"].items()}
        ratios = {name: round(found["median"], 2) for name, found in row["ratio"].items()}
        print(f"{row['path']}: {rates} images/s; times torchvision: {ratios}", flush=True)
    error = difference(split, args.batch_size)
    torch.set_num_threads(threads)
    starved = [waiting(name, split) for name in WAITING]
    print(f"difference of test images: {error}")
    for row in starved:
        print(f"{row['network']}: waits {row['waited_share']:.1%} of its time")
    peer = importlib.import_module("torchvision").__version__
    versions = {"torchvision": peer, "simplejpeg": jpeg.decoders()["simplejpeg"]}
    sizes = [(split.folder / file).stat().st_size for file in files]
    images = {"count": len(files), "mean_bytes": round(float(np.mean(sizes)))}
    found = {"races": rows, "difference": error, "waiting": starved}
    print(write_record("data", found, images=images, threads=threads, **versions))
    slowest = min(row["ratio"]["convatlas"]["median"] for row in rows)
    if slowest < TARGET or error["mean_of_255"] > MOST_ERROR:
        raise SystemExit("the target is missed")


if __name__ == "__main__":
    main()
