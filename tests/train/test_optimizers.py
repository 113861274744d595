"""Each optimizer against steps worked out from the formulas of its paper."""

import math

import pytest
import torch
from torch.nn import Parameter

from convatlas.errors import InputError
from convatlas.recipe import SGD, Adam, DiagonalLM, RMSProp
from convatlas.train.optimizers import make_optimizer, set_rate

START = [1.0, -2.0, 0.5]


def descend(noun, rates, fused=False):
    """Minimise sum(w^4) / 4, whose gradient is w^3, and give the weights after each step."""
    weights = Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = make_optimizer(noun, [weights], fused=fused)
    path = []
    for rate in rates:
        set_rate(optimizer, rate)
        optimizer.zero_grad()
        weights.pow(4).sum().div(4).backward()
        optimizer.step()
        path.append(weights.tolist())
    return path


def by_hand(step, rates):
    """Do the same with `step(w, gradient, rate, number, memory) -> w`, one weight at a time."""
    path = []
    weights, memories = list(START), [{} for _ in START]
    for number, rate in enumerate(rates, start=1):
        weights = [
            step(w, w**3, rate, number, memory) for w, memory in zip(weights, memories, strict=True)
        ]
        path.append(weights)
    return path


RATES = [0.1, 0.1, 0.05, 0.01]


def check(noun, step):
    for fused in (False, True):
        for ours, paper in zip(descend(noun, RATES, fused), by_hand(step, RATES), strict=True):
            assert ours == pytest.approx(paper, rel=1e-12)


def test_sgd_with_momentum_and_decay():
    def step(w, g, rate, number, memory):
        memory["v"] = 0.9 * memory.get("v", 0.0) + g + 0.01 * w
        return w - rate * memory["v"]

    check(SGD(0.1, momentum=0.9, weight_decay=0.01), step)


def test_sgd_with_nesterovs_momentum():
    def step(w, g, rate, number, memory):
        memory["v"] = 0.9 * memory.get("v", 0.0) + g
        return w - rate * (g + 0.9 * memory["v"])

    check(SGD(0.1, momentum=0.9, nesterov=True), step)


def step_of_krizhevsky(w, g, rate, number, memory):
    """Krizhevsky et al. 2012, section 5."""
    memory["v"] = 0.9 * memory.get("v", 0.0) - 0.0005 * rate * w - rate * g
    return w + memory["v"]


def test_sgd_in_caffes_form_is_that_of_krizhevsky():
    check(SGD(0.1, momentum=0.9, weight_decay=0.0005, form="caffe"), step_of_krizhevsky)
    check(SGD(0.1, form="caffe"), lambda w, g, rate, *_: w - rate * g)


def test_torchs_form_differs_from_it_where_the_rate_changes():
    noun = SGD(0.1, momentum=0.9, weight_decay=0.0005)
    constant, changing = descend(noun, [0.1] * 4), descend(noun, RATES)
    for ours, paper in zip(constant, by_hand(step_of_krizhevsky, [0.1] * 4), strict=True):
        assert ours == pytest.approx(paper, rel=1e-12)
    assert changing[-1] != pytest.approx(by_hand(step_of_krizhevsky, RATES)[-1], rel=1e-3)


def test_diagonal_levenberg_marquardt_has_a_rate_for_each_weight():
    curvatures = torch.tensor([0.0, 0.5, 10.0], dtype=torch.float64)
    weights = Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = make_optimizer(DiagonalLM(0.1, mu=0.5, weight_decay=0.01), [weights])
    weights.grad = torch.ones_like(weights)
    with pytest.raises(RuntimeError, match="curvature must be measured before the first step"):
        optimizer.step()
    optimizer.follow({weights: curvatures})
    optimizer.step()
    expected = [
        w - 0.1 / (0.5 + h) * (1 + 0.01 * w)
        for w, h in zip(START, curvatures.tolist(), strict=True)
    ]
    assert weights.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_rmsprop_in_tensorflows_form(momentum):
    def step(w, g, rate, number, memory):
        g += 0.01 * w
        memory["s"] = 0.9 * memory.get("s", 1.0) + 0.1 * g * g
        memory["v"] = momentum * memory.get("v", 0.0) + rate * g / math.sqrt(memory["s"] + 0.1)
        return w - memory["v"]

    noun = RMSProp(0.1, 0.9, momentum, eps=0.1, weight_decay=0.01, form="tensorflow")
    check(noun, step)


def test_rmsprop_in_tensorflows_form_goes_on_from_its_state():
    whole = make_optimizer(RMSProp(0.1, 0.9, 0.9, form="tensorflow"), [Parameter(torch.ones(3))])
    half = make_optimizer(RMSProp(0.1, 0.9, 0.9, form="tensorflow"), [Parameter(torch.ones(3))])

    def go(optimizer, steps):
        (weights,) = optimizer.param_groups[0]["params"]
        for _ in range(steps):
            optimizer.step(lambda: _backward(optimizer, weights))
        return weights

    expected, kept = go(whole, 4).tolist(), go(half, 2).detach().clone()
    after = make_optimizer(RMSProp(0.1, 0.9, 0.9, form="tensorflow"), [Parameter(kept)])
    after.load_state_dict(half.state_dict())
    assert go(after, 2).tolist() == expected


def _backward(optimizer, weights):
    optimizer.zero_grad()
    loss = weights.pow(2).sum()
    loss.backward()
    return loss.item()


def test_rmsprop_has_eps_outside_the_root():
    def step(w, g, rate, number, memory):
        g += 0.01 * w
        memory["s"] = 0.9 * memory.get("s", 0.0) + 0.1 * g * g
        memory["v"] = 0.8 * memory.get("v", 0.0) + g / (math.sqrt(memory["s"]) + 1e-3)
        return w - rate * memory["v"]

    check(RMSProp(0.1, decay=0.9, momentum=0.8, eps=1e-3, weight_decay=0.01), step)


def test_adam_with_decoupled_decay():
    def step(w, g, rate, number, memory):
        memory["m"] = 0.9 * memory.get("m", 0.0) + 0.1 * g
        memory["v"] = 0.999 * memory.get("v", 0.0) + 0.001 * g * g
        mean, square = memory["m"] / (1 - 0.9**number), memory["v"] / (1 - 0.999**number)
        return w - rate * 0.05 * w - rate * mean / (math.sqrt(square) + 1e-8)

    check(Adam(0.1, weight_decay=0.05), step)


@pytest.mark.parametrize(
    "noun",
    [
        SGD(0.1, momentum=-1.0),
        SGD(0.1, momentum=1.0, form="caffe"),
        SGD(0.1, weight_decay=-1.0, form="caffe"),
        SGD(0.1, momentum=0.9, nesterov=True, form="caffe"),
        DiagonalLM(0.1, mu=0.0),
        DiagonalLM(0.1, weight_decay=-1.0),
        SGD(0.1, nesterov=True),
        RMSProp(0.1, eps=-1.0),
        RMSProp(0.1, eps=-1.0, form="tensorflow"),
        RMSProp(0.1, momentum=1.0, form="tensorflow"),
        Adam(0.1, betas=(1.0, 0.9)),
    ],
)
def test_impossible_values_are_named(noun):
    with pytest.raises(InputError, match=r"^optimizer: "):
        make_optimizer(noun, [Parameter(torch.zeros(1))])
