"""`convatlas visualize`: a picture of what a network sees."""

import json
from pathlib import Path

import click

from convatlas.errors import InputError, unknown

METHODS = ("gradcam",)


@click.command()
@click.argument("method")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("image", required=False, type=click.Path(path_type=Path))
@click.option("--layer", help="Whose maps to explain; by default the last before the pooling.")
@click.option("--label", metavar="NAME_OR_INDEX", help="Class to explain; by default the top one.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="PNG to write; by default IMAGE-METHOD.png here."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was drawn as JSON.")
def command(
    method: str,
    model: Path,
    image: Path | None,
    layer: str | None,
    label: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Draw what a network sees, and print the path of the picture.

    METHOD is gradcam: where the evidence for a class lies in an IMAGE (Selvaraju et al. 2017).
    MODEL is a run folder or a .safetensors file.

    Example: convatlas visualize gradcam runs/demo seven.png --label 7
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if image is None:
        raise InputError(f"{method} needs an image: convatlas visualize {method} MODEL IMAGE")
    path = Path(f"{image.stem}-{method}.png") if out is None else out
    if path.suffix.lower() != ".png":
        raise InputError(f"pictures are written as PNG: --out must end in .png, not {path}")
    drawn = _grad_cam(model, image, layer, label, path)
    click.echo(json.dumps(drawn, indent=2, ensure_ascii=False) if as_json else path)


def _grad_cam(
    model: Path, image: Path, layer: str | None, label: str | None, path: Path
) -> dict[str, str | int | float]:
    """Write the figure to `path` and tell what is on it."""
    from convatlas.data.images import read_image
    from convatlas.files import whole_file
    from convatlas.serve.predictor import Predictor
    from convatlas.visualize.draw import figure
    from convatlas.visualize.grad_cam import grad_cam

    predictor = Predictor.load(model)
    picture = read_image(image)
    best = predictor.predict(picture, top=1)[0]
    index = best.label if label is None else _index(label, predictor.classes)
    layer = layer or getattr(predictor.model, "cam_layer", None)
    heat = grad_cam(predictor.model, predictor.prepare(picture), index, layer)
    name, probability = predictor.classes[index], float(predictor.probabilities(picture)[index])
    subtitle = f"{predictor.name}, layer {layer}, probability {probability:.1%}"
    if index != best.label:
        subtitle += f" (top class: {best.name}, {best.probability:.1%})"
    seen = predictor.preprocessing.resized(picture)
    with whole_file(path) as aside:
        figure(seen, heat, f"Grad-CAM for “{name}”", subtitle).save(aside, format="PNG")
    return {
        "file": str(path),
        "method": "gradcam",
        "network": predictor.name,
        "layer": str(layer),
        "label": index,
        "name": name,
        "probability": probability,
    }


def _index(label: str, classes: tuple[str, ...]) -> int:
    """Read a class name, or else the number of a class."""
    if label in classes:
        return classes.index(label)
    if label.isdecimal() and int(label) < len(classes):
        return int(label)
    raise unknown("class", label, classes)
