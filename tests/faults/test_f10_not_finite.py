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
from convatlas.train.losses import CrossEntropy
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
