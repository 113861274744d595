"""Maximally activating patches against a plain search, and against the cut-out alone."""

import explained_nets
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from convatlas.data.loader import Batch
from convatlas.errors import InputError
from convatlas.visualize.patches import cut_out, top_patches


def batched(images: Tensor, size: int = 4) -> list[Batch]:
    numbers = torch.arange(len(images))
    parts = zip(images.split(size), numbers.split(size), strict=True)
    return [Batch(part, at, at) for part, at in parts]


def unpadded(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3), nn.Tanh()
    ).double()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99), st.integers(1, 6), st.integers(1, 5))
def test_they_are_the_greatest_values_one_an_image(seed: int, count: int, size: int) -> None:
    model, images = unpadded(seed), explained_nets.images(7, seed=seed)
    maps = model(images).detach()
    for number, patches in top_patches(model, batched(images, size), "4", count=count).items():
        best = maps[:, number].flatten(1).amax(dim=1)
        order = best.argsort(descending=True)[:count]
        assert [patch.index for patch in patches] == order.tolist()
        for patch in patches:
            assert patch.value == pytest.approx(float(best[patch.index]), rel=1e-12)
            at_place = float(maps[(patch.index, number, *patch.position)])
            assert at_place == float(best[patch.index])


def test_the_cut_out_alone_gives_the_same_value() -> None:
    """Without padding, nothing outside the receptive field counts."""
    model, images = unpadded(), explained_nets.images(5, side=20)
    for number, patches in top_patches(model, batched(images), "4").items():
        for patch in patches:
            top, left, bottom, right = patch.box
            assert (bottom - top, right - left) == (8, 8)
            alone = model(images[patch.index, :, top:bottom, left:right][None]).detach()
            assert alone.shape[2:] == (1, 1)
            assert float(alone[0, number]) == pytest.approx(patch.value, rel=1e-12)


def test_named_maps_keep_their_order_and_the_model_its_state() -> None:
    model, images = unpadded().train(), explained_nets.images(3)
    before = explained_nets.state_of(model)
    found = top_patches(model, batched(images), "4", maps=(3, 1), count=9)
    explained_nets.assert_same(before, explained_nets.state_of(model))
    assert list(found) == [3, 1]
    assert [len(patches) for patches in found.values()] == [3, 3]


def test_of_equal_values_the_first_image_wins() -> None:
    images = torch.ones(6, 3, 12, 12).double()
    patches = top_patches(unpadded(), batched(images, 2), "4", count=3)[0]
    assert [patch.index for patch in patches] == [0, 1, 2]


def test_a_box_is_cut_at_the_border() -> None:
    picture = Image.new("L", (10, 6))
    picture.putpixel((9, 5), 255)
    cut = cut_out(picture, (3, 7, 9, 13))
    assert cut.size == (3, 3)
    assert cut.getpixel((2, 2)) == 255
    with pytest.raises(InputError, match="lies outside an image of 6x10"):
        cut_out(picture, (6, 0, 9, 3))


def test_faults_are_named() -> None:
    model, images = unpadded(), explained_nets.images(2)
    with pytest.raises(InputError, match="has no map 5; there are 5"):
        top_patches(model, batched(images), "4", maps=(5,))
    with pytest.raises(InputError, match="at least 1 patch"):
        top_patches(model, batched(images), "4", count=0)
    with pytest.raises(InputError, match="no images"):
        top_patches(model, [], "4")
    with pytest.raises(KeyError, match="no layer named 'five'"):
        top_patches(model, batched(images), "five")
    images[0, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        top_patches(model, batched(images), "4")
