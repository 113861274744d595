"""Take forward and backward passes of single layers, ours and torch's, and steps with memory kept.

Run: python benchmarks/training_parts.py [--rounds 9] [--steps NETWORK ...]

Layers learn from 16 images in one process, ours and torch's in turn, each with the memory of the
process kept, so that pages do not count. `--steps` takes whole steps, with and without it, each in
a process of its own. The result is a file in benchmarks/results/.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from record import with_rows_of_today, write_record
from torch import Tensor, nn
from torch.nn import functional as F
from training import NETWORKS, ours

from convatlas.engines.turns import in_turn
from convatlas.layers import LocalResponseNorm
from convatlas.memory import keep_memory
from convatlas.train.depthwise import Depthwise
from convatlas.train.max_pool import MaxPool
from convatlas.train.norm_act import NormAct
from convatlas.train.products import quick_products
from convatlas.train.relu import Relu
from convatlas.train.response_norm import ResponseNorm
from convatlas.train.winograd import Winograd

IMAGES = 16
NORMS = ((64, 112), (128, 56), (256, 56), (512, 14))  # maps, side
DEPTHWISE = ((64, 112, 3, 2), (512, 14, 3, 1), (240, 28, 5, 1), (672, 14, 5, 1))  # filter, stride
CONVOLUTIONS = ((64, 56), (128, 28), (256, 14), (512, 14))  # 3x3, to as many maps
POOLED = ((64, 112, 3, 2), (192, 56, 3, 2), (480, 14, 3, 1), (64, 224, 2, 2))
LRN = ((96, 55), (256, 27))
PRODUCTS = ((32, 9216, 4096), (128, 4096, 4096))  # images, inputs, outputs
Pass = Callable[[Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", nargs="+", default=[], choices=list(NETWORKS))
    args = parser.parse_args()
    rows = [kept(network) for network in args.steps] if args.steps else layers(args.rounds)
    rows = with_rows_of_today("training-parts", rows, lambda row: row["part"])
    print(write_record("training-parts", rows, threads=torch.get_num_threads()))


def layers(rounds: int) -> list[dict[str, Any]]:
    """Compare each layer, forward and backward together."""
    keep_memory()
    rows = []
    for kind in (torch.float32, torch.bfloat16):
        word = str(kind).removeprefix("torch.")
        for act in (nn.ReLU(), nn.SiLU()):
            for maps, side in NORMS:
                norm = nn.BatchNorm2d(maps)
                pair = nn.Sequential(norm, act), NormAct(norm, act)
                name = f"batch norm and {type(act).__name__}, {word}, {maps}x{side}x{side}"
                rows.append(compared(name, *pair, drawn(maps, side, kind), rounds))
        for maps, side, size, stride in DEPTHWISE:
            conv = nn.Conv2d(maps, maps, size, stride, size // 2, groups=maps, bias=False)
            name = f"depthwise {size}x{size} at stride {stride}, {word}, {maps}x{side}x{side}"
            x = drawn(maps, side, kind)
            with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
                rows.append(compared(name, conv, Depthwise(conv), x, rounds))
        for maps, side, size, stride in POOLED:
            pool = nn.MaxPool2d(size, stride, size % 2)
            name = f"max pooling {size}x{size} at stride {stride}, {word}, {maps}x{side}x{side}"
            rows.append(compared(name, pool, MaxPool(pool), drawn(maps, side, kind), rounds))
        for maps, side in NORMS:
            act = nn.ReLU()
            name = f"ReLU of joined maps, {word}, {maps}x{side}x{side}"
            pair = partial(joined_again, act), partial(joined_again, Relu(act))
            rows.append(compared(name, *pair, drawn(maps, side, kind), rounds))
    for maps, side in LRN:  # torch has none in bfloat16
        pair = nn.LocalResponseNorm(5, 5e-4, k=2.0), ResponseNorm(LocalResponseNorm())
        name = f"local response normalisation, float32, {maps}x{side}x{side}"
        rows.append(compared(name, *pair, drawn(maps, side, torch.float32), rounds))
    for maps, side in CONVOLUTIONS:
        conv = nn.Conv2d(maps, maps, 3, padding=1).to(memory_format=torch.channels_last)
        name = f"convolution 3x3, float32, {maps}x{side}x{side}"
        rows.append(compared(name, conv, Winograd(conv), drawn(maps, side, torch.float32), rounds))
    return rows + [product(*sizes, rounds) for sizes in PRODUCTS]


def joined_again(act: Pass, x: Tensor) -> Tensor:
    """Activate maps, and join them with others."""
    return torch.cat([act(x), x.detach()], dim=1)


def drawn(maps: int, side: int, kind: torch.dtype) -> Tensor:
    """Draw maps, channels last."""
    x = torch.randn(IMAGES, maps, side, side, generator=torch.Generator().manual_seed(0))
    return x.to(kind).contiguous(memory_format=torch.channels_last).requires_grad_()


def product(images: int, inputs: int, outputs: int, rounds: int) -> dict[str, Any]:
    """Compare a linear layer of float32."""
    x, weight = torch.randn(images, inputs).requires_grad_(), torch.randn(outputs, inputs)
    weight.requires_grad_()

    def quick(x: Tensor) -> Tensor:
        with quick_products(True):
            return F.linear(x, weight)

    name = f"linear, {images} images, {inputs} to {outputs}"
    return compared(name, lambda x: F.linear(x, weight), quick, x, rounds, forward_only=True)


def compared(
    name: str, their: Pass, our: Pass, x: Tensor, rounds: int, *, forward_only: bool = False
) -> dict[str, Any]:
    """Time both in turn; give medians in milliseconds."""
    times: dict[str, list[float]] = {"theirs": [], "ours": []}
    for turn in range(rounds + 1):
        for side, layer in (("theirs", their), ("ours", our)):
            x.grad = None
            begun = time.perf_counter()
            y = layer(x)
            if not forward_only:
                y.backward(torch.ones_like(y))
            if turn:
                times[side].append((time.perf_counter() - begun) * 1000)
    middle = {side: statistics.median(found) for side, found in times.items()}
    return told({"part": name, **middle, "ratio": middle["theirs"] / middle["ours"]})


def kept(network: str) -> dict[str, Any]:
    """Compare a step that gives memory back with one that keeps it."""
    batch = NETWORKS[network][2]
    tasks = [partial(ours, network, batch, "float32", keep) for keep in (False, True)]
    plain, better = in_turn(tasks, 3, 1.0)
    row = {
        "part": f"kept memory, {network}, {batch} images, float32",
        "theirs": plain.timing().median_ms,
        "ours": better.timing().median_ms,
        "peaks": [plain.peak_bytes, better.peak_bytes],
    }
    return told({**row, "ratio": row["theirs"] / row["ours"]})


def told(row: dict[str, Any]) -> dict[str, Any]:
    """Show a row."""
    print(f"{row['part']:52} {row['theirs']:8.2f} {row['ours']:8.2f} ms {row['ratio']:5.2f}")
    return row


if __name__ == "__main__":
    main()
