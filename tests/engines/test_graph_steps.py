"""Layers that follow each other in one call: the same answers, and memory that is nobody else's."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

import convatlas as ca
from convatlas.catalog import build
from convatlas.engines import native_steps
from convatlas.engines.engine import Order
from convatlas.engines.native_steps import Steps
from convatlas.engines.winograd import Winograd
from convatlas.errors import InputError

NETWORKS = [
    ("resnet8_cifar", (2, 3, 32, 32)),
    ("densenet22_k12_cifar", (2, 3, 32, 32)),
    ("mobilenet_v1_025", (1, 3, 64, 64)),
    ("squeezenet1_1", (1, 3, 65, 65)),
    ("googlenet", (1, 3, 64, 64)),
]


def prepared(model: nn.Module, images: Tensor) -> tuple[nn.Module, dict]:
    found = Winograd().prepare(Order(model.eval(), images))
    return found.module, found.report()


def agree(module: nn.Module, model: nn.Module, images: Tensor) -> None:
    given = images.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        found, expected = module(given), model(images)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize(("name", "shape"), NETWORKS)
def test_networks(name, shape, quickest):
    quickest("a thread")
    torch.manual_seed(0)
    model, images = build(name).eval(), torch.randn(shape)
    module, report = prepared(model, images)
    assert report["in_steps"] >= 4
    agree(module, model, images)
    agree(module, model, torch.randn(shape))


class Made(nn.Module):
    """Six convolutions and a function of them."""

    def __init__(self, function) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(6))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """(N, 8, H, W) -> (N, channels, H, W)."""
        return self.function(x, *self.layers)


def chain(x, a, b, c, *_):
    return c(b(a(x).relu()).relu())


def two_results(x, a, b, c, d, *_):
    first, second = b(a(x)), d(c(x))
    return first.softmax(1) * second.softmax(1)


def a_sum_over_maps_from_before(x, a, b, c, *_):
    other = a(x).sigmoid().tanh()
    kept = b(other)
    return (c(kept) + kept).relu() + kept.mean()


def parts_read_outside(x, a, b, c, d, e, f):
    one = a(x)
    two = torch.cat([one, b(one)], 1)
    three = torch.cat([two, c(b(one))], 1)
    return two.softmax(1).sum() + three.softmax(1) + d(x).mean()


def joined(x, a, b, c, d, *_):
    pooled = nn.functional.max_pool2d(x, 3, 1, 1)
    return torch.cat([b(a(x).relu()), c(pooled), d(x)], 1)


@pytest.mark.parametrize(
    "function", [chain, two_results, a_sum_over_maps_from_before, parts_read_outside, joined]
)
@pytest.mark.parametrize("size", [(1, 8, 9, 7), (2, 8, 40, 33)])
def test_what_is_read_where(function, size, quickest):
    quickest("a thread")
    torch.manual_seed(0)
    model, images = Made(function).eval(), torch.randn(size)
    module, report = prepared(model, images)
    assert report["in_steps"] >= 2
    agree(module, model, images)


def test_one_layer_stays_alone(quickest):
    quickest("a thread")
    model, images = Made(lambda x, a, b, *_: b(a(x).softmax(1))), torch.randn(1, 8, 9, 9)
    module, report = prepared(model, images)
    assert report["in_steps"] == 0
    agree(module, model, images)


def test_answers_stay_when_the_next_are_computed(quickest):
    quickest("a thread")
    torch.manual_seed(0)
    model, many = Made(chain).eval(), torch.randn(8, 2, 8, 40, 40)
    fast = ca.optimize(model, many[0], engine="winograd")
    with torch.no_grad():
        expected = [model(one) for one in many]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(fast, many))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_has_its_own_tensors(again, quickest):
    quickest("a thread")
    torch.manual_seed(0)
    model, images = Made(chain).eval(), torch.randn(1, 8, 12, 12)
    module, _ = prepared(model, images)
    agree(module, model, images)
    steps = next(one for one in module.modules() if isinstance(one, Steps))
    other = again(steps)
    given = images.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = steps(given)
        for weight in steps.parameters():
            weight.zero_()
        assert torch.equal(other(given), expected)
        assert not steps(given).any()
        assert torch.equal(other(images), expected)  # of any layout


def test_a_call_that_finds_no_memory_says_so(quickest, monkeypatch):
    quickest("a thread")
    model, images = Made(chain), torch.randn(1, 8, 12, 12)
    module, _ = prepared(model, images)

    def full(*_):
        raise MemoryError("a layer found no memory for its pixels")

    monkeypatch.setattr(native_steps, "run_steps", full)
    with pytest.raises(MemoryError, match="no memory"):
        module(images)


def test_other_images_than_those_it_is_for_are_refused(quickest):
    quickest("a thread")
    model, images = Made(chain), torch.randn(2, 8, 12, 12)
    module, _ = prepared(model, images)
    for other in (images[:1], torch.randn(3, 8, 12, 12), images.double()):
        with pytest.raises(InputError, match="prepared for"):
            module(other)


def test_threads_and_tensors_may_change(quickest):
    quickest("a thread")
    torch.manual_seed(0)
    model, images = Made(chain).eval(), torch.randn(1, 8, 12, 12)
    module, _ = prepared(model, images)
    agree(module, model, images)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads % 2 + 1)
        agree(module, model, images)
    finally:
        torch.set_num_threads(threads)
    for weight in module.parameters():
        weight.data = weight.data.clone()
    agree(module, model, images)
    agree(module.share_memory(), model, images)


def test_a_copy_that_two_threads_begin_to_use(quickest):
    quickest("a thread")
    torch.manual_seed(0)
    model, images = Made(chain).eval(), torch.randn(1, 8, 40, 40)
    module, _ = prepared(model, images)
    with torch.no_grad():
        expected = model(images)
    for _ in range(5):
        other = copy.deepcopy(module)
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(other, [images] * 8):
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, a, *_: a(x) * (x.mean((2, 3), keepdim=True) > 0),
        lambda x, a, *_: (a(x) > 0) * x.mean((2, 3), keepdim=True),
        lambda x, a, *_: a(x) * x.mean((1, 2, 3), keepdim=True).expand(-1, 8, -1, -1),
        lambda x, a, *_: a(x) * torch.cat([x, x], 1).mean((2, 3), keepdim=True)[:, ::2],
        lambda x, a, *_: a(x) * x.mean((2, 3), keepdim=True),
        lambda x, a, b, *_: b(a(x) * x.mean((0, 2, 3), keepdim=True)),
        lambda x, a, b, *_: b(a(x)) + a(x).mean(dtype=torch.float64).float(),
        lambda x, a, b, *_: b(a(x)) + a(x).mean(None, True),
        lambda x, a, *_: a(nn.functional.avg_pool2d(x.double(), 2).float()),
        lambda x, a, *_: a(nn.functional.max_pool2d(x.double(), 2).float()),
        lambda x, a, *_: a(x).double().mean((2, 3), keepdim=True).float() * x,
        lambda x, a, *_: a(nn.functional.avg_pool2d(x, 3, 2, 1, ceil_mode=True)),
        lambda x, a, *_: a(nn.functional.avg_pool2d(x, 3, divisor_override=5)),
        lambda x, a, *_: a(nn.functional.max_pool2d(x, 2, dilation=2)),
    ],
)
def test_gates_means_and_poolings_of_any_form(function, quickest):
    quickest("a thread")
    torch.manual_seed(0)
    model, images = Made(function).eval(), torch.randn(2, 8, 10, 10)
    module, _ = prepared(model, images)
    agree(module, model, images)
