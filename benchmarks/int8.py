"""8 bits after training: how often the class stays, and how much quicker it is.

Run: python benchmarks/int8.py --data FOLDER [--root FOLDER] [--source mnist] [NETWORK ...]
     python benchmarks/int8.py --speed [--rounds 5] [NETWORK ...]
     python benchmarks/int8.py --table    # docs/int8.md, from the newest result

The classes: networks that shortly_trained.py trains on SOURCE, and two with published weights,
whose files and images lie in FOLDER. Ranges are read off images that are not judged. The speed
needs the environment of peers.py with the extra `int8`: 224x224, fresh weights, each side in a
process of its own, in turn. What was measured earlier on the same day stays in the result.
"""

import argparse
import gzip
import json
import statistics
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import RESULTS, put_table, with_rows_of_today, write_record
from shortly_trained import COURSES, OUT, Lesson, trained
from torch import Tensor, nn

from convatlas.catalog import input_shape_of
from convatlas.data.folder import open_folder
from convatlas.data.images import read_image
from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import ArraySplit, Split
from convatlas.engines.calibration import MOST_IMAGES
from convatlas.engines.engine import Order
from convatlas.engines.openvino import OpenVino
from convatlas.engines.turns import Ready, in_turn
from convatlas.engines.worker import SEED, fresh
from convatlas.export.agreement import compare
from convatlas.weights.opening import open_model

BATCH = 16
BLOCK_SECONDS = 0.3
PEER = "torchvision"
PAGE = Path(__file__).resolve().parent.parent / "docs" / "int8.md"
BEGIN, END = "<!-- table: benchmarks/int8.py --table -->\n", "<!-- end of the int8 table -->"


@dataclass(frozen=True)
class Case:
    """A trained network with images.

    Attributes:
        network: Its name.
        weights: Where they come from, in words.
        model: In evaluation mode.
        calibration: Images that ranges are read off, (M, C, H, W).
        judged: Others, (N, C, H, W).
        labels: Of these, (N,); -1: unknown.
    """

    network: str
    weights: str
    model: nn.Module
    calibration: Tensor
    judged: Tensor
    labels: Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", default=list(COURSES))
    parser.add_argument("--data", type=Path, help="folder of published weights and of images")
    parser.add_argument("--source", default="mnist", help="what the others are trained on")
    parser.add_argument("--root", type=Path, help="where the files of the source lie")
    parser.add_argument("--weights", type=Path, default=OUT, help="folder of those trained")
    parser.add_argument("--speed", action="store_true", help="measure the speed instead")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", action="store_true", help="renew the tables of docs/int8.md")
    args = parser.parse_intermixed_args()
    if args.table:
        write_tables()
        return
    if args.speed:
        for network in args.networks:
            for batch in args.batch:
                keep(speed(network, batch, args.rounds))
        return
    lesson = Lesson(args.source, args.root, args.weights)
    for network in args.networks:
        keep(judge(shortly_trained(network, lesson)))
    if args.data is not None:
        for published in (squeezenet, resnet20):
            keep(judge(published(args.data)))


def keep(row: dict[str, Any]) -> None:
    """Add a row to the result of the day, in the place of an older one of the same thing."""
    print(row, flush=True)
    write_record("int8", with_rows_of_today("int8", [row], key_of))


def judge(case: Case) -> dict[str, Any]:
    """Quantise a network and compare its answers to images that it was not calibrated with."""
    count = len(case.judged) // BATCH * BATCH
    batches, labels = case.judged[:count].split(BATCH), case.labels[:count]
    prepared = OpenVino().prepare(Order(case.model, batches[0], "int8", case.calibration))
    with torch.inference_mode():
        expected = torch.cat([case.model(batch) for batch in batches])
    found = torch.cat([prepared.run(batch).clone() for batch in batches])
    agreement = compare(expected, found, 1e-4)
    known = labels >= 0
    row: dict[str, Any] = {
        "measure": "classes",
        "network": case.network,
        "of": case.weights,
        "calibrated_with": min(len(case.calibration), MOST_IMAGES),
        "judged": count,
        "top1_agreement": agreement.top1,
        "relative_error": agreement.relative_error,
        "root_mean_square_error": (
            (expected - found).square().mean().sqrt() / expected.std()
        ).item(),
    }
    for name, logits in (("float32", expected), ("int8", found)):
        right = (logits.argmax(1) == labels)[known].double().mean().item()
        row[f"top1_accuracy_{name}"] = right
    return row


def shortly_trained(network: str, lesson: Lesson) -> Case:
    """Take, or train, a network of shortly_trained.py; it is judged by the test images."""
    model, metadata = trained(network, lesson, COURSES[network])
    prepare, pictures = Preprocessing.from_dict(metadata["preprocessing"]), lesson.pictures()
    made = metadata["metrics"]
    height = prepare.size[0]
    words = (
        f"{made['epochs']} epochs on {made['training_images']} images of {pictures.card.title}, "
        f"{height}x{height} pixels"
    )
    test = pictures.test
    return Case(
        network,
        words,
        model,
        stacked(pictures.train, prepare, range(0, len(pictures.train), 50)),
        stacked(test, prepare, range(len(test))),
        torch.tensor([test.label(i) for i in range(len(test))]),
    )


def stacked(split: Split, prepare: Preprocessing, which: range) -> Tensor:
    return torch.stack([prepare(split.image(i)) for i in which])


