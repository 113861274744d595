"""Where a run computes: every tensor of a step on one device, and state that moves between them.

The meta device stands for a graphics card where there is none: it has no values, and refuses to
compute with tensors of another device.
"""

import json

import pytest
import torch
from torch import nn

from convatlas.data.loader import Batch
from convatlas.recipe import SGD, Adam, Recipe, RMSProp
from convatlas.train.checkpoint import Checkpoints
from convatlas.train.learner import Learner
from convatlas.train.losses import make_loss
from convatlas.train.options import RunOptions
from convatlas.train.placement import computing_on, device_of, placed
from convatlas.train.run import start_run
from convatlas.train.state import State
from convatlas.train.step import Lesson, take_step

CARD = torch.device("meta")


def make_model():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(48, 3),
    )


def correct(logits, targets):
    return int((logits.argmax(1) == targets).sum()), len(targets)


@pytest.fixture
def card(monkeypatch):
    """Let every tensor give 1 for its value, for those of the meta device have none."""
    for name, kind in (("item", float), ("__float__", float), ("__int__", int)):
        monkeypatch.setattr(torch.Tensor, name, lambda _, kind=kind: kind(1))


def lesson(labels, targets, weights=None, **named):
    images = torch.empty(7, 1, 6, 6)
    batch = Batch(images, labels, torch.empty(7, dtype=torch.int64), weights)
    return Lesson(batch, targets, 0, 0.1, **named)


@pytest.mark.parametrize("micro_batch", [None, 3])
@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.1, momentum=0.9),
        SGD(0.1, momentum=0.9, form="caffe"),
        RMSProp(0.1, momentum=0.9, form="tensorflow"),
        Adam(0.1),
    ],
    ids=["sgd", "caffe", "rmsprop", "adam"],
)
def test_a_step_computes_on_the_networks_device(card, micro_batch, optimizer):
    recipe = Recipe("test", 7, 1, optimizer, clip_norm=0.5, filter_limit=0.1, ema=0.9)
    state = State.fresh(make_model().to(CARD), recipe)
    state.micro_batch = micro_batch
    labels = torch.empty(7, dtype=torch.int64)
    learner = Learner(state.model, make_loss("cross_entropy"))
    how = {"clip_norm": recipe.clip_norm, "filter_limit": recipe.filter_limit}
    for _ in range(2):
        take_step(state, learner, lesson(labels, labels, **how), correct)
    tensors = [*state.tensors().values(), *(p.grad for p in state.model.parameters())]
    away = [t for t in tensors if t.device != CARD and t.dim()]  # torch keeps Adam's steps here
    assert not away
    assert state.step == 2


def test_mixed_targets_and_weights_go_there_too(card):
    state = State.fresh(make_model().to(CARD), Recipe("test", 7, 1, SGD(0.1)))
    loss = make_loss("cross_entropy", 0.1, torch.empty(3))
    labels, mixed = torch.empty(7, dtype=torch.int64), torch.empty(7, 3)
    take_step(state, Learner(state.model, loss), lesson(labels, mixed), correct)
    weighted = lesson(labels, labels, torch.empty(7))
    take_step(state, Learner(state.model, loss), weighted, correct)
    assert state.step == 2


def test_tensors_of_two_devices_would_be_found(card):
    with pytest.raises(RuntimeError, match="device"):
        make_model().to(CARD)(torch.empty(7, 1, 6, 6))


def test_a_tensor_stays_where_it_belongs():
    tensor = torch.ones(3)
    assert placed(tensor, torch.device("cpu")) is tensor
    assert device_of(make_model()) == torch.device("cpu")
    assert device_of(nn.Flatten()) == torch.device("cpu")


def test_the_callers_chance_goes_on_as_if_nothing_was():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with computing_on(None):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_network_is_brought_to_the_device_of_the_options():
    recipe = Recipe("test", 7, 1, SGD(0.1))
    meta = make_model().to("meta")
    assert device_of(State.fresh(meta, recipe).model).type == "meta"
    there = State.fresh(make_model(), recipe, options=RunOptions(device="cpu"))
    assert device_of(there.model).type == "cpu"


def test_a_run_that_began_elsewhere_goes_on_here_and_says_so(pictures, tmp_path):
    how = {"recipe_name": "digits", "epochs": 2, "changes": {"batch_size": 16}}
    start_run("lenet5_modern", pictures, out=tmp_path, stop=lambda: True, **how)
    path, told = tmp_path / "config.json", []
    config = json.loads(path.read_text())
    assert config["options"]["device"] == "cpu"
    config["options"]["device"] = "cuda"
    path.write_text(json.dumps(config))
    result = start_run(
        "lenet5_modern", pictures, out=tmp_path, resume=True, progress=told.append, **how
    )
    assert result.state == "finished"
    assert told[0].text == "options.device was 'cuda', is 'cpu': another device rounds otherwise"
    assert json.loads(path.read_text())["options"]["device"] == "cpu"


def test_a_run_of_the_days_without_a_choice_goes_on(pictures, tmp_path):
    how = {"recipe_name": "digits", "epochs": 2, "changes": {"batch_size": 16}}
    start_run("lenet5_modern", pictures, out=tmp_path, stop=lambda: True, **how)
    path, told = tmp_path / "config.json", []
    config = json.loads(path.read_text())
    del config["options"]["device"]
    path.write_text(json.dumps(config))
    start_run("lenet5_modern", pictures, out=tmp_path, resume=True, progress=told.append, **how)
    assert "goes on from step 1" in told[0].text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
class TestCard:
    def run(self, pictures, out, **named):
        how = {"recipe_name": "digits", "epochs": 2, "changes": {"batch_size": 16}}
        return start_run("lenet5_modern", pictures, out=out, **how, **named)

    def losses(self, out):
        lines = (out / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["train_loss"] for line in lines]

    def test_it_learns_what_the_processor_does(self, pictures, tmp_path):
        for device in ("cpu", "cuda"):
            self.run(pictures, tmp_path / device, options=RunOptions(device=device))
        found = self.losses(tmp_path / "cuda")
        assert found == pytest.approx(self.losses(tmp_path / "cpu"), rel=1e-2)

    def test_a_run_moves_from_one_to_the_other(self, pictures, tmp_path):
        asked = iter([False] * 4 + [True])
        options = RunOptions(device="cuda")
        self.run(pictures, tmp_path, options=options, stop=lambda: next(asked))
        content = Checkpoints(tmp_path / "checkpoints").newest()
        assert {tensor.device.type for tensor in content["model"].values()} == {"cpu"}
        ended = self.run(pictures, tmp_path, options=RunOptions(device="cpu"), resume=True)
        assert ended.state == "finished"
