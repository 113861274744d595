"""The loop: exact wherever it is taken up, and never silent when it goes wrong."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from convatlas.data.augment import Affine
from convatlas.data.card import LECUN_MEAN, LECUN_STD
from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import ArraySplit
from convatlas.recipe import SGD, Adam, CutMix, Mixup, Recipe, RMSProp
from convatlas.schedules import Constant, Cosine, OnPlateau, Steps, Warmup
from convatlas.train.checkpoint import Checkpoints
from convatlas.train.events import EpochDone, StepDone
from convatlas.train.loop import Data, fit, make_lesson
from convatlas.train.options import RunOptions
from convatlas.train.rates import rate_at
from convatlas.train.signals import StoppedError
from convatlas.train.state import State
from convatlas.train.step import DivergedError, step_seed
from convatlas.train.tasks import Classification

RECIPE = Recipe(
    where="test",
    batch_size=16,
    epochs=3,
    optimizer=SGD(lr=0.05, momentum=0.9, weight_decay=1e-4, nesterov=True),
    schedule=Warmup(0.5, Cosine(2.5)),
    augment=(Affine(degrees=20, translate=0.1),),
    label_smoothing=0.1,
    ema=0.8,
)
# three epochs of three steps: 16 + 16 + 8 images


def make_data():
    rng = np.random.default_rng(0)
    classes = np.arange(56) % 2
    images = rng.integers(0, 100, (56, 8, 8), np.uint8)
    images[classes == 1, 2:6, 2:6] += 150
    train, val = (ArraySplit(images, classes, part, "x") for part in np.split(np.arange(56), [40]))
    preprocessing = Preprocessing((8, 8), (LECUN_MEAN,), (LECUN_STD,))
    return Data(train, val, Classification(preprocessing, ("dark", "light")))


def make_model():
    """Batch norm and dropout: what has a state and what draws."""
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(4 * 36, 2),
    )


def trained(recipe=RECIPE, data=None, **named):
    state = State.fresh(make_model(), recipe)
    fit(state, recipe, data or make_data(), seed=3, **named)
    return state


def same_weights(one, other):
    one, other = one.state_dict(), other.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


def without_times(records):
    timed = ("seconds", "images_per_second")
    return [{k: v for k, v in record.items() if k not in timed} for record in records]


@pytest.fixture(scope="module")
def undisturbed():
    return trained()


class TestExactness:
    def test_equal_seeds_give_equal_bits(self, undisturbed):
        torch.manual_seed(999)  # whatever the caller drew before
        torch.rand(5)
        assert same_weights(trained().model, undisturbed.model)

    def test_another_seed_gives_others(self, undisturbed):
        other = State.fresh(make_model(), RECIPE)
        fit(other, RECIPE, make_data(), seed=4)
        assert not same_weights(other.model, undisturbed.model)

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"optimizer": Adam(0.01)},
            {"optimizer": RMSProp(0.001, momentum=0.9)},
            {"mix": (Mixup(0.5), CutMix()), "clip_norm": 0.5},
        ],
        ids=["sgd", "adam", "rmsprop", "mixed"],
    )
    @pytest.mark.parametrize("stops", [{1}, {3}, {9}, {2, 4, 6, 8}, set(range(1, 10))])
    def test_a_run_taken_up_anywhere_ends_in_the_same_bits(self, stops, changes, tmp_path):
        recipe = replace(RECIPE, **changes)
        expected = trained(recipe)
        checkpoints = Checkpoints(tmp_path)
        stops = set(stops)
        while True:
            state = State.fresh(make_model(), recipe)
            content = checkpoints.newest()
            if content is not None:
                state.restore(content)
            try:
                fit(
                    state,
                    recipe,
                    make_data(),
                    seed=3,
                    keep=lambda kept: checkpoints.save(kept.step, kept.to_dict()),
                    stop=lambda state=state: state.step in stops,
                )
                break
            except StoppedError:
                stops.discard(state.step)
        assert same_weights(state.model, expected.model)
        assert same_weights(state.result, expected.result)
        assert without_times(state.records) == without_times(expected.records)

    def test_workers_change_nothing(self, undisturbed):
        assert same_weights(trained(options=RunOptions(workers=2)).model, undisturbed.model)

    def test_step_seeds_differ(self):
        seeds = {step_seed(seed, step) for seed in range(20) for step in range(500)}
        assert len(seeds) == 20 * 500
        assert all(0 <= seed < 2**64 for seed in seeds)


class TestProgress:
    def test_every_step_and_epoch_is_told(self):
        events = []
        state = trained(progress=events.append)
        steps = [event for event in events if isinstance(event, StepDone)]
        epochs = [event for event in events if isinstance(event, EpochDone)]
        assert [(e.epoch, e.step) for e in steps] == [(e, s) for e in (1, 2, 3) for s in (1, 2, 3)]
        assert [event.record for event in epochs] == state.records
        assert [record["epoch"] for record in state.records] == [1, 2, 3]
        assert [record["step"] for record in state.records] == [3, 6, 9]
        assert steps[2].loss == state.records[0]["train_loss"]
        assert steps[2].accuracy == state.records[0]["train_accuracy"]
        assert all(record["seconds"] > 0 for record in state.records)

    def test_it_learns(self, undisturbed):
        first, *_, last = undisturbed.records
        assert last["train_loss"] < first["train_loss"]
        assert last["val_accuracy"] == 1.0

    def test_the_average_is_validated(self, undisturbed):
        plain = trained(replace(RECIPE, ema=None))
        assert plain.result is plain.model
        assert undisturbed.result is not undisturbed.model
        assert same_weights(plain.model, undisturbed.model)
        assert plain.records[0]["train_loss"] == undisturbed.records[0]["train_loss"]
        assert plain.records[0]["val_loss"] != undisturbed.records[0]["val_loss"]


class TestMixing:
    def test_other_images_and_labels_are_learnt_from(self, undisturbed):
        mixed = trained(replace(RECIPE, mix=(Mixup(1.0),)))
        assert not same_weights(mixed.model, undisturbed.model)
        assert mixed.records[0]["train_loss"] != undisturbed.records[0]["train_loss"]

    def test_every_step_draws_anew(self):
        data, recipe = make_data(), replace(RECIPE, mix=(CutMix(),))
        batch = next(data.task.batches(data.train, recipe, seed=0, epoch=0, start=0, workers=0))
        drawn = [
            make_lesson(batch, recipe, data, rate=0.1, seed=seed, step=step)
            for seed, step in ((0, 0), (0, 0), (0, 1), (1, 0))
        ]
        same = [torch.equal(lesson.targets, drawn[0].targets) for lesson in drawn]
        assert same == [True, True, False, False]
        assert torch.equal(drawn[0].batch.images, drawn[1].batch.images)
        assert torch.equal(drawn[2].batch.labels, batch.labels)  # accuracy is counted against them


class TestKeeping:
    def test_after_every_epoch(self):
        kept = []
        trained(keep=lambda state: kept.append((state.step, len(state.records))))
        assert kept == [(3, 1), (6, 2), (9, 3)]

    def test_every_few_seconds(self):
        kept = []
        trained(
            keep=lambda state: kept.append((state.step, len(state.records))),
            options=RunOptions(checkpoint_every=0),
        )
        within = [(step, (step - 1) // 3) for step in range(1, 10)]
        assert sorted(kept) == sorted([*within, (3, 1), (6, 2), (9, 3)])

    def test_a_stop_is_kept_at_once(self):
        kept = []
        with pytest.raises(StoppedError):
            trained(keep=lambda state: kept.append(state.step), stop=lambda: True)
        assert kept == [1]

    def test_a_stop_during_validation(self):
        calls = []
        state = State.fresh(make_model(), RECIPE)
        kept = []

        def stop():
            calls.append(state.step)
            return calls.count(3) == 2  # the second question after step 3 comes from evaluate()

        with pytest.raises(StoppedError):
            fit(
                state,
                RECIPE,
                make_data(),
                seed=3,
                keep=lambda state: kept.append((state.step, len(state.records))),
                stop=stop,
            )
        assert kept == [(3, 0)]


class TestDivergence:
    def test_a_loss_that_is_not_finite_stops_at_once(self):
        recipe = Recipe("test", 16, 3, SGD(lr=1e30))
        state, kept = State.fresh(make_model(), recipe), []
        with pytest.raises(DivergedError, match=r"became nan in step \d .epoch 1. at .* 1e\+30"):
            fit(
                state,
                recipe,
                make_data(),
                seed=0,
                keep=kept.append,
                options=RunOptions(checkpoint_every=math.inf),
            )
        assert kept == []

    def test_the_weights_of_a_broken_step_stay(self):
        state = State.fresh(make_model(), RECIPE)
        with torch.no_grad():
            state.model[-1].bias[0] = torch.inf
        before = copy.deepcopy(state.model[-1].weight)
        with pytest.raises(DivergedError):
            fit(state, RECIPE, make_data(), seed=0)
        assert state.step == 0
        assert torch.equal(state.model[-1].weight, before)

    @pytest.mark.parametrize("keep_every", [0, math.inf])
    def test_weights_that_are_not_finite_are_never_kept(self, keep_every):
        # the loss of the only step is finite, what it leaves is not
        recipe = Recipe("test", 64, 1, SGD(lr=3e38, weight_decay=100.0))
        kept = []
        with pytest.raises(DivergedError, match=r"is no longer finite after step 1 .epoch 1.;"):
            trained(recipe, keep=kept.append, options=RunOptions(checkpoint_every=keep_every))
        assert kept == []

    def test_logits_that_are_not_finite_are_divergence_too(self):
        recipe = Recipe("test", 64, 1, SGD(lr=3e38))
        with pytest.raises(DivergedError, match=r"^validation after step 1 .*logits"):
            trained(recipe)


class TestRates:
    def test_the_schedule_moves_within_an_epoch(self):
        recipe = Recipe("test", 1, 10, SGD(lr=0.2), Warmup(2, Steps((3,)), start=0.5))
        assert rate_at(recipe, 0, []) == pytest.approx(0.1)
        assert rate_at(recipe, 1.5, []) == pytest.approx(0.175)
        assert rate_at(recipe, 2.0, []) == pytest.approx(0.2)
        assert rate_at(recipe, 5.0, []) == pytest.approx(0.02)

    @pytest.mark.parametrize("wrap", [lambda schedule: schedule, lambda s: Warmup(0, s)])
    def test_a_plateau_looks_at_the_validation(self, wrap):
        recipe = Recipe("test", 1, 10, SGD(lr=0.2), wrap(OnPlateau(patience=2, factor=0.1)))
        accuracies = [0.5, 0.6, 0.6, 0.55, 0.7, 0.7, 0.7]
        records = [{"val_accuracy": accuracy} for accuracy in accuracies]
        rates = [rate_at(recipe, 1, records[:n]) for n in range(len(records) + 1)]
        assert rates == pytest.approx([0.2] * 4 + [0.02] * 3 + [0.002])

    def test_a_plateau_may_look_at_the_training_images(self):
        plateau = OnPlateau(patience=1, factor=0.1, watch="train")
        recipe = Recipe("test", 1, 10, SGD(lr=0.2), plateau)
        records = [{"train_accuracy": 0.5, "val_accuracy": accuracy} for accuracy in (0.1, 0.9)]
        assert rate_at(recipe, 2, records) == pytest.approx(0.02)

    def test_the_record_tells_the_last_rate(self):
        recipe = Recipe("test", 16, 2, SGD(lr=0.1), Steps((1,)))
        assert [r["lr"] for r in trained(recipe).records] == pytest.approx([0.1, 0.01])

    def test_constant_is_the_default(self):
        assert Recipe("test", 1, 1, SGD(lr=0.1)).schedule == Constant()
