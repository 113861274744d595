"""Mixed batches: shares that are exact, chance that comes from `rng` alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.errors import InputError
from convatlas.recipe import CutMix, Mixup
from convatlas.train.mixing import mixed

OPS = (Mixup(0.2), Mixup(1.0), CutMix(1.0), CutMix(0.3))


def numbered(count: int, height: int, width: int) -> torch.Tensor:
    """Images of one value each: their number."""
    return torch.arange(float(count)).reshape(-1, 1, 1, 1).expand(-1, 3, height, width)


@settings(deadline=None)
@given(
    st.sampled_from(OPS),
    st.integers(1, 9),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.integers(0, 2**32),
)
def test_labels_have_the_shares_of_their_images(op, count, size, seed):
    """Where every image is the number of its class, their mean is the mean of the target."""
    images, labels = numbered(count, *size), torch.arange(count)
    result, targets = mixed(images, labels, count + 2, [op], np.random.default_rng(seed))
    assert result.shape == images.shape
    assert targets.shape == (count, count + 2)
    assert targets.sum(dim=1).numpy() == pytest.approx(np.ones(count), abs=1e-6)
    expected = targets[:, :count] @ torch.arange(float(count))
    assert result.mean(dim=(1, 2, 3)).numpy() == pytest.approx(expected.numpy(), abs=1e-4)
    assert (targets >= 0).all()


@pytest.mark.parametrize("op", OPS, ids=repr)
def test_equal_generators_give_equal_batches(op):
    images, labels = torch.randn(8, 3, 6, 5), torch.arange(8) % 3
    before = images.clone()
    first, same, other = (
        mixed(images, labels, 3, [op], np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first[0], same[0])
    assert torch.equal(first[1], same[1])
    assert not torch.equal(first[0], other[0])
    assert torch.equal(images, before)


def test_cutmix_pastes_one_box_of_one_other_image():
    for seed in range(50):
        images, labels = numbered(5, 16, 10), torch.arange(5)
        result, targets = mixed(images, labels, 5, [CutMix()], np.random.default_rng(seed))
        for number, (image, target) in enumerate(zip(result, targets, strict=True)):
            pasted = image[0] != number
            rows, columns = pasted.any(dim=1), pasted.any(dim=0)
            assert torch.equal(pasted, rows[:, None] & columns)  # a box
            for side in (rows, columns):
                assert (side.diff().long().abs().sum() <= 2).item()  # in one piece
            assert target[number].item() == pytest.approx(1 - pasted.float().mean().item())


def test_mixup_is_the_formula():
    """x = share x_i + (1 - share) x_j, and the same for the labels (Zhang et al. 2018)."""
    images, labels = torch.randn(6, 3, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    result, targets = mixed(images, labels, 3, [Mixup(1.0)], np.random.default_rng(3))
    rng = np.random.default_rng(3)
    rng.integers(1)
    order, share = rng.permutation(6), rng.beta(1.0, 1.0)
    assert torch.allclose(result, share * images + (1 - share) * images[order], atol=1e-6)
    hot = torch.eye(3)[labels]
    assert torch.allclose(targets, share * hot + (1 - share) * hot[order], atol=1e-6)


def test_the_area_that_stays_is_what_the_border_leaves():
    """A side s of the image covers s - s^2 / 4 of it on average; s^2 is uniform for Beta(1, 1)."""
    rng, kept = np.random.default_rng(0), []
    images, labels = numbered(2, 128, 128), torch.arange(2)
    while len(kept) < 1000:
        targets = mixed(images, labels, 2, [CutMix(1.0)], rng)[1]
        if targets[0, 0] < 1:
            kept.append(targets[0, 0].item())
    assert np.mean(kept) == pytest.approx(1 - (1 / 2 - 1 / 5 + 1 / 48), abs=0.02)


def test_each_op_has_its_turn():
    images, labels = torch.arange(2.0).reshape(2, 1, 1, 1).expand(2, 1, 4, 4), torch.arange(2)
    whole = 0
    for seed in range(400):
        result, targets = mixed(
            images, labels, 2, [Mixup(1.0), CutMix(1.0)], np.random.default_rng([seed, 7])
        )
        if 0 < targets[0, 0] < 1:
            whole += len(result[0].unique()) == 1  # mixup leaves no edge
    assert 60 < whole < 200


def test_no_op_leaves_the_images_and_gives_whole_labels():
    images, labels = torch.randn(2, 3, 4, 4), torch.tensor([1, 0])
    result, targets = mixed(images, labels, 2, [], np.random.default_rng(0))
    assert torch.equal(result, images)
    assert targets.tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_the_layout_stays():
    images = torch.randn(4, 3, 6, 6).to(memory_format=torch.channels_last)
    for op in OPS:
        result, _ = mixed(images, torch.zeros(4).long(), 2, [op], np.random.default_rng(0))
        assert result.is_contiguous(memory_format=torch.channels_last)


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(InputError, match="between 0 and 2"):
        mixed(torch.randn(1, 3, 4, 4), torch.tensor([3]), 3, OPS, np.random.default_rng(0))