def squeezenet(data: Path) -> Case:
    """ImageNet's classes: calibrated on ten of them, judged by images of all."""
    model, metadata = open_model(
        "squeezenet1_1", data / "weights/squeezenet1.1-imagenet/squeezenet1.1.npz"
    )
    prepare = Preprocessing.from_dict(metadata["preprocessing"])
    found = [
        (prepare(read_image(folder / "images" / name)), int(label))
        for folder in (data / "imagenet-val227", data / "imagenet-samples")
        for name, label in map(str.split, (folder / "labels.txt").read_text().splitlines())
    ]
    ten = open_folder(data / "imagenette160-tiny")
    return Case(
        "squeezenet1_1",
        "published, ImageNet",
        model,
        stacked(ten.train, prepare, range(len(ten.train))),
        torch.stack([image for image, _ in found]),
        torch.tensor([label for _, label in found]),
    )


def resnet20(data: Path) -> Case:
    """CIFAR-10: calibrated and judged with its training images, others for each."""
    model, metadata = open_model(
        "resnet20_cifar", data / "weights/resnet-cifar10/resnet20-12fca82f.th"
    )
    prepare = Preprocessing.from_dict(metadata["preprocessing"])
    content = (data / "cifar10-train4000/data_batch_first4000.bin.gz").read_bytes()
    rows = np.frombuffer(gzip.decompress(content), np.uint8).reshape(-1, 3073)
    images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    split = ArraySplit(images, rows[:, 0].astype(np.int64), np.arange(len(rows)), "image")
    return Case(
        "resnet20_cifar",
        "published, CIFAR-10; its training images",
        model,
        stacked(split, prepare, range(200)),
        stacked(split, prepare, range(200, len(split))),
        torch.tensor(split.labels[200:]),
    )


def speed(network: str, batch: int, rounds: int) -> dict[str, Any]:
    """Let int8 and torch's eager network take turns."""
    sides = {"int8": _int8, "eager": _eager}
    tasks = [partial(make, network, batch) for make in sides.values()]
    row: dict[str, Any] = {"measure": "speed", "network": network, "of": f"batch {batch}"}
    for name, found in zip(sides, in_turn(tasks, rounds, BLOCK_SECONDS), strict=True):
        if found.refused:
            raise SystemExit(f"{network} {name}: {found.refused}")
        speeds = sorted(batch / ms * 1000 for ms in found.milliseconds)
        row[name] = {
            "median": statistics.median(speeds),
            "least": speeds[0],
            "greatest": speeds[-1],
            **found.facts,
        }
    row["ratio"] = row["int8"]["median"] / row["eager"]["median"]
    return row


def _images(network: str, count: int) -> Tensor:
    draw = torch.Generator().manual_seed(SEED)
    return torch.randn(count, *input_shape_of(network), generator=draw)


def _int8(network: str, batch: int) -> Ready:
    x = _images(network, max(batch, 16))
    model = fresh(network, input_shape_of(network))
    prepared = OpenVino().prepare(Order(model, x[:batch], "int8", x))
    return Ready(prepared.run, x[:batch], prepared.report())


def _eager(network: str, batch: int) -> Ready:
    """The peer as its documentation says: torchvision's network where it has one."""
    from sides import TORCHVISION, prepare

    if network in TORCHVISION:
        ready = prepare(PEER, network, batch)
        return Ready(ready.run, ready.images, {"peer": PEER})
    x, model = _images(network, batch), fresh(network, input_shape_of(network))

    @torch.inference_mode()
    def run(x: Tensor) -> Tensor:
        return model(x)

    return Ready(run, x, {"peer": "the same network in torch's eager mode"})


def write_tables() -> None:
    """Put what all results say into docs/int8.md; of one thing the latest counts."""
    files = sorted(RESULTS.glob("*-int8.json"))
    records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    rows = {key_of(row): row for record in records for row in record["rows"]}
    machine = records[-1]["machine"]
    speeds = [_speeds(row) for row in rows.values() if row["measure"] == "speed"]
    head = ["", "| network | batch | int8, images a second | eager | ratio |", "|---" * 5 + "|"]
    lines = [
        f"Measured {records[-1]['date']} on {machine['cores']} cores of {machine['processor']}; "
        "`benchmarks/results/*-int8.json`.",
        "",
        "| network | weights | images judged | same class | right in float32 | in int8 | error |",
        "|---" * 7 + "|",
        *(_classes(row) for row in rows.values() if row["measure"] == "classes"),
        *([*head, *speeds] if speeds else []),
    ]
    put_table(PAGE, BEGIN, "\n".join(lines) + "\n", END)


def key_of(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["measure"], row["network"], row["of"]


def _classes(row: dict[str, Any]) -> str:
    return (
        f"| `{row['network']}` | {row['of']} | {row['judged']:,} | **{row['top1_agreement']:.2%}** "
        f"| {row['top1_accuracy_float32']:.1%} | {row['top1_accuracy_int8']:.1%} "
        f"| {row['root_mean_square_error']:.1%} |"
    )


def _speeds(row: dict[str, Any]) -> str:
    return (
        f"| `{row['network']}` | {row['of'].split()[-1]} | {_shown(row['int8'])} "
        f"| {_shown(row['eager'])}, {row['eager']['peer']} | **{row['ratio']:.1f}** |"
    )


def _shown(speed: dict[str, Any]) -> str:
    return f"{speed['median']:.1f} ({speed['least']:.1f} to {speed['greatest']:.1f})"


if __name__ == "__main__":
    main()
