"""`convatlas visualize`: a picture of what a network sees."""

import importlib
import json
from pathlib import Path
from typing import Any

import click

from convatlas.cli.drawing import Drawn, Request
from convatlas.cli.method_options import method_options
from convatlas.cli.methods import METHODS
from convatlas.cli.model_options import one_source, weights_from_option, weights_option
from convatlas.errors import InputError, unknown

_KINDS = (".png", ".svg")


def _method_list() -> str:
    width = max(map(len, METHODS))
    return "\n".join(f"    {name:{width}}  {method.about}" for name, method in METHODS.items())


@click.command(
    help=f"""Draw what a network sees, and print the paths of the pictures.

    MODEL is a run folder, a .safetensors file, or a network's name with --weights. METHOD:

    \b
{_method_list()}

    Example: convatlas visualize gradcam runs/demo seven.png --label 7
    """
)
@click.argument("method")
@click.argument("model")
@click.argument("images", nargs=-1, metavar="[IMAGE]...", type=click.Path(path_type=Path))
@method_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="PNG or SVG to write, or the folder of several; by default IMAGE-METHOD.png here.",
)
@click.option("--svg", is_flag=True, help="Write SVG where --out names no file.")
@weights_option
@weights_from_option
@click.option("--json", "as_json", is_flag=True, help="Print what was drawn as JSON.")
def command(
    method: str,
    model: str,
    images: tuple[Path, ...],
    out: Path | None,
    svg: bool,
    weights: tuple[Path, ...],
    weights_from: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Parse, draw by the method's row, write, print."""
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    row = METHODS[method]
    if row.needs_image and not images:
        raise InputError(f"{method} needs an image: convatlas visualize {method} MODEL IMAGE")
    several = len(images) > 1 and not row.one_picture
    _check_place(out, several, svg)
    if several:
        _check_stems([image.stem for image in images])
    one_source(weights, weights_from)
    options = {key: value for key, value in given.items() if value not in (None, ())}
    _check_options(method, options)
    file, others = _paired(model, options.pop("with", ()), weights)
    request = Request(method, row, model, file, weights_from, images, options, others)
    drawings = importlib.import_module(f"convatlas.cli.{row.drawing}").draw(request)
    written = [
        {"file": str(_write(drawn, _place(drawn, method, out, several, svg))), **drawn.facts}
        for drawn in drawings
    ]
    if as_json:
        shown = written if several else written[0]
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        for facts, drawn in zip(written, drawings, strict=True):
            click.echo("\n".join(part for part in (facts["file"], drawn.table) if part))


def _paired(
    model: str, others: tuple[str, ...], weights: tuple[Path, ...]
) -> tuple[Path | None, tuple[tuple[str, Path | None], ...]]:
    """Give the weights of the first network, and each other network with its weights."""
    if not others:
        if len(weights) > 1:
            raise InputError(f"{len(weights)} --weights for one network")
        return (weights[0] if weights else None), ()
    from convatlas.weights.opening import pair_weights

    files = [Path(file) if file else None for _, file in pair_weights((model, *others), weights)]
    return files[0], tuple(zip(others, files[1:], strict=True))


def _check_place(out: Path | None, several: bool, svg: bool) -> None:
    """Refuse a name that the pictures can't have before they are computed."""
    if out is None:
        return
    if several and out.suffix:
        raise InputError(f"several images make several pictures: --out is a folder, not {out}")
    if not several and out.suffix.lower() not in _KINDS:
        raise InputError(f"pictures are PNG or SVG: --out must end in .png or .svg, not {out}")
    if svg and out.suffix.lower() == ".png":
        raise InputError(f"--svg contradicts --out {out}")


def _check_stems(stems: list[str]) -> None:
    """Refuse images whose pictures would have one name, so that none replaces another."""
    for stem in stems:
        if stems.count(stem) > 1:
            raise InputError(f"two images are called {stem!r}: so would their pictures be")


def _check_options(method: str, options: dict[str, Any]) -> None:
    """Refuse options that would do nothing, by name."""
    known = METHODS[method].known
    for name in options:
        if name not in known:
            takes = ", ".join(f"--{option}" for option in known) or "none of the methods' options"
            raise InputError(f"{method} takes no --{name}; it takes {takes}")


def _place(drawn: Drawn, method: str, out: Path | None, several: bool, svg: bool) -> Path:
    name = Path(f"{drawn.stem}-{method}.{'svg' if svg else 'png'}")
    return name if out is None else out / name if several else out


def _write(drawn: Drawn, path: Path) -> Path:
    from convatlas.files import whole_file, write_text

    if path.suffix.lower() == ".svg":
        write_text(path, drawn.picture.svg())
    else:
        with whole_file(path) as aside:
            drawn.picture.image().save(aside, format="PNG")
    return path
