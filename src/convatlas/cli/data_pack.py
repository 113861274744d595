"""`convatlas data pack`: a source of images, written once as shards that are read often."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convatlas.cli.again import stop
from convatlas.cli.options import max_bad_option, threads_option
from convatlas.errors import InputError

if TYPE_CHECKING:
    from convatlas.data.packing import Packed

TOLD = 10  # bad images that get a line


@click.command()
@click.argument("source_text", metavar="SOURCE")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder to write; --data packed:OUT reads it.",
)
@click.option(
    "--as",
    "form",
    type=click.Choice(["files", "pixels", "jpeg"]),
    default="files",
    show_default=True,
    help="files: as they are; pixels: decoded, to be read without decoding; jpeg: compressed anew.",
)
@click.option(
    "--shorter",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    help="Bring the shorter side to this, with --as pixels or jpeg.",
)
@click.option(
    "--quality", type=click.IntRange(1, 100), default=95, show_default=True, help="Of --as jpeg."
)
@click.option(
    "--shard-size", default="1GB", show_default=True, metavar="SIZE", help="Of a tar file, about."
)
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the source's files.")
@threads_option
@max_bad_option
@click.option("--resume", is_flag=True, help="Go on with the pack in the folder.")
@click.option("--overwrite", is_flag=True, help="Start again where the folder holds a pack.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def pack(
    source_text: str,
    out: Path,
    form: Any,
    shorter: int | None,
    quality: int,
    shard_size: str,
    root: Path | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Write the images of SOURCE as tar shards with an index, to be read often and quickly.

    The shards are in WebDataset's layout, which other tools read too. Images that can't be read
    are left out and counted. What was stopped goes on with --resume, to the same bytes.

    Example: convatlas data pack folder:my/pictures --out my/pack --as pixels --shorter 256
    """
    if how["resume"] and how["overwrite"]:
        raise InputError("--resume goes on with a pack and --overwrite starts it again: choose one")
    from convatlas.analysis.budget import parse_size
    from convatlas.cli.progress import show_batches
    from convatlas.data.pack_format import PackOptions
    from convatlas.data.packing import pack as write
    from convatlas.data.sources import open_source
    from convatlas.train.signals import StoppedError, stop_on_signals

    if source_text.startswith("segmentation:"):
        raise InputError("images with masks are not packed: they are read as they are")
    options = PackOptions(form, shorter, quality, parse_size(shard_size))
    source = open_source(source_text, root=root)
    with stop_on_signals() as switch, show_batches(f"packing {source_text}", "image") as show:

        def progress(done: int, total: int) -> None:
            if switch():
                raise StoppedError
            show(done, total)

        try:
            found = write(
                source, source_text, out, options, tell=_Telling(), progress=progress, **how
            )
        except StoppedError:
            stop(switch.signal, click.get_current_context())
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        _print(found)


class _Telling:
    """Tells of the first bad images; the summary counts all."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _name: str, reason: str) -> None:
        self.count += 1
        if self.count <= TOLD:
            click.echo(f"convatlas data pack: left out: {reason}", err=True)


def _print(found: "Packed") -> None:
    from convatlas.cli.tables import print_table

    rows = [
        (name, f"{count:,}", f"{len(found.left_out[name]):,}", f"{found.shards[name]:,}")
        for name, count in found.images.items()
    ]
    head = ("split", "images", "left out", "shards")
    print_table(head, rows, right=head[1:])
    click.echo(f"\n{found.bytes / 1e6:,.1f} MB in {found.folder}; to read it:")
    click.echo(f"  convatlas train NAME --data packed:{found.folder}")
    if any(found.left_out.values()):
        click.echo("Each image that was left out, and why: --resume --json")
