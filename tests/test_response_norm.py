"""Local response normalisation with a backward in closed form: torch's values and gradients."""

import pytest
import torch
from torch import Tensor, nn

from convatlas.layers import LocalResponseNorm
from convatlas.layers.response_norm import _Normalize

SETTINGS = [(5, 1e-4, 0.75, 2.0), (5, 2e-5, 0.75, 1.0), (4, 0.1, 0.5, 1.0), (9, 1e-2, 1.0, 0.5)]
settings = pytest.mark.parametrize(("size", "alpha", "beta", "k"), SETTINGS)


def drawn(*shape: int, dtype: torch.dtype = torch.float32, scale: float = 10) -> Tensor:
    x = scale * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return x.requires_grad_()


@settings
@pytest.mark.parametrize("channels", [1, 2, 5, 11])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_those_of_torch(size, alpha, beta, k, channels, layout):
    ours, theirs = (
        LocalResponseNorm(size, alpha, beta, k),
        nn.LocalResponseNorm(size, alpha * size, beta, k),
    )
    x = drawn(3, channels, 4, 5)
    results = []
    for norm in (ours, theirs):
        y = norm(x.contiguous(memory_format=layout))
        weights = torch.arange(y.numel()).reshape(y.shape).cos()
        results.append((y, *torch.autograd.grad((y * weights).sum(), x)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_a_batch_of_several_blocks_is_each_image_by_itself():
    x = drawn(5, 96, 40, 40)  # one image and a half in a block
    found = LocalResponseNorm()(x)
    torch.testing.assert_close(found, torch.cat([LocalResponseNorm()(one[None]) for one in x]))
    torch.testing.assert_close(found, nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)(x))


@settings
def test_the_gradient_is_that_of_differences(size, alpha, beta, k):
    x = drawn(2, 6, 2, 2, dtype=torch.float64, scale=2)
    norm = LocalResponseNorm(size, alpha, beta, k)
    assert torch.autograd.gradcheck(norm, (x,))
    assert torch.autograd.gradgradcheck(norm, (x,))


def test_the_input_is_left_as_it_was():
    x = drawn(2, 6, 3, 3)
    before = x.detach().clone()
    LocalResponseNorm()(x).sum().backward()
    assert torch.equal(x, before)


def test_an_empty_batch_stays_empty():
    assert LocalResponseNorm()(torch.empty(0, 6, 3, 3)).shape == (0, 6, 3, 3)
    assert LocalResponseNorm()(torch.ones(2, 6, 3)).shape == (2, 6, 3)


def test_a_graph_of_it_holds_operations_that_every_runtime_knows():
    x = drawn(2, 6, 3, 3).detach()
    program = torch.export.export(LocalResponseNorm(), (x,))
    names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert names
    assert all(name.startswith("aten.") for name in names)
    torch.testing.assert_close(program.module()(x), LocalResponseNorm()(x))


def test_without_memory_only_the_shape_is_computed():
    assert LocalResponseNorm()(torch.empty(2, 6, 3, 3, device="meta")).shape == (2, 6, 3, 3)


def test_eager_execution_takes_the_short_way(monkeypatch):
    calls = []
    apply = _Normalize.apply
    monkeypatch.setattr(_Normalize, "apply", lambda *args: calls.append(1) or apply(*args))
    LocalResponseNorm()(drawn(1, 6, 3, 3))
    assert calls == [1]
