"""What large steps are computed with, and small ones are not."""

import pytest
import torch

import convatlas as ca
from convatlas.catalog import build
from convatlas.cli import train as verb
from convatlas.cli.train_options import run_options
from convatlas.recipes.alexnet import RECIPES
from convatlas.train import tuning
from convatlas.train.distributed import ALONE
from convatlas.train.options import RunOptions
from convatlas.train.run import start_run
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


@pytest.mark.parametrize(("more", "kept"), [([], True), (["--no-keep-memory"], False)])
def test_the_command_keeps_memory_unless_told(more, kept):
    words = ["lenet5_modern", "--data", "digits", *more]
    given = verb.command.make_context("train", words).params
    assert run_options(given, ALONE).keep_memory == kept


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_large_step_goes_on_in_the_same_bits(pictures, tmp_path, monkeypatch, precision):
    monkeypatch.setattr(tuning, "SMALL_STEP_MACS", 0)
    how = {
        "recipe_name": "cifar10",
        "epochs": 2,
        "changes": {"batch_size": 20},
        "options": RunOptions(precision=precision),
    }
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    start_run("resnet8_cifar", pictures, out=whole, **how)
    asked = iter([False, False, False, False, True])
    start_run("resnet8_cifar", pictures, out=parted, stop=lambda: next(asked), **how)
    start_run("resnet8_cifar", pictures, out=parted, resume=True, **how)
    states = [ca.load(folder)[0].state_dict() for folder in (whole, parted)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
