"""Train U-Net on two small data sets, and set it against the best threshold of grey values.

Run: python benchmarks/segmentation.py --isbi FOLDER --nuclei FOLDER [--seeds 1] [--out runs/cells]

FOLDER holds images/ and masks/: 20 slices of the stack of the ISBI 2012 challenge, 48 images of
nuclei of the Data Science Bowl 2018. Four fifths are learnt from; what is validated and what is
tested, together a fifth, is held out. A killed run goes on where it was. The result is a file in
benchmarks/results/, and with --images a picture of each data set.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from record import write_record

from convatlas.data.preprocess import Preprocessing
from convatlas.data.segmentation import SegmentationSource, SegmentationSplit, open_segmentation
from convatlas.evaluate.overlap import (
    dice,
    intersection_over_union,
    mean_of_known,
    pixel_error,
    rand_error,
)
from convatlas.evaluate.segmentation import count_pixels, evaluate_segmentation
from convatlas.evaluate.tiling import pixels_of, segment
from convatlas.evaluate.warping import split_merge_error, warping_error
from convatlas.train.events import EpochDone, Event
from convatlas.train.seeds import start_runs
from convatlas.visualize.masks import mistakes, overlay_mask, side_by_side
from convatlas.weights.store import load

# network, its width, recipe, epochs, changes of the recipe: sized for one CPU core
ISBI = ("unet_padded", 16, "cells", 50, {"batch_size": 1, "tile": 256})
NUCLEI = ("unet_padded", 8, "cells", 36, {"tile": 256})
BLURS = (0.0, 1.0, 2.0, 3.0)  # radii in pixels that the threshold may choose from
CELL_ERRORS = {
    "rand_error": rand_error,
    "warping_error": warping_error,
    "split_merge_error": split_merge_error,
}
SHOWN = 300  # pixels of a picture's side


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--isbi", type=Path)
    parser.add_argument("--nuclei", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/cells"))
    parser.add_argument("--images", type=Path, help="Folder of the pictures.")
    args = parser.parse_args()
    rows = []
    for name, folder, settings in (
        ("isbi2012", args.isbi, ISBI),
        ("nuclei", args.nuclei, NUCLEI),
    ):
        if folder is not None:
            rows.append(measure(name, f"segmentation:{folder}", settings, args))
            print(json.dumps(rows[-1], indent=2))
    print(write_record("segmentation", rows))


def measure(name: str, source: str, settings: tuple, args: argparse.Namespace) -> dict[str, Any]:
    """Train once for each seed and compare the held-out images with the threshold."""
    network, width, recipe, epochs, changes = settings
    result = start_runs(
        network,
        source,
        out=args.out / name,
        seeds=range(args.seeds),
        recipe_name=recipe,
        epochs=epochs,
        changes=changes,
        overrides={"width": width},
        resume=True,
        progress=_show,
    )
    opened = open_segmentation(source)
    unseen = held_out(opened)
    each = [_evaluated(run.folder, unseen) for run in result.runs]
    if args.images is not None:
        draw(result.runs[0].folder, unseen, args.images / f"segment-{name}.jpg")
    return {
        "data": name,
        "images": {"train": len(opened.train), "held_out": len(unseen)},
        "network": f"{network}, width {width}",
        "recipe": f"{recipe}, {epochs} epochs, {changes}",
        "seeds": args.seeds,
        "u_net": {key: float(np.mean([one[key] for one in each])) for key in each[0]},
        "each": each,
        "threshold": threshold_baseline(opened.train, unseen),
        "training_seconds": [_seconds(run.folder) for run in result.runs],
    }


def _seconds(folder: Path) -> float:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return round(sum(json.loads(line)["seconds"] for line in lines), 1)


def held_out(source: SegmentationSource) -> SegmentationSplit:
    """Give the images that no weight has seen: of the validation and of the test split."""
    return SegmentationSplit([*source.val.pairs, *source.test.pairs], source.card.classes)


def _evaluated(folder: Path, split: SegmentationSplit) -> dict[str, float]:
    model, metadata = load(folder)
    preprocessing = Preprocessing.from_dict(metadata["preprocessing"])
    found = evaluate_segmentation(model, split, preprocessing, cells=True).to_dict()
    foreground = found["per_class"][split.classes[1]]
    names = ("pixel_error", "mean_iou", "mean_dice", *CELL_ERRORS)
    own = {"foreground_iou": foreground["iou"], "foreground_dice": foreground["dice"]}
    return {name: found[name] for name in names} | own


def threshold_baseline(train: SegmentationSplit, split: SegmentationSplit) -> dict[str, Any]:
    """Take the blur, threshold and side with the fewest wrong pixels of the training images."""
    error, blur, threshold, bright = min(_errors(train, blur) for blur in BLURS)
    confusion, cells = np.zeros((2, 2), np.int64), []
    for i in range(len(split)):
        image, mask = split.pair(i)
        found = ((_blurred(image, blur) > threshold) == bright).astype(np.uint8)
        confusion += count_pixels(mask, found, 2)
        cells.append([measure(mask, found) for measure in CELL_ERRORS.values()])
    overlaps, dices = intersection_over_union(confusion), dice(confusion)
    return {
        "blur": blur,
        "threshold": threshold,
        "foreground": "bright" if bright else "dark",
        "training_pixel_error": error,
        "pixel_error": pixel_error(confusion),
        "mean_iou": mean_of_known(overlaps),
        "mean_dice": mean_of_known(dices),
        **dict(zip(CELL_ERRORS, np.mean(cells, axis=0).tolist(), strict=True)),
        "foreground_iou": overlaps[1],
        "foreground_dice": dices[1],
    }


def _errors(split: SegmentationSplit, blur: float) -> tuple[float, float, int, bool]:
    """Give the least error of a blur, the blur, the threshold, and whether above is foreground."""
    counts = np.zeros((2, 256), np.int64)  # of greys, of the background and of the foreground
    for i in range(len(split)):
        image, mask = split.pair(i)
        grey = _blurred(image, blur)
        for label in (0, 1):
            counts[label] += np.bincount(grey[mask == label], minlength=256)
    below = counts.cumsum(axis=1)  # at most the threshold
    wrong = below[1] + counts[0].sum() - below[0]  # if what is above it is foreground
    errors = np.stack([counts.sum() - wrong, wrong]) / counts.sum()
    bright, threshold = np.unravel_index(errors.argmin(), errors.shape)
    return float(errors.min()), blur, int(threshold), bool(bright)


def _blurred(image: Image.Image, blur: float) -> np.ndarray:
    return np.asarray(image.convert("L").filter(ImageFilter.GaussianBlur(blur)))


def draw(folder: Path, split: SegmentationSplit, path: Path, count: int = 2) -> None:
    """Show held-out images: as they are, the masks, what was found, what is wrong."""
    model, metadata = load(folder)
    preprocessing = Preprocessing.from_dict(metadata["preprocessing"])
    rows = []
    for i in np.linspace(0, len(split) - 1, count).round().astype(int).tolist():
        image, mask = split.pair(i)
        found = segment(model, pixels_of(image, preprocessing), preprocessing)
        shown = (
            _visible(image),
            overlay_mask(_visible(image), mask),
            overlay_mask(_visible(image), found),
            mistakes(_visible(image), mask, found),
        )
        rows.append(side_by_side([_sized(picture) for picture in shown]))
    path.parent.mkdir(parents=True, exist_ok=True)
    _stacked(rows).save(path, quality=88)


def _visible(image: Image.Image) -> Image.Image:
    """Stretch a dark image to the whole range of greys: for people alone."""
    values = np.asarray(image.convert("L")).astype(np.float32)
    low, high = values.min(), np.percentile(values, 99.5)
    scaled = (values - low) / max(high - low, 1) * 255
    return Image.fromarray(scaled.clip(0, 255).astype(np.uint8)).convert("RGB")


def _sized(picture: Image.Image) -> Image.Image:
    return picture.resize((SHOWN, SHOWN), Image.Resampling.LANCZOS)


def _stacked(rows: Sequence[Image.Image], gap: int = 6) -> Image.Image:
    height = sum(row.height for row in rows) + gap * (len(rows) - 1)
    canvas = Image.new("RGB", (max(row.width for row in rows), height), "white")
    top = 0
    for row in rows:
        canvas.paste(row, (0, top))
        top += row.height + gap
    return canvas


def _show(event: Event) -> None:
    if isinstance(event, EpochDone):
        record = event.record
        print(
            f"epoch {record['epoch']}/{event.epochs}: loss {record['train_loss']:.4f}, "
            f"validation mean IoU {record['val_mean_iou']:.2%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
