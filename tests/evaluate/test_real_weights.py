"""Published weights get their published accuracy on real images."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.data.imagenet_names import imagenet_classes
from convatlas.data.images import read_image
from convatlas.data.preprocess import Preprocessing
from convatlas.data.sources import open_source
from convatlas.data.splits import ArraySplit
from convatlas.evaluate.evaluation import Evaluation, evaluate
from convatlas.evaluate.protocols import find_protocol
from convatlas.serve.predictor import Predictor
from convatlas.weights.opening import open_model


class Listed:
    """Pictures that a text file lists with their classes."""

    def __init__(self, folder: Path, count: int | None = None) -> None:
        lines = (folder / "labels.txt").read_text().splitlines()[:count]
        self.paths = [folder / "images" / line.rsplit(" ", 1)[0] for line in lines]
        self.labels = [int(line.rsplit(" ", 1)[1]) for line in lines]

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, i: int) -> Image.Image:
        return read_image(self.paths[i])

    def label(self, i: int) -> int:
        return self.labels[i]

    def name(self, i: int) -> str:
        return self.paths[i].name


def cifar(data_root: Path, count: int) -> ArraySplit:
    """The first training images of CIFAR-10, in its binary format."""
    content = gzip.decompress(
        (data_root / "cifar10-train4000/data_batch_first4000.bin.gz").read_bytes()
    )
    rows = np.frombuffer(content, np.uint8).reshape(-1, 3073)[:count]
    images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return ArraySplit(images, rows[:, 0].astype(np.int64), np.arange(count), "image")


def resnet20(data_root: Path, count: int) -> Evaluation:
    weights = data_root / "weights" / "resnet-cifar10" / "resnet20-12fca82f.th"
    model, metadata = open_model("resnet20_cifar", weights)
    preprocessing = Preprocessing.from_dict(metadata["preprocessing"])
    names = [str(i) for i in range(10)]
    return evaluate(model, cifar(data_root, count), preprocessing, names)


def squeezenet(data_root: Path, split: Listed, protocol: str = "center") -> Evaluation:
    weights = data_root / "weights" / "squeezenet1.1-imagenet" / "squeezenet1.1.npz"
    model, metadata = open_model("squeezenet1_1", weights)
    assert metadata["classes"] == list(imagenet_classes())
    preprocessing = Preprocessing.from_dict(metadata["preprocessing"])
    shown = find_protocol(protocol)
    return evaluate(model, split, preprocessing, metadata["classes"], protocol=shown)


def test_resnet20_knows_images_that_it_was_trained_on(data_root: Path) -> None:
    assert resnet20(data_root, 250).top1_accuracy >= 0.99


@pytest.mark.slow
def test_resnet20_gets_998_of_1000_training_images(data_root: Path) -> None:
    found = resnet20(data_root, 4000)
    assert found.top1_accuracy == pytest.approx(0.998, abs=5e-4)
    assert found.calibration.error < 0.02


@pytest.mark.slow
def test_caffes_lenet_gets_9914_of_10000_digits(data_root: Path) -> None:
    weights = data_root / "weights" / "lenet-mnist-caffe" / "lenet_iter_10000.npz"
    predictor = Predictor.load("lenet_caffe", weights)
    test = open_source("mnist", root=data_root / "mnist").test
    found = evaluate(predictor.model, test, predictor.preprocessing, predictor.classes)
    assert round(found.top1_accuracy * found.count) == 9914


def test_squeezenet_names_what_photographs_show(data_root: Path) -> None:
    """A few of the pictures whose class a person sees at once."""
    weights = data_root / "weights" / "squeezenet1.1-imagenet" / "squeezenet1.1.npz"
    predictor = Predictor.load("squeezenet1_1", weights)
    folder = data_root / "imagenet-samples" / "images"
    for name in ("tench", "bullfrog", "water_ouzel"):
        (file,) = folder.glob(f"n*_{name}.JPEG")
        best = predictor.predict(read_image(file), top=1)[0]
        assert best.name == name.replace("_", " ")


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["center", "dense"])
def test_squeezenet_gets_its_published_accuracy(data_root: Path, protocol: str) -> None:
    """69.8 and 90.2 % were measured on 1,300 images of which these 119 are some."""
    found = squeezenet(data_root, Listed(data_root / "imagenet-val227"), protocol)
    assert found.count == 119
    assert found.top1_interval[0] <= 0.698 <= found.top1_interval[1]
    assert found.top5_interval[0] <= 0.902 <= found.top5_interval[1]
