"""Networks that were trained on real images, for a few epochs: some benchmarks ask what answers do.

Run: python benchmarks/shortly_trained.py SOURCE [--root FOLDER] [--out runs/short] [NETWORK ...]

Published weights of these networks are large and under other hands; a few minutes of training give
answers that depend on the image, as those of fresh weights do not. The images are small ones, such
as mnist's, and so are the inputs. What has been trained is not trained again, and a run that was
stopped, as after `--seconds`, goes on where it was.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.catalog import build
from convatlas.recipe import SGD, Recipe
from convatlas.schedules import Cosine, Warmup
from convatlas.studies.images import Choice, Pictures, Subset, load_pictures
from convatlas.train.checkpoint import Checkpoints
from convatlas.train.events import EpochDone, Event
from convatlas.train.loop import Data, fit
from convatlas.train.options import RunOptions
from convatlas.train.signals import StoppedError
from convatlas.train.state import State
from convatlas.train.tasks import Classification
from convatlas.weights.store import load, save

OUT = Path("runs/short")
SEED = 0
CHANNELS = 3
TRAIN, VALIDATION, TEST = 1000, 20, 200  # images of each class


@dataclass(frozen=True)
class Course:
    """How one network is trained: on images of `side` pixels, for `epochs`, from rate `lr` down."""

    side: int
    epochs: int
    lr: float
    net: dict[str, Any] = field(default_factory=dict)


COURSES = {
    "mobilenet_v1": Course(side=32, epochs=3, lr=0.1),
    "resnet50_v1_5": Course(side=32, epochs=2, lr=0.1),
    "vgg16": Course(side=32, epochs=1, lr=0.02, net={"input_size": 32, "init": "he"}),
}


@dataclass(frozen=True)
class Lesson:
    """What to train with: a source of small images of one size, and where its files lie."""

    source: str
    root: Path | None = None
    out: Path = OUT
    stop: Callable[[], bool] = lambda: False

    def pictures(self) -> Pictures:
        """Read the images into memory."""
        subset = Subset(self.source, TRAIN, VALIDATION, TEST)
        return load_pictures(subset, Choice(self.root))


def recipe_of(course: Course) -> Recipe:
    return Recipe(
        where="our own: a minute or two on two cores",
        batch_size=128,
        epochs=course.epochs,
        optimizer=SGD(lr=course.lr, momentum=0.9, weight_decay=5e-4, nesterov=True),
        schedule=Warmup(0.3, Cosine(course.epochs - 0.3)),
        undecayed=("biases", "norms"),
        clip_norm=5.0,
    )


def trained(name: str, lesson: Lesson, course: Course) -> tuple[nn.Module, dict[str, Any]]:
    """Train a network, or take what was trained before: it and its metadata."""
    path = lesson.out / f"{name}.safetensors"
    if not path.exists():
        train(name, lesson, course, path)
    return load(path)


def train(name: str, lesson: Lesson, course: Course, path: Path) -> None:
    """Train a network by the project's own loop, test it once, and write it."""
    pictures, recipe = lesson.pictures(), recipe_of(course)
    prepare = pictures.card.preprocessing((CHANNELS, course.side, course.side))
    task = Classification(prepare, pictures.card.classes)
    torch.manual_seed(SEED)
    model = build(name, len(task.classes), CHANNELS, **course.net)
    scale_layers(model, torch.stack([prepare(pictures.train.image(i)) for i in range(64)]))
    state = State.fresh(model, recipe)
    keep = Checkpoints(path.parent / name, keep=1).take_up(state)

    def tell(event: Event) -> None:
        if isinstance(event, EpochDone):
            record = event.record
            print(
                f"{name} epoch {record['epoch']}/{event.epochs}: loss {record['train_loss']:.3f}, "
                f"validation {record['val_accuracy']:.1%}, {record['seconds']:.0f} s",
                flush=True,
            )

    fit(
        *(state, recipe, Data(pictures.train, pictures.val, task)),
        seed=SEED,
        options=RunOptions(precision="bf16"),
        keep=keep,
        stop=lesson.stop,
        progress=tell,
    )
    tested = task.evaluate(
        state.result.eval(), pictures.test, batch_size=256, workers=0, progress=lambda *_: None
    )
    print(f"{name}: {tested.top1_accuracy:.1%} of {tested.count} test images", flush=True)
    metadata = {
        "classes": list(task.classes),
        "preprocessing": prepare.to_dict(),
        "source": lesson.source,
        "metrics": {
            "top1_accuracy": tested.top1_accuracy,
            "training_images": len(pictures.train),
            "epochs": course.epochs,
            "seconds": round(sum(record["seconds"] for record in state.records)),
        },
    }
    save(state.result, path, metadata)


@torch.no_grad()
def scale_layers(model: nn.Module, images: Tensor) -> None:
    """Let the answers of each layer vary by 1 over some images, where no norm sees to that.

    Without it a deep chain learns nothing in its first minutes. Mishkin & Matas 2016 (1511.06422),
    without making the weights orthogonal.
    """
    if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        return

    def scale(layer: nn.Module, _: Any, out: Tensor) -> Tensor:
        spread = out.std()
        layer.weight.div_(spread)
        return out / spread

    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(scale) for layer in layers]
    model.eval()(images)
    for hook in hooks:
        hook.remove()
    model.train()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", help="such as mnist or folder:PATH")
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--root", type=Path, help="where the files of the source lie")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--side", type=int, help="of the images, other than 32 pixels")
    parser.add_argument("--epochs", type=int, help="other than one to three")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so many")
    args = parser.parse_intermixed_args()
    end = time.monotonic() + args.seconds
    lesson = Lesson(args.source, args.root, args.out, lambda: time.monotonic() > end)
    asked = {key: vars(args)[key] for key in ("side", "epochs") if vars(args)[key]}
    try:
        for name in args.networks or COURSES:
            trained(name, lesson, replace(COURSES[name], **asked))
    except StoppedError:
        print("stopped: the same command goes on", flush=True)
        raise SystemExit(3) from None


if __name__ == "__main__":
    main()
