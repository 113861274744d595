"""Take training steps with convatlas, and with torchvision's networks in a loop as its own.

Run, in the environment that peers.py describes:
    python benchmarks/training.py [--rounds 3] [NETWORK ...]
    python benchmarks/training.py --table    # docs/training.md, from the newest result

Each side learns in a process of its own from the same random images, in turn; ours is a step of
`convatlas train`, theirs that of torchvision's references: eager, channels last, SGD with momentum,
and for bfloat16 autocast. torchvision has no AlexNet with local response normalisation, whose peer
is our network with torch's; MobileNet's is timm's. The result is a file in benchmarks/results/;
networks that are not named keep what was measured on the same day.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peers import timm_network, torchvision_network
from record import RESULTS, put_table, with_rows_of_today, write_record
from torch import Tensor, nn

from convatlas.analysis.report import analyze_name
from convatlas.catalog import build, input_shape_of
from convatlas.data.loader import Batch
from convatlas.engines.turns import Found, Ready, in_turn
from convatlas.layers import LocalResponseNorm
from convatlas.recipe import SGD, Recipe
from convatlas.train.learner import Learner, Precision
from convatlas.train.losses import make_loss
from convatlas.train.options import RunOptions
from convatlas.train.products import quick_products
from convatlas.train.state import State
from convatlas.train.step import Lesson, take_step
from convatlas.train.tuning import tuned

CLASSES, RATE, MOMENTUM, DECAY = 1000, 0.01, 0.9, 1e-4
BLOCK_SECONDS = 1.0
PAGE = Path(__file__).resolve().parent.parent / "docs" / "training.md"
BEGIN = "<!-- table: benchmarks/training.py --table -->\n"
PRECISIONS: tuple[Precision, ...] = ("float32", "bf16")
# ours: theirs, whose it is, images a step
NETWORKS = {
    "alexnet": ("alexnet with nn.LocalResponseNorm", "torch", 32),
    "vgg11": ("vgg11", "torchvision", 16),
    "googlenet": ("googlenet", "torchvision", 16),
    "inception_v3": ("inception_v3", "torchvision", 16),
    "resnet18": ("resnet18", "torchvision", 16),
    "resnet50_v1_5": ("resnet50", "torchvision", 16),
    "resnext50_32x4d": ("resnext50_32x4d", "torchvision", 16),
    "densenet121": ("densenet121", "torchvision", 16),
    "squeezenet1_1": ("squeezenet1_1", "torchvision", 16),
    "mobilenet_v1": ("mobilenetv1_100", "timm", 16),
    "efficientnet_b0": ("efficientnet_b0", "torchvision", 16),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="renew the table of docs/training.md")
    args = parser.parse_args()
    if args.table:
        write_table()
        return
    for network in args.networks or NETWORKS:
        _, _, batch = NETWORKS[network]
        tasks = [partial(side, network, batch, p) for p in PRECISIONS for side in (theirs, ours)]
        found = in_turn(tasks, args.rounds, BLOCK_SECONDS)
        rows = [
            row(network, precision, *found[2 * i : 2 * i + 2])
            for i, precision in enumerate(PRECISIONS)
        ]
        rows = with_rows_of_today("training", rows, lambda row: row["network"])
        order = list(NETWORKS)
        rows.sort(key=lambda row: order.index(row["network"]))
        path = write_record("training", rows, threads=torch.get_num_threads())
    print(path)


def write_table() -> None:
    """Renew the table of the page."""
    file = sorted(RESULTS.glob("*-training.json"))[-1]
    record = json.loads(file.read_text(encoding="utf-8"))
    machine, versions = record["machine"], record["versions"]
    names = [name for name in ("torch", "torchvision", "timm") if name in versions]
    said = ", ".join(f"{name} {versions[name]}" for name in names)
    where = f"{machine['cores']} cores of {machine['processor']}"
    head = "network | images | float32, theirs | ours | ratio | bf16, theirs | ours | ratio"
    lines = [f"Measured {record['date']} on {where}, {said}; `benchmarks/results/{file.name}`.", ""]
    lines += [f"| {head} |", "|---|" + "---:|" * head.count("|")]
    cells: dict[str, str] = {}
    for row in record["rows"]:
        peer = "" if row["library"] == "torchvision" else f" ({row['peer']})"
        begun = f"`{row['network']}`{peer} | {row['batch']}"
        speeds = " | ".join(_speed(row[side], row["batch"]) for side in ("theirs", "ours"))
        cells[begun] = cells.get(begun, "") + f" | {speeds} | **{row['ratio']:.2f}**"
    lines += [f"| {begun}{rest} |" for begun, rest in cells.items()]
    put_table(PAGE, BEGIN, "\n".join(lines) + "\n")


def _speed(side: dict[str, float], batch: int) -> str:
    """Give images a second, and from which to which they went."""
    middle, least, most = (
        batch / side[key] * 1000 for key in ("median_ms", "greatest_ms", "least_ms")
    )
    return f"{middle:.3g} ({least:.3g} to {most:.3g})"


def row(network: str, precision: str, their: Found, our: Found) -> dict[str, Any]:
    """Set what both do side by side, and show it."""
    name, library, batch = NETWORKS[network]
    told: dict[str, Any] = {"network": network, "peer": name, "library": library, "batch": batch}
    told["precision"] = precision
    for side, found in (("theirs", their), ("ours", our)):
        if found.refused:
            raise SystemExit(f"{network}, {side}: {found.refused}")
        timing = found.timing()
        speed = batch / timing.median_ms * 1000
        measured = {"images_per_second": speed, "peak_bytes": found.peak_bytes}
        told[side] = {**timing.to_dict(), **measured}
    told["ratio"] = told["theirs"]["median_ms"] / told["ours"]["median_ms"]
    speeds = " ".join(f"{told[side]['images_per_second']:8.2f}" for side in ("theirs", "ours"))
    print(f"{network:16} {precision:8} {speeds} img/s  ratio {told['ratio']:5.2f}", flush=True)
    return told


def ours(network: str, batch: int, precision: Precision, keep_memory: bool = True) -> Ready:
    """Prepare a step as `convatlas train` takes it."""
    images, labels = random_batch(network, batch)
    optimizer = SGD(RATE, momentum=MOMENTUM, weight_decay=DECAY)
    recipe = Recipe("benchmark", batch_size=batch, epochs=1, optimizer=optimizer)
    macs = analyze_name(network, tuple(images.shape[1:])).macs * batch
    options = tuned(RunOptions(precision=precision, keep_memory=keep_memory), macs)
    quick_products(options.fused).__enter__()  # until the process ends
    state = State.fresh(build(network).train(), recipe, options=options)
    loss = make_loss("cross_entropy")
    learner = Learner(state.model, loss, precision=precision, fused=options.fused)
    lesson = Lesson(Batch(images, labels, torch.arange(batch)), labels, 0, RATE)

    def step(_: Tensor) -> Tensor:
        take_step(state, learner, lesson, correct)
        return images

    step(images)
    return Ready(step, images, {})


def correct(logits: Tensor, labels: Tensor) -> tuple[int, int]:
    """Count right answers, and all."""
    return int((logits.argmax(dim=1) == labels).sum()), len(labels)


def theirs(network: str, batch: int, precision: Precision) -> Ready:
    """Prepare a step as torchvision's references take it."""
    images, labels = random_batch(network, batch)
    model = peer_network(network).train()
    model.to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]
    weights = model.parameters()
    optimizer = torch.optim.SGD(weights, RATE, momentum=MOMENTUM, weight_decay=DECAY)
    criterion = nn.CrossEntropyLoss()

    def step(_: Tensor) -> Tensor:
        x = images.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            output = model(x)
            loss = criterion(output, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        correct(output, labels)
        loss.item()
        return images

    step(images)
    return Ready(step, images, {})


def peer_network(network: str) -> nn.Module:
    """Build what ours is compared with."""
    name, library, _ = NETWORKS[network]
    if library == "torch":
        return with_torch_norms(build(network))
    return timm_network(name) if library == "timm" else torchvision_network(name)


def with_torch_norms(model: nn.Module) -> nn.Module:
    """Put torch's local response normalisation in the place of ours."""
    for path, layer in list(model.named_modules()):
        if isinstance(layer, LocalResponseNorm):
            above, _, name = path.rpartition(".")
            alpha = layer.alpha * layer.size  # torch divides it by the size
            norm = nn.LocalResponseNorm(layer.size, alpha, layer.beta, layer.k)
            setattr(model.get_submodule(above), name, norm)
    return model


def random_batch(network: str, batch: int) -> tuple[Tensor, Tensor]:
    """Draw images as the network takes them, and labels."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(batch, *input_shape_of(network), generator=draw)
    return images, torch.randint(CLASSES, (batch,), generator=draw)


if __name__ == "__main__":
    main()
