"""What large steps are computed with, and small ones are not."""

import pytest
import torch

from convatlas.catalog import build
from convatlas.recipes.alexnet import RECIPES
from convatlas.train import tuning
from convatlas.train.options import RunOptions
from convatlas.train.state import State
from convatlas.train.tuning import tuned


@pytest.fixture
def kept(monkeypatch):
    """How often memory was asked to be kept."""
    calls = []
    monkeypatch.setattr(tuning, "keep_memory", lambda: calls.append(True))
    return calls


def test_a_small_step_is_computed_as_ever(kept):
    options = RunOptions(keep_memory=True)
    assert tuned(options, 1e8) == options
    assert not kept


def test_a_large_step_keeps_memory_if_asked(kept):
    assert tuned(RunOptions(), 1e10).fused
    assert not kept
    assert tuned(RunOptions(keep_memory=True), 1e10).fused
    assert kept


def test_parts_of_weights_are_changed_as_ever():
    assert not tuned(RunOptions(shard=True), 1e10).fused


def test_a_state_of_an_older_version_goes_on_in_its_way():
    recipe = RECIPES["imagenet"]
    with torch.device("meta"):
        old = State.fresh(build("lenet5_modern"), recipe)
        new = State.fresh(build("lenet5_modern"), recipe, options=RunOptions(fused=True))
    assert all(group["fused"] for group in new.optimizer.param_groups)
    new.optimizer.load_state_dict(old.optimizer.state_dict())
    assert not any(group["fused"] for group in new.optimizer.param_groups)
