"""Compare each network with its twins in torchvision and timm: the same weights, the same logits?

Run: python benchmarks/twins.py [--source torchvision|timm] [NETWORK ...]

Needs the environment of peers.py. Each twin gets random weights, and batch norms that have seen
images; they are converted as `convatlas convert` does, and both networks answer the same two
images of the network's own size in float32. The target is a relative error below 1e-5. The result
is a file in benchmarks/results/; the exit code is 1 where a network misses the target.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from peers import timm_network, torchvision_network
from record import write_record
from torch import Tensor, nn

from convatlas.catalog import build, find
from convatlas.weights.convert import convert
from convatlas.weights.sources import SOURCES, find_map

TWINS: dict[str, Callable[[str], nn.Module]] = {
    "torchvision": torchvision_network,
    "timm": timm_network,
}
TARGET = 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--source", choices=list(TWINS), action="append")
    args = parser.parse_args()
    rows = [
        compare(name, source)
        for source in args.source or TWINS
        for name in SOURCES[source].networks
        if not args.networks or name in args.networks
    ]
    missed = [f"{row['network']} of {row['source']}" for row in rows if not row["reached"]]
    print(f"{len(rows) - len(missed)} of {len(rows)} below {TARGET}; missed: {', '.join(missed)}")
    if not args.networks and not args.source:
        print(write_record("twins", rows, target=TARGET))
    raise SystemExit(1 if missed else 0)


@torch.no_grad()
def compare(name: str, source: str) -> dict[str, Any]:
    """Give the largest difference of the logits, relative to the largest logit of the twin."""
    torch.manual_seed(0)
    _, key_map = find_map(name, source)
    twin = TWINS[source](key_map.theirs)
    images = torch.randn(2, *find(name)[1].input_shape)
    see_images(twin, images)
    ours = build(name, **key_map.overrides).eval()
    ours.load_state_dict(convert(twin.state_dict(), name, source, **key_map.overrides))
    expected = twin(images)
    error = ((ours(images) - expected).abs().max() / expected.abs().max()).item()
    print(f"{name:22} {source:12} {key_map.theirs:22} {error:.1e}", flush=True)
    return {
        "network": name,
        "source": source,
        "theirs": key_map.theirs,
        "relative_error": error,
        "reached": error < TARGET,
    }


def see_images(net: nn.Module, images: Tensor) -> None:
    """Give batch norms statistics of images, and scales and shifts that are not 1 and 0."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.uniform_(0.8, 1.2)
        norm.bias.uniform_(-0.1, 0.1)
        norm.momentum = 1.0
    net.train()(images)
    net.eval()


if __name__ == "__main__":
    main()
