"""One step: in as many passes as memory needs, and nothing at all when it goes wrong."""

import math

import pytest
import torch
from torch import nn

from convatlas.data.loader import Batch
from convatlas.recipe import SGD, Adam, Recipe
from convatlas.train.learner import Learner
from convatlas.train.losses import balancing_weights, make_loss
from convatlas.train.memory import MemoryShortError
from convatlas.train.state import State
from convatlas.train.step import DivergedError, Lesson, gradient_norm, limit_filters, take_step

RECIPE = Recipe("test", 7, 1, SGD(lr=0.1, momentum=0.9, weight_decay=1e-3))


def make_batch(weights=None):
    torch.manual_seed(5)
    labels = torch.tensor([0, 1, 2, 0, 1, 0, 0])
    return Batch(torch.randn(7, 1, 6, 6), labels, torch.arange(10, 17), weights)


def make_model(*more):
    torch.manual_seed(6)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.ReLU(), *more, nn.Flatten(), nn.Linear(48, 3)
    )


def correct(logits, targets):
    return int((logits.argmax(1) == targets).sum()), len(targets)


def stepped(model=None, micro_batch=None, batch=None, recipe=RECIPE, loss=None, **named):
    state = State.fresh(model or make_model(), recipe)
    state.micro_batch = micro_batch
    batch = batch or make_batch()
    lesson = Lesson(
        batch,
        batch.labels,
        0,
        0.1,
        recipe.clip_norm,
        name=lambda i: f"{i}.png",
        filter_limit=recipe.filter_limit,
    )
    take_step(state, Learner(state.model, loss or make_loss("cross_entropy")), lesson, correct)
    return state


def weights_of(state):
    return torch.cat([parameter.flatten() for parameter in state.model.parameters()])


