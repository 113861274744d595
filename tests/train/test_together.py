"""Several processes learn what one learns from the same batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from convatlas.catalog import build
from convatlas.data.augment import Affine
from convatlas.data.sources import open_source
from convatlas.data.splits import ArraySplit
from convatlas.recipe import SGD, Adam, Mixup, Recipe
from convatlas.schedules import Cosine
from convatlas.train.distributed import ALONE
from convatlas.train.loop import Data, fit
from convatlas.train.losses import CrossEntropy
from convatlas.train.options import DEFAULTS, RunOptions
from convatlas.train.state import State
from convatlas.train.tasks import Classification
from rank_processes import in_ranks

# 50 images: batches of 16, 16, 16 and 2, the last of which leaves two of four processes idle
RECIPE = Recipe(
    where="test",
    batch_size=16,
    epochs=2,
    optimizer=SGD(lr=0.05, momentum=0.9, weight_decay=1e-4, nesterov=True),
    schedule=Cosine(2),
    augment=(Affine(degrees=10, translate=0.1),),
    label_smoothing=0.1,
    clip_norm=1.0,
    ema=0.8,
)


# norms enlarge what rounding adds, step by step; in float64 both are equal to 1e-13
CALM = replace(RECIPE, batch_size=20, epochs=1, optimizer=replace(RECIPE.optimizer, lr=0.002))


def make_data(in_channels):
    source = open_source("digits")
    train, val = (
        ArraySplit(split.images, split.classes, split.indices[:count], "digits")
        for split, count in ((source.train, 50), (source.val, 30))
    )
    preprocessing = source.card.preprocessing((in_channels, 32, 32))
    return Data(train, val, Classification(preprocessing, source.card.classes))


def learn(ranks, name, recipe, options):
    """Train; give the curves and the weights."""
    torch.manual_seed(7)
    in_channels = 1 if name.startswith("lenet5") else 3
    options = replace(options, ranks=ranks)
    state = State.fresh(build(name, 10, in_channels), recipe, options=options)
    fit(state, recipe, make_data(in_channels), seed=3, options=options)
    timed = ("seconds", "images_per_second")
    curves = [{k: v for k, v in record.items() if k not in timed} for record in state.records]
    weights = {k: v.detach().numpy().copy() for k, v in state.result.state_dict().items()}
    return curves, weights


def check_same(name, size, recipe=RECIPE, options=DEFAULTS, of_weights=1e-5):
    curves, weights = learn(ALONE, name, recipe, replace(options, micro_batch=None))
    for found, values in in_ranks(size, learn, name, recipe, options):
        for one, other in zip(found, curves, strict=True):
            assert one == pytest.approx(other, rel=1e-5, abs=1e-5)
        for key, value in weights.items():
            np.testing.assert_allclose(values[key], value, rtol=0, atol=of_weights, err_msg=key)


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_network_without_norms(size):
    check_same("lenet5_modern", size)


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_batch_norm_over_all_processes(size):
    check_same("resnet8_cifar", size, CALM, RunOptions(sync_norm=True), of_weights=2e-3)


def test_spread_weights_learn_the_same():
    check_same("lenet5_modern", 2, options=RunOptions(shard=True))


@pytest.mark.slow
def test_spread_weights_and_norms_over_all_processes():
    options = RunOptions(shard=True, sync_norm=True)
    check_same("resnet8_cifar", 2, CALM, options, of_weights=2e-3)


@pytest.mark.slow
def test_passes_over_parts_of_the_parts():
    check_same("lenet5_modern", 2, options=RunOptions(micro_batch=3))


@pytest.mark.slow
def test_passes_with_spread_weights_and_adam():
    recipe = replace(RECIPE, optimizer=Adam(0.001, weight_decay=0.01))
    options = RunOptions(micro_batch=3, shard=True)
    check_same("lenet5_modern", 2, recipe, options, of_weights=1e-4)


@pytest.mark.slow
def test_a_run_is_reproducible_with_mixing_and_norms_of_their_own():
    recipe = replace(RECIPE, mix=(Mixup(0.4),))
    runs = [in_ranks(2, learn, "resnet8_cifar", recipe, RunOptions()) for _ in range(2)]
    for (curves, weights), (others, other_weights) in zip(*runs, strict=True):
        assert curves == others
        for key, value in weights.items():
            np.testing.assert_array_equal(value, other_weights[key], err_msg=key)
    first, second = runs[0]
    assert first[0] == second[0]
    for key, value in first[1].items():
        np.testing.assert_array_equal(value, second[1][key], err_msg=key)


def learn_with_one_bad_step(ranks):
    """Learn with a loss that is not finite in the second step of the last process alone."""
    loss, calls = CrossEntropy.__call__, [0]

    def poisoned(self, logits, targets, weights=None):
        calls[0] += logits.requires_grad
        bad = logits.requires_grad and calls[0] == 2 and ranks.rank == ranks.size - 1
        return loss(self, logits, targets, weights) * (float("nan") if bad else 1.0)

    CrossEntropy.__call__ = poisoned
    try:
        return learn(ranks, "lenet5_modern", CALM, RunOptions(skip_bad_steps=1))
    finally:
        CrossEntropy.__call__ = loss


def test_all_leave_out_what_one_can_not_learn_from():
    curves, weights = learn_with_one_bad_step(ALONE)
    assert curves[0]["skipped_steps"] == 1
    for found, values in in_ranks(2, learn_with_one_bad_step):
        assert found[0]["skipped_steps"] == 1
        assert found[0]["train_loss"] == pytest.approx(curves[0]["train_loss"], rel=1e-5)
        for key, value in weights.items():
            np.testing.assert_allclose(values[key], value, rtol=0, atol=1e-5, err_msg=key)
