"""The engine of Winograd's convolutions: which layers it takes, and what happens without it."""

import stat
from collections.abc import Callable

import pytest
import torch
from installed import need
from torch import Tensor, nn

import convatlas as ca
from convatlas.catalog import build
from convatlas.engines import optimize, roster, winograd_choice
from convatlas.engines.engine import EngineError, EngineWarning, Order
from convatlas.engines.graph_layers import PackedConv
from convatlas.engines.wanted import Before, Wanted
from convatlas.engines.winograd import Winograd
from convatlas.engines.winograd_choice import DIRECT, WinogradLayers
from convatlas.engines.winograd_conv import WinogradConv


@pytest.mark.parametrize(
    ("word", "layers"),  # the stem goes line by line; 2x2 is for small maps
    [("a thread", 7), ("by all", 7), ("F(2x2", 2), ("product", 3)],
)
def test_each_way_gives_the_answers_of_the_network(word, layers, quickest, network, images):
    quickest(word)
    found = ca.optimize(network, images, engine="winograd")
    with torch.no_grad():
        expected = network(images)
    assert (found(images) - expected).abs().max() < 1e-4 * expected.abs().max()
    assert (found.report["by_factory"], found.report["additions_fused"]) == (layers, 3)
    chosen = [one["by"] for one in found.report["convolutions"].values()]
    assert any(word in by for by in chosen)
    assert all(word in by or by == DIRECT for by in chosen)


def test_bfloat16(quickest, network, images):
    quickest("a thread")
    found = ca.optimize(network, images, engine="winograd", precision="bfloat16")
    with torch.no_grad():
        expected = network(images)
    assert 1e-6 < (found(images) - expected).abs().max() / expected.abs().max() < 0.05
    assert found.report["by_factory"] >= 4
    assert found.report["dtype"] == "bfloat16"


def test_dense_blocks_are_written_where_they_lie(quickest):
    quickest("a thread")
    torch.manual_seed(0)
    model = build("densenet22_k12_cifar").eval()
    images = torch.randn(2, 3, 32, 32)
    found = ca.optimize(model, images, engine="winograd")
    with torch.no_grad():
        expected = model(images)
    assert (found(images) - expected).abs().max() < 1e-4 * expected.abs().max()
    assert found.report["written_in_place"] == 15  # of 18 layers the first of each block begins


def test_branches_are_written_side_by_side(quickest):
    quickest("a thread")
    torch.manual_seed(0)
    model = nn.Sequential(Branches(), Branches()).eval()
    images = torch.randn(2, 8, 9, 9)
    found = ca.optimize(model, images, engine="winograd")
    with torch.no_grad():
        expected = model(images)
    assert (found(images) - expected).abs().max() < 1e-5 * expected.abs().max()
    assert torch.equal(found(images), found(images))
    assert found.report["written_in_place"] == 6  # of eight parts; one a unit has another reader


class Branches(nn.Module):
    """Two convolutions and a pooling side by side, the first of which is read once more."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.three = nn.Conv2d(8, 12, 1), nn.Conv2d(8, 12, 3, padding=1)
        self.five, self.last = nn.Conv2d(12, 4, 5, padding=2), nn.Conv2d(36, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 8, H, W) -> the same shape."""
        one = self.one(x).relu()
        pooled = nn.functional.max_pool2d(x, 3, 1, 1)
        joined = torch.cat([one, pooled, self.three(x), self.five(one)], 1)
        return x + self.last(joined).relu()


def test_sums_are_written_over_what_nobody_reads_any_more(quickest, network, images):
    quickest("a thread")
    found = ca.optimize(network, images, engine="winograd")
    assert found.report["written_in_place"] == 1  # the shortcuts of two units are not layers
    first = found(images)
    assert torch.equal(found(images), first)


