"""Every look at every classifier of the catalog, on the smallest images that it takes."""

import numpy as np
import pytest
import torch
from explained_nets import assert_same, classifiers, settle_norms, state_of

from convatlas.catalog import build
from convatlas.data.loader import batches
from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import ArraySplit
from convatlas.errors import InputError
from convatlas.evaluate.descriptors import describe
from convatlas.evaluate.evaluation import evaluate
from convatlas.visualize.activations import activations, dead_maps
from convatlas.visualize.confusion import confusion_page
from convatlas.visualize.erf import effective_field
from convatlas.visualize.filters import filters, first_layers
from convatlas.visualize.invert import invert
from convatlas.visualize.layers import last_features
from convatlas.visualize.maximize import Ascent, maximize
from convatlas.visualize.patches import top_patches
from convatlas.visualize.randomization import cascade
from convatlas.visualize.saliency import saliency
from convatlas.visualize.towers import specialisation
from test_matrix import smallest

FAST = {"resnet20_cifar", "squeezenet1_1"}
TOWERS = {"alexnet", "alexnet_towers", "alexnet_bn", "caffenet"}


def split_of(side: int, channels: int, count: int = 2) -> ArraySplit:
    shape = (count, side, side) if channels == 1 else (count, side, side, channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return ArraySplit(pixels, np.arange(count), np.arange(count), "picture")


@pytest.mark.parametrize("name", classifiers(FAST))
def test_every_look_at_a_network(name: str) -> None:
    options, side = smallest(name)
    torch.manual_seed(0)
    network = build(name, num_classes=7, **options)
    channels = network.in_channels
    settle_norms(network, (channels, side, side))
    split = split_of(side, channels)
    seen = Preprocessing((side, side), (0.5,) * channels, (0.25,) * channels)
    images = torch.stack([seen(split.image(i)) for i in range(len(split))])[:1]
    noise = torch.randn(8, *images.shape[1:])  # for one image all ReLUs in the middle may be off
    before = state_of(network)

    kernels = filters(network)
    assert kernels.shape[1] == channels
    maps = activations(network, images)
    assert torch.isfinite(maps).all()
    assert set(dead_maps(network, [images])) <= set(range(maps.shape[1]))
    # where one value is left of a map it is no map over the image any more
    layer = None if min(maps.shape[2:]) > 1 else next(iter(first_layers(network)))
    found = top_patches(network, batches(split, seen, 2), layer, maps=[0], count=1)
    assert found[0][0].box[0] < found[0][0].box[2]
    assert effective_field(network, noise, layer).effective.shape == (side, side)
    best = maximize(network, (channels, side, side), [3], ascent=Ascent(steps=1))
    assert best.images.shape == images.shape
    assert invert(network, images, steps=1).images.shape == images.shape
    features = last_features(network, images)
    vectors = describe(network, split, seen, "ab", features).vectors
    assert vectors.shape[0] == 2
    assert np.isfinite(vectors).all()
    tested = evaluate(network, split, seen, "abcdefg")
    assert confusion_page(tested.confusion, tested.classes, "Mistakes").width > 0
    (_, first), (last, changed) = cascade(network, saliency, images, 3, every=10**6)
    assert last.layers == last.of
    assert not torch.equal(first, changed)
    if name in TOWERS:
        assert not specialisation(network, splits=200).specialised
    else:
        with pytest.raises(InputError, match="has no two towers"):
            specialisation(network)
    assert_same(before, state_of(network))
