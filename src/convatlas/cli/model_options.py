"""Options of verbs that take trained networks: where weights lie, and how images are shown."""

from pathlib import Path

import click

from convatlas.errors import InputError


def _sizes(_ctx: click.Context, _param: click.Parameter, text: str | None) -> tuple | None:
    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise click.BadParameter(f"{text!r} is no list of pixels, such as 256,384,512")
    return tuple(int(part) for part in parts)


weights_option = click.option(
    "--weights",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where MODEL is the name of a network: its weights, of convatlas or of another library; "
    "once for each name, in their order.",
)
weights_from_option = click.option(
    "--weights-from",
    metavar="LIBRARY",
    help="Who wrote these weights, such as torchvision; by default whoever calls tensors so.",
)
protocol_option = click.option(
    "--protocol",
    default="center",
    show_default=True,
    metavar="NAME",
    help="What is shown of an image: center, 10crop (AlexNet), 144crop (GoogLeNet), dense (VGG) or "
    "multiscale (ResNet).",
)
scales_option = click.option(
    "--scales",
    callback=_sizes,
    metavar="PIXELS,...",
    help="Shorter sides for dense, multiscale and 144crop, such as 256,384,512.",
)

device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="DEVICE",
    help="Where to compute: cpu, cuda, cuda:1, mps, or auto: a CUDA card where there is one.",
)


def chosen(device: str) -> str:
    """Give the device that a network goes to, and say so if it was not asked for."""
    from convatlas.evaluate.devices import device_words, find_device

    found = find_device(device)
    if device == "auto" and found.type != "cpu":
        click.echo(f"computing on {device_words(found)}", err=True)
    return str(found)


def one_source(names: tuple[Path, ...], source: str | None) -> None:
    """Refuse a library without weights that it may have written."""
    if source is not None and not names:
        raise InputError("--weights-from tells who wrote --weights: there are none")
