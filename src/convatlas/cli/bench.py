"""`convatlas bench`: how fast networks run on this machine."""

import json
from typing import TYPE_CHECKING

import click

from convatlas.cli.options import input_option
from convatlas.errors import InputError

if TYPE_CHECKING:
    from convatlas.engines.bench import Row

_NAMED = ("network", "batch", "engine", "precision")
_MEASURED = ("img/s", "ratio", "ms", "spread", "MB", "error")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--batch",
    "batches",
    multiple=True,
    type=click.IntRange(min=1),
    default=(1,),
    show_default="1",
    help="Images at a time; may be repeated.",
)
@click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="NAME",
    help="eager, packed, winograd, compiled, openvino or onnxruntime; may be repeated. By default "
    "all that are installed but compiled, which takes long to prepare.",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    default=("float32",),
    show_default="float32",
    metavar="NAME",
    help="float32, bfloat16 or int8; may be repeated.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), default=None, help="By default as many as torch takes."
)
@input_option
@click.option(
    "--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Turns of each."
)
@click.option(
    "--keep-memory", is_flag=True, help="Let processes keep freed memory (GNU C library)."
)
@click.option("--json", "as_json", is_flag=True, help="Print all that was measured as JSON.")
def command(
    names: tuple[str, ...],
    batches: tuple[int, ...],
    engines: tuple[str, ...],
    precisions: tuple[str, ...],
    threads: int | None,
    input_shape: tuple[int, int, int] | None,
    rounds: int,
    keep_memory: bool,
    as_json: bool,
) -> None:
    """Measure images per second, latency and memory of networks, engine by engine.

    MODEL is the name of a network, which gets fresh weights, a run folder or a .safetensors file.
    Each engine runs in a process of its own; they take turns, so that what else the machine does
    hits all alike. The figures are medians over the rounds, with half their spread. The ratio is
    to the first engine of the same network and batch; the error is that of the outputs, as a part
    of the largest, to those of the network itself.

    Example: convatlas bench resnet50 mobilenet_v1 --batch 1 --batch 16
    """
    from convatlas.cli.progress import show_batches
    from convatlas.engines.bench import bench, plan
    from convatlas.engines.machine import machine

    how = {"input_shape": input_shape, "threads": threads or 0, "keep_memory": keep_memory}
    rows: list[Row] = []
    for jobs in plan(names, engines, precisions, batches, **how):
        title = f"{jobs[0].network}, batch {jobs[0].batch}"
        with show_batches(title, "step") as progress:
            rows += bench(jobs, rounds, progress=progress)
    if all(row.refused for row in rows):
        raise InputError(f"{rows[0].job.network}: {rows[0].refused}")
    if as_json:
        document = {"machine": machine(), "rows": [row.to_dict() for row in rows]}
        click.echo(json.dumps(document, indent=2))
        return
    _print(rows)
    for row in rows:
        if row.refused:
            what = f"{row.job.engine} in {row.job.precision}"
            click.echo(f"convatlas bench: {row.job.network}: {what}: {row.refused}", err=True)


def _print(rows: "list[Row]") -> None:
    """Print a table that fits into 80 columns: what all rows share stands above it."""
    from convatlas.cli.tables import print_table

    cells = [_cells(row) for row in rows]
    shared = [head for head in _NAMED if len({cell[head] for cell in cells}) == 1]
    named = [head for head in _NAMED if head == "engine" or head not in shared]
    told = [cells[0][head] for head in ("network", "precision") if head not in named]
    told += [f"batch {cells[0]['batch']}"] if "batch" not in named else []
    if told:
        click.echo(", ".join(told))
    table = [[cell[head] for head in (*named, *_MEASURED)] for cell in cells]
    print_table((*named, *_MEASURED), table, right=("batch", *_MEASURED))


def _cells(row: "Row") -> dict[str, str]:
    job = row.job
    found = dict.fromkeys(_MEASURED, "-") | {
        "network": job.network,
        "batch": str(job.batch),
        "engine": job.engine,
        "precision": job.precision,
    }
    if row.latency is None:
        return found
    least, most = row.latency.least_ms, row.latency.greatest_ms
    return found | {
        "img/s": _short(row.images_per_second),
        "ratio": f"{row.ratio:.2f}",
        "ms": _short(row.latency.median_ms),
        "spread": f"±{(most - least) / 2 / row.latency.median_ms:.0%}",
        "MB": f"{row.peak_bytes / 1e6:,.0f}",
        "error": f"{row.relative_error:.0e}",
    }


def _short(value: float) -> str:
    """Give four digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
