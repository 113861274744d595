"""The options of `convatlas train` that say how to compute, and what to begin with."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from convatlas.cli.model_options import device_option
from convatlas.cli.options import max_bad_option

if TYPE_CHECKING:
    from convatlas.train.distributed import Ranks
    from convatlas.train.finetuning import Start
    from convatlas.train.options import RunOptions

Command = Callable[..., Any]

_COMPUTING = (
    click.option(
        "--workers",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Processes that read images; the result is the same.",
    ),
    click.option(
        "--checkpoint-every",
        type=click.FloatRange(min=0, min_open=True),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="Keep the state this often within an epoch; after an epoch it always is kept.",
    ),
    device_option,
    click.option(
        "--precision",
        type=click.Choice(["float32", "bf16"]),
        default="float32",
        show_default=True,
        help="bf16 computes in bfloat16 where that is safe; weights stay float32.",
    ),
    click.option(
        "--micro-batch",
        type=click.IntRange(min=1),
        metavar="IMAGES",
        help="Compute at most so many images at once; the batch is gathered from several passes.",
    ),
    click.option(
        "--skip-bad-steps",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        metavar="N",
        help="Leave out up to N steps whose loss or gradient is not finite; the next one stops "
        "the run.",
    ),
    max_bad_option,
    click.option("--compile", is_flag=True, help="Let torch.compile build the network."),
    click.option(
        "--deterministic",
        is_flag=True,
        help="Take only algorithms that give the same bits each time, and hold the run to its "
        "number of threads.",
    ),
    click.option(
        "--no-keep-memory",
        is_flag=True,
        help="On a processor, give memory back after each layer: a tenth less of it, and large "
        "steps up to a quarter slower.",
    ),
    click.option(
        "--sync-norm",
        is_flag=True,
        help="Under torchrun: batch norms take mean and variance over all processes' images.",
    ),
    click.option(
        "--shard",
        is_flag=True,
        help="Under torchrun: each process keeps a part of the weights (FSDP), for networks that "
        "don't fit.",
    ),
    click.option(
        "--track",
        multiple=True,
        metavar="TRACKER",
        help="Who else is told of the metrics: tensorboard (told where it is installed), mlflow, "
        "none; may be repeated.",
    ),
)
_BEGINNING = (
    click.option(
        "--weights",
        metavar="WEIGHTS",
        help="Begin with these: a run folder, a weights file of ours or of another library, or the "
        "name of published ones.",
    ),
    click.option(
        "--freeze",
        multiple=True,
        metavar="LAYERS",
        help="Layers that stay as they are, such as stem,stages.conv2_x; may be repeated.",
    ),
    click.option(
        "--layer-decay",
        type=click.FloatRange(min=0, max=1, min_open=True),
        default=1.0,
        show_default=True,
        metavar="FACTOR",
        help="Each stage learns at this many times the rate of the one behind it.",
    ),
)


def with_computing(command: Command) -> Command:
    """Add the options that `run_options` reads."""
    return _with(_COMPUTING, command)


def with_beginning(command: Command) -> Command:
    """Add the options that `start` reads."""
    return _with(_BEGINNING, command)


def run_options(given: dict[str, Any], ranks: "Ranks") -> "RunOptions":
    """Say how to compute, by what the user has given, and together with which processes."""
    from convatlas.train.options import RunOptions

    return RunOptions(
        workers=given["workers"],
        checkpoint_every=given["checkpoint_every"],
        device=given["device"],
        precision=given["precision"],
        micro_batch=given["micro_batch"],
        skip_bad_steps=given["skip_bad_steps"],
        max_bad=given["max_bad"],
        compile=given["compile"],
        deterministic=given["deterministic"],
        sync_norm=given["sync_norm"],
        shard=given["shard"],
        ranks=ranks,
        track=_trackers(given["track"]),
        keep_memory=not given["no_keep_memory"],
    )


def start(given: dict[str, Any]) -> "Start":
    """Say what to begin with, by what the user has given."""
    from convatlas.train.finetuning import Start

    layers = [layer.strip() for text in given["freeze"] for layer in text.split(",")]
    return Start(given["weights"], tuple(filter(None, layers)), given["layer_decay"])


def _trackers(asked: tuple[str, ...]) -> tuple[str, ...]:
    from convatlas.train.tracking import default_trackers

    return tuple(name for name in asked if name != "none") if asked else default_trackers()


def _with(options: tuple[Command, ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
