"""F10: loss, gradient or input that is not finite. Training stops before the weights change."""

import json
import math
import random

import pytest
import torch
from counts import rounds
from faulty_runs import SETTINGS

from convatlas.data.preprocess import Preprocessing
from convatlas.train.checkpoint import Checkpoints
from convatlas.train.events import Notice
from convatlas.train.losses import CrossEntropy
from convatlas.train.options import RunOptions
from convatlas.train.run import start_run
from convatlas.train.step import DivergedError


class Poison(torch.autograd.Function):
    """The same forwards, NaN backwards."""

    @staticmethod
    def forward(ctx, x):  # noqa: ARG004
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):  # noqa: ARG004
        return gradient * math.nan


@pytest.mark.parametrize("kind", ["loss", "gradient", "input"])
@rounds(1, 4)
def test_the_run_stops_and_says_where(pictures, tmp_path, monkeypatch, kind, seed):
    step = random.Random(seed).randint(1, 20)
    calls = count_calls(kind, step, monkeypatch)
    with pytest.raises(DivergedError) as caught:
        start_run("lenet5_modern", pictures, out=tmp_path, **SETTINGS)
    assert calls[0] == step
    message = str(caught.value)
    assert f"in step {step} (epoch {(step - 1) // 5 + 1}) at a learning rate of" in message
    told = json.loads((tmp_path / "diverged.json").read_text())
    assert told["message"] == message
    assert len(told["images"]) == 12
    assert all(name.startswith("train/") and name in caught.value.images for name in told["images"])
    content = Checkpoints(tmp_path / "checkpoints").newest()
    assert content["step"] == (step - 1) // 5 * 5  # after the last whole epoch
    assert all(torch.isfinite(tensor).all() for tensor in content["model"].values())
    assert not (tmp_path / "model.safetensors").exists()


@rounds(1, 4)
def test_what_is_left_out_is_counted_and_named(pictures, tmp_path, monkeypatch, seed):
    step = random.Random(seed).randint(1, 20)
    count_calls("gradient", step, monkeypatch)
    told, options = [], RunOptions(skip_bad_steps=2, track=())
    how = {"options": options, "progress": told.append, **SETTINGS}
    assert start_run("lenet5_modern", pictures, out=tmp_path, **how).state == "finished"
    [notice] = [event.text for event in told if isinstance(event, Notice)]
    assert notice.startswith(
        "left out, 1 of at most 2: the norm of the gradient became nan in step"
    )
    assert f"in step {step} (epoch {(step - 1) // 5 + 1}) at" in notice
    assert "with the images train/" in notice
    assert "optimizer.lr" not in notice
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    counts = [json.loads(line).get("skipped_steps", 0) for line in lines]
    assert counts == [int(epoch == (step - 1) // 5) for epoch in range(4)]
    assert not (tmp_path / "diverged.json").exists()


def test_more_than_may_be_left_out_stop_the_run_which_goes_on_with_more(
    pictures, tmp_path, monkeypatch
):
    def run(most, **named):
        options = RunOptions(skip_bad_steps=most, track=())
        return start_run("lenet5_modern", pictures, out=tmp_path, options=options, **named)

    loss, calls = CrossEntropy.__call__, [0]

    def poisoned(self, logits, targets, weights=None):
        calls[0] += logits.requires_grad
        bad = logits.requires_grad and calls[0] in (2, 4, 8)
        return loss(self, logits, targets, weights) * (math.inf if bad else 1)

    monkeypatch.setattr(CrossEntropy, "__call__", poisoned)
    with pytest.raises(DivergedError, match=r"in step 8 .*, after 2 steps left out; try a lower"):
        run(2, **SETTINGS)
    monkeypatch.setattr(CrossEntropy, "__call__", loss)
    assert run(3, resume=True, **SETTINGS).state == "finished"
    [first, *_] = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(first)["skipped_steps"] == 2


def test_an_epoch_without_a_step_stops_the_run(pictures, tmp_path, monkeypatch):
    loss = CrossEntropy.__call__
    monkeypatch.setattr(CrossEntropy, "__call__", lambda *given: loss(*given) * math.nan)
    options = RunOptions(skip_bad_steps=100, track=())
    with pytest.raises(DivergedError, match="every step of epoch 1 was left out"):
        start_run("lenet5_modern", pictures, out=tmp_path, options=options, **SETTINGS)


def count_calls(kind, step, monkeypatch):
    """Let the `step`-th batch of the training be poisoned; give how many there were."""
    loss, normalized, calls = CrossEntropy.__call__, Preprocessing.normalized, [0]

    def poisoned_loss(self, logits, targets, weights=None):
        calls[0] += 1
        if calls[0] != step or kind == "input":
            return loss(self, logits, targets, weights)
        if kind == "gradient":
            return loss(self, Poison.apply(logits), targets, weights)
        return loss(self, logits, targets, weights) * math.inf

    def poisoned_input(self, pixels):
        images = normalized(self, pixels)
        if kind == "input" and calls[0] == step - 1 and len(images) == 12:
            images[random.Random(step).randrange(12)] = math.nan
        return images

    monkeypatch.setattr(CrossEntropy, "__call__", poisoned_loss)
    monkeypatch.setattr(Preprocessing, "normalized", poisoned_input)
    return calls