class Made(nn.Module):
    """Four convolutions and a function of them and of maps."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(4))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """(N, 8, H, W) -> (N, channels, H, W)."""
        return self.function(x, *self.layers)


def a_view(x, first, second, *_):
    y = first(x)
    part = y[:, 2:6]
    return (second(x) + y)[:, :4] * part


def its_own_input(x, first, second, *_):
    y = first(x)
    return (second(y) + y).relu()


def a_later_read(x, first, second, third, fourth):
    y, other = first(x), fourth(x)
    part = second(y)
    total = (third(other) + y).relu()
    return torch.cat([torch.cat([total, other], 1), part], 1)


@pytest.mark.parametrize(
    ("function", "written"), [(a_view, 0), (its_own_input, 0), (a_later_read, 1)]
)
def test_what_is_read_later_is_not_written_over(function, written, quickest):
    quickest("a thread")
    torch.manual_seed(0)
    model, images = Made(function).eval(), torch.randn(2, 8, 9, 9)
    found = ca.optimize(model, images, engine="winograd")
    with torch.no_grad():
        torch.testing.assert_close(found(images), model(images), rtol=1e-4, atol=1e-5)
    assert found.report["written_in_place"] == written


def test_very_wide_maps_are_measured_by_as_many_rows_as_a_filter_has(quickest):
    quickest("a thread")
    conv = nn.Conv2d(1, 1, (11, 1))
    assert WinogradLayers()(Wanted(conv, torch.Size((1, 1, 12, 5000)), None)) is not None


def test_a_convolution_that_is_quicker_directly_stays_so(quickest, network, images):
    quickest(DIRECT)
    found = ca.optimize(network, images, engine="winograd")
    assert found.report["by_factory"] == 0
    assert {one["by"] for one in found.report["convolutions"].values()} == {DIRECT}


def test_a_shape_is_measured_once(quickest, monkeypatch):
    quickest("F(4x4")
    layers, conv = WinogradLayers(), nn.Conv2d(16, 16, 3, padding=1)
    size = torch.Size((1, 16, 8, 8))
    assert isinstance(layers(Wanted(conv, size, nn.ReLU())), WinogradConv)
    monkeypatch.setattr(winograd_choice, "_measure", None)
    assert isinstance(layers(Wanted(nn.Conv2d(16, 16, 3, padding=1), size, None)), WinogradConv)
    assert layers(Wanted(nn.Conv2d(16, 16, 5, groups=2), size, None)) is None
    assert layers(Wanted(nn.Conv2d(16, 16, 1).bfloat16(), size, None)) is None


PLAIN = nn.Conv2d(32, 32, 3, padding=1)


@pytest.mark.parametrize(
    ("other", "before"),
    [
        (nn.Conv2d(32, 32, 3, padding=1, groups=2), None),  # groups of 16, and of one
        (nn.Conv2d(32, 32, 3, padding=1, groups=32), None),
        (nn.Conv2d(32, 32, 3, padding=1, dilation=2), None),
        (nn.Conv2d(32, 32, 1, groups=4), None),
        (nn.Conv2d(32, 32, 1), Before(nn.Conv2d(32, 32, 3, groups=32), nn.Hardswish())),
        (nn.Conv2d(32, 32, 1), Before(nn.Conv2d(32, 32, 3, groups=32), nn.SiLU())),
        (nn.Conv2d(32, 32, 1), Before(nn.Conv2d(32, 32, 3, groups=32), None)),
        (nn.Conv2d(32, 32, 1, groups=32), Before(nn.Conv2d(32, 32, 3, groups=32), None)),
    ],
)
def test_layers_of_one_shape_that_are_not_the_same(other, before, quickest):
    quickest("a thread")
    relu = Before(nn.Conv2d(32, 32, 3, groups=32), nn.ReLU())
    size, x = torch.Size((1, 32, 9, 9)), torch.randn(1, 32, 9, 9)
    plain = [Wanted(PLAIN, size, None), Wanted(nn.Conv2d(32, 32, 1), size, None)]
    known = [*plain, Wanted(nn.Conv2d(32, 32, 1), size, None, before=relu)]
    for order in ([*known, Wanted(other, size, None, before=before)], [*known[::-1]]):
        layers = WinogradLayers()
        for wanted in [order[-1], *order]:
            layer = layers(wanted)
            if layer is None:
                continue
            with torch.inference_mode():
                first, expected = wanted.before, x
                if first is not None:
                    expected = first.conv(expected)
                    expected = expected if first.act is None else first.act(expected)
                torch.testing.assert_close(layer(x), wanted.layer(expected), rtol=1e-4, atol=1e-5)


def test_the_ways_are_measured_in_turn():
    need("winograd")
    conv, x = nn.Conv2d(8, 8, 3), torch.randn(1, 8, 6, 6)
    asked: list[str] = []

    def run(name: str):
        layer = PackedConv(conv, x.shape, None)
        return lambda given: (asked.append(name), layer(given))[1]

    found = winograd_choice._measure({"one": run("one"), "other": run("other")}, x, x.clone())
    assert set(found) == {"one", "other"}
    assert min(found.values()) > 0
    assert asked[:4] == ["one", "other", "one", "other"]


@pytest.fixture
def two_engines(monkeypatch):
    need("winograd")
    pair = {name: roster.ENGINES[name] for name in ("eager", "winograd")}
    monkeypatch.setattr(roster, "ENGINES", pair)
    monkeypatch.setattr(optimize, "ENGINES", pair)


def test_without_a_compiler_it_is_left_out(two_engines, network, images, monkeypatch):
    monkeypatch.setenv("CXX", "/nowhere/g++")
    found = ca.optimize(network, images)
    assert found.engine == "eager"
    line = "the engine winograd is built at its first use, and CXX names the C++ compiler"
    assert found.left_out["winograd"].startswith(line)
    with pytest.raises(ValueError, match="which is not there"):
        ca.optimize(network, images, engine="winograd")


def test_a_compiler_that_fails_leaves_it_out(two_engines, network, images, tmp_path, monkeypatch):
    compiler = tmp_path / "compiler"
    compiler.write_text("#!/bin/sh\necho 'winograd.cpp:1: error: too new for me' >&2\nexit 1\n")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.warns(EngineWarning, match="winograd float32 is left out: .* too new for me"):
        found = ca.optimize(network, images)
    assert (found.engine, list(found.left_out)) == ("eager", ["winograd float32"])
    with pytest.raises(EngineError, match="too new for me"):
        ca.optimize(network, images, engine="winograd")


def test_what_has_no_graph_is_refused():
    need("winograd")
    model = nn.Sequential(nn.Conv2d(8, 8, 3)).eval()
    model[0].register_forward_hook(lambda *given: given[2] + 1)
    with pytest.raises(EngineError, match="hooks"):
        Winograd().prepare(Order(model, torch.randn(1, 8, 8, 8)))
