"""`convatlas data`: what a source of images holds, and what is wrong with it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convatlas.cli.data_pack import pack
from convatlas.cli.options import threads_option

if TYPE_CHECKING:
    from convatlas.data.check import SourceCheck, SplitCheck

NAMED = 20  # bad images, and groups of duplicates, that are printed


@click.group()
def command() -> None:
    """Look through images before anything is trained on them, and pack those that are read often.

    Example: convatlas data check folder:my/pictures
    """


command.add_command(pack)


@command.command()
@click.argument("source_text", metavar="SOURCE")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the source's files.")
@threads_option
@click.option("--json", "as_json", is_flag=True, help="Print all that was found as JSON.")
def check(source_text: str, root: Path | None, threads: int, as_json: bool) -> None:
    """Read every image of SOURCE once: classes, sizes, colour modes, bad files, duplicates.

    SOURCE is what --data of the other verbs takes: digits, cifar10, folder:PATH, csv:FILE, ...
    Exit code 1: some images can't be read.

    Example: convatlas data check folder:my/pictures
    """
    from convatlas.cli.progress import show_batches
    from convatlas.data.check import check_source
    from convatlas.data.sources import open_source

    source = open_source(source_text, root=root)
    with show_batches(f"reading {source_text}", "image") as progress:
        found = check_source(source, threads, progress)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        _print(found)
    if found.bad:
        raise click.exceptions.Exit(1)


def _print(found: "SourceCheck") -> None:
    from convatlas.cli.tables import print_table

    click.echo(f"{found.title}: {len(found.classes)} classes")
    click.echo()
    head = ("split", "images", "bad", "least HxW", "median", "largest", "modes")
    rows = [_row(name, split) for name, split in found.splits.items()]
    print_table(head, rows, right=("images", "bad"))
    click.echo()
    counts = [split.per_class for split in found.splits.values()]
    classes = [
        (name, *(f"{count:,}" for count in of_class))
        for name, of_class in zip(found.classes, zip(*counts, strict=True), strict=True)
    ]
    print_table(("class", *found.splits), classes, right=tuple(found.splits), wrapped=("class",))
    bad = [f"{name}: {text}" for name, s in found.splits.items() for text in s.bad.values()]
    _print_some(f"{found.bad:,} {'image' if found.bad == 1 else 'images'} can't be read", bad)
    groups = [", ".join(group) for group in found.duplicates]
    _print_some(f"{len(groups)} images are the same in two splits", groups)


def _row(name: str, split: "SplitCheck") -> tuple[str, ...]:
    sizes = ("-" if size is None else f"{size[0]}x{size[1]}" for size in _sizes(split))
    modes = ", ".join(f"{mode} {count:,}" for mode, count in split.modes.items())
    return (name, f"{split.count:,}", f"{len(split.bad):,}", *sizes, modes)


def _sizes(split: "SplitCheck") -> tuple[tuple[int, int] | None, ...]:
    return split.smallest, split.median, split.largest


def _print_some(title: str, lines: list[str]) -> None:
    if not lines:
        return
    click.echo(f"\n{title}:")
    for line in lines[:NAMED]:
        click.echo(f"  {line}")
    if len(lines) > NAMED:
        click.echo(f"  and {len(lines) - NAMED} more; --json names them all")
