"""`convatlas budget`: the largest batch that fits into a memory."""

import json
from typing import TYPE_CHECKING

import click

from convatlas.cli.options import input_option

if TYPE_CHECKING:
    from convatlas.analysis.budget import Budget, Fit
    from convatlas.analysis.memory import Device, Precision

_NOT_COUNTED = {
    "cpu": "Not counted: Python and torch themselves, some 300 MB.",
    "cuda": "Not counted: the CUDA context, the workspaces of cuDNN, fragmentation.",
}


@click.command()
@click.argument("name")
@click.option("--memory", required=True, metavar="SIZE", help="Such as 8GB, 8GiB or 512MB.")
@input_option
@click.option(
    "--optimizer",
    default="momentum",
    show_default=True,
    metavar="NAME",
    help="sgd, momentum, rmsprop or adam.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="bfloat16 is autocast: the weights stay in float32.",
)
@click.option("--checkpointing", is_flag=True, help="Compute stages again in the backward pass.")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="On a cpu convolutions copy their maps; on cuda the optimizer copies the weights.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    name: str,
    memory: str,
    input_shape: tuple[int, ...] | None,
    optimizer: str,
    precision: "Precision",
    checkpointing: bool,
    device: "Device",
    as_json: bool,
) -> None:
    """Find the largest batch that fits into a memory, for inference and for training.

    The memory is predicted: the network runs on tensors without storage, and nothing is allocated.

    Example: convatlas budget resnet50 --memory 8GB
    """
    from convatlas.analysis.budget import budget

    found = budget(name, memory, input_shape, optimizer, precision, checkpointing, device)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        _print(found, optimizer)
        click.echo(f"\n{_NOT_COUNTED[device]}")


def _print(found: "Budget", optimizer: str) -> None:
    from convatlas.analysis.budget import bytes_text
    from convatlas.analysis.report import size_text
    from convatlas.cli.tables import print_table

    click.echo(f"{found.name} on {size_text(found.input_shape)} in {bytes_text(found.memory)}\n")
    rows = [_row("inference", found.inference), _row(f"training, {optimizer}", found.training)]
    rows += [_row(f"  {_way(fit)}", fit, bytes_text(fit.saves)) for fit in found.savings]
    head = ("", "largest batch", "peak", "saves", "at the peak")
    print_table(head, rows, right=("largest batch", "peak", "saves"))
    peak = found.training.peak
    click.echo(f"\nTraining on a batch of {peak.batch:,} takes")
    parts = sorted(peak.parts.items(), key=lambda part: -part[1])
    shares = [
        (part.replace("_", " "), bytes_text(size), f"{size / peak.bytes:.0%}")
        for part, size in parts
    ]
    print_table(("part", "size", "share"), shares, right=("size", "share"))


def _row(what: str, fit: "Fit", saves: str = "") -> tuple[str, ...]:
    from convatlas.analysis.budget import bytes_text

    peak = fit.peak
    size = bytes_text(peak.bytes)
    if fit.batch:
        return what, f"{fit.batch:,}", size, saves, f"{peak.phase}, {peak.layer}".rstrip(", ")
    return what, "none", "", "", f"a batch of 1 needs {size}"


def _way(fit: "Fit") -> str:
    ways = (fit.precision, "checkpointing" if fit.checkpointing else "")
    return ", ".join(way for way in ways if way)