class FailsAbove(nn.Module):
    """Runs out of memory for more than `most` images, after the layers before it."""

    def __init__(self, most, error=torch.OutOfMemoryError):
        super().__init__()
        self.most, self.error, self.sizes = most, error, []

    def forward(self, x):
        self.sizes.append(len(x))
        if len(x) > self.most:
            raise self.error("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return x


class TestPasses:
    @pytest.mark.parametrize("size", [1, 2, 3, 6, 100])
    def test_small_ones_learn_what_the_whole_batch_does(self, size):
        whole, parts = stepped(), stepped(micro_batch=size)
        torch.testing.assert_close(weights_of(parts), weights_of(whole), rtol=0, atol=1e-6)
        assert parts.running.loss == pytest.approx(whole.running.loss, rel=1e-6)
        assert parts.running.right == whole.running.right
        assert (parts.running.images, parts.running.counted) == (7, 7)

    def test_weighted_classes_too(self):
        labels = make_batch().labels
        loss = make_loss("cross_entropy", 0.1, balancing_weights(labels, 3))
        whole, parts = stepped(loss=loss), stepped(micro_batch=2, loss=loss)
        torch.testing.assert_close(weights_of(parts), weights_of(whole), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
    def test_memory_that_runs_out_halves_them(self, error):
        wall = FailsAbove(2, error)
        model = make_model(nn.BatchNorm2d(3), nn.Dropout(0.5), wall)
        state, told = State.fresh(model, RECIPE), []
        batch = make_batch()
        lesson = Lesson(batch, batch.labels, 9, 0.1)
        learner = Learner(model, make_loss("cross_entropy"))
        take_step(state, learner, lesson, correct, told.append)
        assert wall.sizes == [7, 4, 2, 2, 2, 1]
        assert state.micro_batch == 2
        assert [event.text for event in told] == [
            f"memory ran out in step 1: batches of 7 images are now gathered from passes of {size}"
            for size in (4, 2)
        ]
        # the same as if it had been two from the start: batch norm, dropout and all
        other = State.fresh(make_model(nn.BatchNorm2d(3), nn.Dropout(0.5)), RECIPE)
        other.micro_batch = 2
        learner = Learner(other.model, make_loss("cross_entropy"))
        take_step(other, learner, lesson, correct)
        for ours, theirs in zip(
            state.model.state_dict().values(), other.model.state_dict().values(), strict=True
        ):
            assert torch.equal(ours, theirs)

    def test_one_image_too_many_is_one_line(self):
        with pytest.raises(MemoryShortError, match="step 1 although one image at a time"):
            stepped(make_model(FailsAbove(0)))

    def test_where_batch_norm_learns_two_are_the_least(self):
        with pytest.raises(MemoryShortError, match=r"step 1 although two images .* batch norm can"):
            stepped(make_model(nn.BatchNorm2d(3), FailsAbove(1)))
        frozen = make_model(nn.BatchNorm2d(3).eval(), wall := FailsAbove(1))
        stepped(frozen)
        assert wall.sizes[-1] == 1

    def test_one_at_a_time_is_done_where_it_is_asked_for(self):
        stepped(make_model(nn.BatchNorm2d(3), wall := FailsAbove(1)), micro_batch=1)
        assert wall.sizes == [1] * 7

    def test_other_errors_are_not_about_memory(self):
        with pytest.raises(RuntimeError, match="boom"):
            stepped(make_model(Raises("boom")))


class Raises(nn.Module):
    def __init__(self, text):
        super().__init__()
        self.text = text

    def forward(self, *_):
        raise RuntimeError(self.text)


class Poison(nn.Module):
    """Lets the values through, and the gradient not."""

    def forward(self, x):
        return x + (x - x.detach()).abs().sqrt()  # 0, with a slope of 0 / 0


class TestDivergence:
    @pytest.mark.parametrize("micro_batch", [None, 2])
    def test_an_input_that_is_not_finite(self, micro_batch):
        batch = make_batch()
        batch.images[3] = torch.nan
        model = make_model(nn.BatchNorm2d(3))
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with pytest.raises(DivergedError, match=r"the loss became nan in step 1 \(epoch 1\)") as e:
            stepped(model, micro_batch, batch)
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, before[name])
        assert "images 10.png, 11.png, 12.png, 13.png, 14.png and 2 more;" in str(e.value)
        assert e.value.images == tuple(f"{i}.png" for i in range(10, 17))

    def test_a_gradient_that_is_not_finite(self):
        model = make_model(Poison())
        before = weights_of(State.fresh(model, RECIPE)).clone()
        with pytest.raises(DivergedError, match="the norm of the gradient became nan in step 1"):
            stepped(model)
        assert torch.equal(weights_of(State.fresh(model, RECIPE)), before)


class TestClipping:
    def test_the_norm_is_that_of_one_vector(self):
        state = stepped()
        gradient = torch.cat([parameter.grad.flatten() for parameter in state.model.parameters()])
        assert gradient_norm(state.optimizer) == pytest.approx(gradient.norm().item(), rel=1e-5)

    def test_a_long_gradient_is_shortened_and_keeps_its_direction(self):
        def gradient(clip_norm):
            recipe = Recipe("test", 7, 1, SGD(lr=0.1), clip_norm=clip_norm)
            model = stepped(recipe=recipe).model
            return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

        free, long, short = gradient(None), gradient(1e3), gradient(1e-2)
        assert torch.equal(free, long)
        assert short.norm().item() == pytest.approx(1e-2, rel=1e-4)
        torch.testing.assert_close(short / short.norm(), free / free.norm())


class TestFilters:
    def test_only_those_beyond_the_limit_are_shrunk_to_it(self):
        model = make_model()
        weight = model[0].weight
        with torch.no_grad():
            weight[1] *= 100
        before = weight.detach().clone()
        limit_filters(model, 0.5)
        assert torch.equal(weight[[0, 2]], before[[0, 2]])
        assert weight[1].square().mean().sqrt().item() == pytest.approx(0.5)
        torch.testing.assert_close(weight[1] / weight[1].norm(), before[1] / before[1].norm())

    def test_they_are_held_after_each_step_of_a_recipe_that_says_so(self):
        def largest(filter_limit):
            recipe = Recipe("test", 7, 1, SGD(lr=0.1), filter_limit=filter_limit)
            return stepped(recipe=recipe).model[0].weight.square().mean((1, 2, 3)).max().sqrt()

        assert largest(None).item() > 0.1
        assert largest(0.1).item() == pytest.approx(0.1)


def test_an_optimizer_without_room_is_one_line(monkeypatch):
    def full(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch.optim.AdamW, "step", full)
    with pytest.raises(MemoryShortError, match="while the optimizer changed the weights in step 1"):
        stepped(recipe=Recipe("test", 7, 1, Adam(lr=0.1)))


def test_weights_of_the_parts_count(monkeypatch):
    maps = nn.Conv2d(1, 3, 1)
    labels = torch.randint(0, 3, (4, 5, 5), generator=torch.Generator().manual_seed(0))
    weights = torch.rand(4, 5, 5, generator=torch.Generator().manual_seed(1))
    images = torch.randn(4, 1, 5, 5, generator=torch.Generator().manual_seed(2))
    learner = Learner(maps, make_loss("cross_entropy"))
    loss, logits = learner(images, labels, weights)
    each = nn.functional.cross_entropy(logits, labels, reduction="none")
    assert loss.item() == pytest.approx((each * weights).mean().item())
    assert math.isfinite(loss.item())
