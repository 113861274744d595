"""How a run computes: what that changes in the result, and what is refused."""

import json

import pytest
import torch
from torch import nn

import convatlas as ca
from convatlas.architectures.googlenet import Side
from convatlas.errors import InputError, UnknownNameError
from convatlas.train.determinism import deterministic_algorithms
from convatlas.train.learner import Learner
from convatlas.train.losses import make_loss
from convatlas.train.options import RunOptions
from convatlas.train.plan import make_plan
from convatlas.train.run import start_run
from convatlas.train.threads import SMALL_STEP_MACS

SETTINGS = {"recipe_name": "digits", "epochs": 2, "changes": {"batch_size": 16}}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"workers": -1}, InputError, "workers must be at least 0"),
        ({"checkpoint_every": -1.0}, InputError, "checkpoint_every"),
        ({"precision": "bf61"}, UnknownNameError, "did you mean: bf16"),
        ({"micro_batch": 0}, InputError, "micro_batch must be at least 1"),
    ],
)
def test_impossible_options_are_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        RunOptions(**wrong)


class TestPrecision:
    def test_bf16_computes_coarsely_and_keeps_float32(self):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
        images, labels = torch.randn(5, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1])
        loss = make_loss("cross_entropy")
        fine, _ = Learner(model, loss)(images, labels)
        coarse, logits = Learner(model, loss, precision="bf16")(images, labels)
        assert fine.item() != coarse.item()
        assert fine.item() == pytest.approx(coarse.item(), rel=0.02)
        coarse.backward()
        assert {logits.dtype, coarse.dtype} == {torch.float32}
        assert {parameter.grad.dtype for parameter in model.parameters()} == {torch.float32}

    def test_a_run_in_bf16(self, pictures, tmp_path):
        options = RunOptions(precision="bf16")
        start_run("lenet5_modern", pictures, out=tmp_path, options=options, **SETTINGS)
        model, _ = ca.load(tmp_path)
        assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
        with pytest.raises(InputError, match=r"options\.precision was 'bf16', is 'float32'"):
            start_run("lenet5_modern", pictures, out=tmp_path, resume=True, **SETTINGS)


class TestDeterminism:
    def test_inside_the_block_only(self):
        assert not torch.are_deterministic_algorithms_enabled()
        with deterministic_algorithms(wanted=True):
            assert torch.are_deterministic_algorithms_enabled()
        with deterministic_algorithms(wanted=False):
            assert not torch.are_deterministic_algorithms_enabled()
        assert not torch.are_deterministic_algorithms_enabled()

    def test_a_layer_that_can_not_is_one_line(self):
        told = "max_unpooling2d does not have a deterministic implementation, but you set '...'. X"
        with (
            pytest.raises(InputError, match=r"can't train deterministically: max_unpool.* set"),
            deterministic_algorithms(wanted=True),
        ):
            raise RuntimeError(told)
        with pytest.raises(RuntimeError, match="boom"), deterministic_algorithms(wanted=True):
            raise RuntimeError("boom")

    def test_a_run_is_held_to_its_threads(self, pictures, tmp_path):
        options = RunOptions(deterministic=True)
        start_run("lenet5_modern", pictures, out=tmp_path, options=options, **SETTINGS)
        config = json.loads((tmp_path / "config.json").read_text())["options"]
        assert (config["deterministic"], config["threads"]) == (True, 1)

    def test_threads_count_only_there(self):
        assert RunOptions().to_config(2) == RunOptions().to_config(1)
        assert RunOptions(deterministic=True).to_config(2)["threads"] == 2
        assert SMALL_STEP_MACS > 0


@pytest.mark.slow
def test_compiled_it_learns_the_same(pictures, tmp_path):
    losses = []
    for compiled in (False, True):
        out = tmp_path / str(compiled)
        options = RunOptions(compile=compiled)
        start_run("lenet5_modern", pictures, out=out, options=options, **SETTINGS)
        lines = (out / "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["train_loss"] for line in lines])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_compiling_without_a_compiler_is_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CXX", "")
    with pytest.raises(InputError, match="--compile needs a C"):
        RunOptions(compile=True)


class Sided(nn.Module):
    """A classifier with two side classifiers, in the form of GoogLeNet's."""

    def __init__(self):
        super().__init__()
        self.fc, self.one, self.two = (nn.Linear(6, 3) for _ in range(3))

    def forward(self, x):
        return self.fc(x)

    def forward_with_sides(self, x):
        return self.fc(x), (Side(self.one(x), 0.3), Side(self.two(x), 0.5))


class TestSides:
    def test_their_losses_are_added_with_their_weights(self):
        torch.manual_seed(0)
        model, loss = Sided(), make_loss("cross_entropy", 0.1)
        x, labels = torch.randn(4, 6), torch.tensor([0, 1, 2, 2])
        total, logits = Learner(model, loss, sides=True)(x, labels)
        parts = [loss(head(x), labels) for head in (model.fc, model.one, model.two)]
        assert total.item() == pytest.approx((parts[0] + 0.3 * parts[1] + 0.5 * parts[2]).item())
        assert torch.equal(logits, model.fc(x))
        plain, _ = Learner(model, loss)(x, labels)
        assert plain.item() == pytest.approx(parts[0].item())

    def test_they_are_built_for_training_and_dropped_from_the_result(self, pictures):
        plan = make_plan("googlenet", pictures, changes={"sides": True})
        model = plan.first_network()
        assert any(key.startswith("sides.") for key in model.state_dict())
        final = plan.final_network(model)
        assert not any(key.startswith("sides.") for key in final.state_dict())
        for key, tensor in final.state_dict().items():
            assert torch.equal(tensor, model.state_dict()[key])
        assert "sides" not in final.created_as["overrides"]

    def test_a_network_without_them_is_refused(self, pictures):
        with pytest.raises(InputError, match="lenet5_modern has no side classifiers"):
            make_plan("lenet5_modern", pictures, changes={"sides": True})


class TestBalance:
    def test_weights_of_the_classes_reach_the_loss(self, pictures):
        plan = make_plan("lenet5_modern", pictures, changes={"balance": "loss"})

        class Unequal:
            labels = (0, 0, 0, 0, 1, 2)

        loss = plan.task.make_loss(plan.recipe, Unequal())
        assert loss.class_weights.tolist() == pytest.approx([0.5, 2.0, 2.0])

    @pytest.mark.parametrize(
        "changes", [{"balance": "loss"}, {"mix": ({"kind": "Mixup"},)}, {"label_smoothing": 0.1}]
    )
    def test_another_loss_than_the_cross_entropy_is_refused(self, changes, pictures):
        with pytest.raises(InputError):
            make_plan("lenet5", pictures, changes={"loss": "lenet5_map", **changes})
