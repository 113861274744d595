"""Embeddings: neighbours stay neighbours, and each picture stands at its place."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import convatlas as ca
from convatlas.errors import InputError
from convatlas.visualize.embedding import agreement, check_way, embed, on_grid
from convatlas.visualize.image_map import image_map
from convatlas.visualize.layers import last_features

LABELS = np.repeat(np.arange(4), 15)


def clusters(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(60, 32))
    return (noise + 8 * np.eye(32)[LABELS]).astype(np.float32)


def test_clusters_stay_together_and_equal_seeds_give_equal_maps() -> None:
    pytest.importorskip("sklearn")
    vectors = clusters()
    points = embed(vectors, perplexity=10)
    assert points.shape == (60, 2)
    assert agreement(points, LABELS) > 0.95
    assert np.array_equal(points, embed(vectors, perplexity=10))
    # only directions count
    assert np.allclose(points, embed(8 * vectors, perplexity=10), atol=1e-2 * np.ptp(points))


def test_what_cant_be_embedded_is_refused() -> None:
    pytest.importorskip("sklearn")
    with pytest.raises(InputError, match="a perplexity of 30 does not fit 60 images"):
        embed(clusters())
    with pytest.raises(InputError, match=r"a perplexity of 0\.5 does not fit"):
        embed(clusters(), perplexity=0.5)
    with pytest.raises(InputError, match="finite vectors"):
        embed(np.full((60, 3), np.nan), perplexity=5)
    with pytest.raises(KeyError, match="no embedding named 'tsn'; did you mean: tsne"):
        embed(clusters(), by="tsn", perplexity=5)  # ty: ignore[invalid-argument-type]  # a mistake
    with pytest.raises(InputError, match="alone has no neighbours"):
        agreement(np.zeros((1, 2)), np.zeros(1))


@pytest.mark.parametrize(("by", "missing"), [("tsne", "sklearn"), ("umap", "umap")])
def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch, by, missing) -> None:
    if by == "umap":
        pytest.importorskip("sklearn")
    monkeypatch.setitem(sys.modules, missing, None)  # what importlib takes for "is not there"
    with pytest.raises(InputError, match=f"needs {missing}: pip install 'convatlas"):
        check_way(by)


def test_agreement_counts_neighbours_of_the_same_class() -> None:
    line = np.arange(6.0)[:, None]
    labels = np.array([0, 0, 0, 1, 1, 1])
    # two neighbours each; those of the points at the border between the classes are one of each
    assert agreement(line, labels, 2) == pytest.approx(10 / 12)
    assert agreement(line, labels, 99) == pytest.approx(2 / 5)


def test_every_image_gets_a_cell_of_its_own() -> None:
    pytest.importorskip("scipy")
    points = np.random.default_rng(0).normal(size=(23, 2))
    cells = on_grid(points)
    assert len({tuple(cell) for cell in cells.tolist()}) == 23
    assert cells.min() >= 0
    assert cells.max() <= 4
    square = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(-1, 2)
    assert np.array_equal(on_grid(3.0 * square - 7), square)  # what is a grid stays one


def test_pictures_stand_at_their_places() -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    pictures = [Image.new("RGB", (8, 8), colour) for colour in colours]
    page = image_map(pictures, np.array([[0.0, 0], [1, 0], [0, 1]]), "Map")
    pixels = np.asarray(page.image())
    centres = [np.argwhere((pixels == c).all(axis=2)).mean(axis=0) for c in colours]
    assert centres[1] - centres[0] == pytest.approx([0, 926], abs=2)
    assert centres[2] - centres[0] == pytest.approx([926, 0], abs=2)
    framed = image_map(pictures, np.zeros((3, 2)), "Map", labels=[0, 1, 1], classes=["cat", "dog"])
    assert framed.width > page.width
    many = image_map(pictures * 9, np.zeros((27, 2)), "Map", labels=list(range(27)))
    assert many.width == page.width  # too many classes for colours
    with pytest.raises(InputError, match="3 pictures, 2 places"):
        image_map(pictures, np.zeros((2, 2)), "Map")


@pytest.mark.parametrize(
    ("name", "options", "layer"),
    [
        ("lenet5", {}, "head.act6"),
        ("alexnet", {"units": 8, "input_size": 67}, "head.relu7"),
        ("alexnet_towers", {"units": 8, "input_size": 67}, "head.towers"),
        ("squeezenet1_1", {}, "stages.fire9"),
        ("resnet8_cifar", {}, "head.pool"),
        ("mobilenet_v1_025", {}, "head.pool"),
    ],
)
def test_the_features_are_what_the_classifier_reads(name: str, options: dict, layer: str) -> None:
    model = ca.create(name, num_classes=3, **options)
    images = torch.rand(1, model.in_channels, *(2 * (32 if name == "lenet5" else 67,)))
    assert last_features(model, images) == layer
    assert not any(module._forward_hooks for module in model.modules())


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.conv(x)).mean(dim=(2, 3)))


def test_features_that_no_layer_gives_must_be_named() -> None:
    for model in (Functional(), nn.Sequential(nn.Flatten(), nn.Linear(49, 2))):
        with pytest.raises(InputError, match="name the layer"):
            last_features(model, torch.rand(1, 1, 7, 7))
