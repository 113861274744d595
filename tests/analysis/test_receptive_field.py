"""The receptive field against the gradient, which knows nothing of our rules."""

import math

import pytest
import torch
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import convatlas as ca
from convatlas.analysis.receptive_field import NOTHING
from convatlas.analysis.record import LayerRecord

IMAGE = (1, 128, 113)


class Crop(nn.Module):
    """Every `step`-th position from `start`: a slice."""

    def __init__(self, start: int, step: int) -> None:
        super().__init__()
        self.start, self.step = start, step

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, self.start :: self.step, self.start :]


class Branches(nn.Module):
    """Two paths of one stride, cropped to one size, added or side by side."""

    def __init__(self, left: nn.Module, right: nn.Module, how: str) -> None:
        super().__init__()
        self.left, self.right, self.how = left, right, how

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.left(x), self.right(x)
        height, width = min(a.shape[2], b.shape[2]), min(a.shape[3], b.shape[3])
        a, b = a[:, :, :height, :width], b[:, :, :height, :width]
        if self.how == "add":
            return a + b
        return torch.cat([a, b], 1).sum(1, keepdim=True)


@st.composite
def convolutions(draw: st.DrawFn, stride: tuple[int, int] | None = None) -> nn.Module:
    pairs = [draw(st.tuples(st.integers(1, n), st.integers(1, n))) for n in (4, 3, 2)]
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    return nn.Conv2d(1, 1, pairs[0], stride or pairs[1], padding, pairs[2], bias=False)


@st.composite
def transposed(draw: st.DrawFn) -> nn.Module:
    """Without gaps, where a value depends on nothing."""
    stride, dilation = draw(st.integers(1, 3)), draw(st.sampled_from([1, 5]))
    kernel = draw(st.integers(stride, 4))
    padding = draw(st.integers(0, (kernel - 1) * dilation))
    return nn.ConvTranspose2d(1, 1, kernel, stride, padding, dilation=dilation, bias=False)


@st.composite
def branches(draw: st.DrawFn) -> nn.Module:
    stride = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    paths = [draw(convolutions(stride)) for _ in range(2)]
    if draw(st.booleans()):
        paths[0] = nn.Sequential(paths[0], draw(convolutions((1, 1))), nn.ReLU())
    return Branches(*paths, draw(st.sampled_from(["add", "cat"])))


LAYERS = st.one_of(
    convolutions(),
    transposed(),
    branches(),
    st.builds(nn.AvgPool2d, st.integers(1, 3), st.integers(1, 3)),
    st.builds(Crop, st.integers(0, 3), st.integers(1, 3)),
    st.builds(nn.ZeroPad2d, st.integers(0, 3)),
    st.builds(nn.ReflectionPad2d, st.integers(0, 3)),
    st.sampled_from([nn.Upsample(scale_factor=s, mode="nearest") for s in (2, 3)]),
    st.sampled_from([nn.Upsample(scale_factor=s, mode="bilinear") for s in (1.5, 2, 4)]),
    st.just(nn.Upsample(scale_factor=2, mode="bicubic")),
)


def positive(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(0))
    return model.double()


def support(model: nn.Module, place: tuple[int, int]) -> list[tuple[int, int]]:
    """First and last row, first and last column that one output value depends on."""
    x = torch.ones(1, *IMAGE, dtype=torch.float64, requires_grad=True)
    model(x)[0, 0, place[0], place[1]].backward()
    assert x.grad is not None
    touched = x.grad[0].abs().sum(0) > 0
    found = []
    for axis in (1, 0):
        places = touched.any(axis).nonzero().flatten().tolist()
        found.append((places[0], places[-1]) if places else NOTHING)
    return found


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.lists(LAYERS, min_size=1, max_size=4))
def test_is_the_support_of_the_gradient(layers: list[nn.Module]):
    model = positive(nn.Sequential(*layers))
    try:
        out = model(torch.ones(1, *IMAGE, dtype=torch.float64))
    except RuntimeError:  # nothing is left of the image
        reject()
    assume(out.numel() < 400_000)
    place = (out.shape[2] // 2, out.shape[3] // 2)
    rows = ca.analyze(model, IMAGE).layers
    seen = [f.interval(p) for f, p in zip(rows[-1].fields, place, strict=True)]
    # a stride leaves pixels out at the far edge: there a field ends before the image does
    edge = 2 * max(row.stride_to_input for row in rows)
    ends = zip(seen, IMAGE[1:], strict=True)
    assume(all(low >= edge and high < size - edge for (low, high), size in ends))
    assert support(model, place) == seen


@pytest.mark.parametrize("axis", [0, 1])
def test_is_nothing_in_a_gap(axis: int):
    stride = (3, 1) if axis == 0 else (1, 3)
    model = positive(nn.ConvTranspose2d(1, 1, 1, stride, bias=False))
    field = ca.analyze(model, IMAGE).layers[-1].fields[axis]
    assert [field.interval(p) for p in range(4)] == [(0, 0), NOTHING, NOTHING, (1, 1)]
    place = (4, 7) if axis == 0 else (7, 4)
    assert support(model, place) == [NOTHING, NOTHING]


def last_map(name: str, layer: str | None = None) -> LayerRecord:
    report = ca.analyze(name)
    records = [*report.layers, *report.containers.values()]
    if layer is None:
        return next(row for row in reversed(report.layers) if row.is_map)
    return next(record for record in records if record.name == layer)


@pytest.mark.parametrize(
    ("name", "layer", "pixels", "stride"),
    [
        ("alexnet", "stages.pool5", 195, 32),  # the table of google-research/receptive_field
        ("vgg16", "stages.block5", 212, 32),
        ("resnet50", "stages.conv5_x", 483, 32),
        ("resnet50_v1_5", "stages.conv5_x", 427, 32),
        ("resnet101", "stages.conv5_x", 1027, 32),
    ],
)
def test_has_the_known_value(name: str, layer: str, pixels: int, stride: int):
    record = last_map(name, layer)
    assert (record.receptive_field, record.stride_to_input) == (pixels, stride)
    assert ca.analyze(name).receptive_field == pixels


def test_grows_by_the_kernel_times_the_stride():
    model = nn.Sequential(nn.Conv2d(3, 4, 7, 2, 3), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 4, 3))
    rows = ca.analyze(model, (3, 64, 64)).layers
    assert [row.receptive_field for row in rows] == [7, 11, 19]
    assert [row.stride_to_input for row in rows] == [2, 4, 4]


def test_takes_the_wider_axis():
    rows = ca.analyze(nn.Conv2d(1, 1, (3, 9), stride=(1, 2)), (1, 32, 32)).layers
    assert [field.size(24) for field in rows[0].fields] == [3, 9]
    assert (rows[0].receptive_field, rows[0].stride_to_input) == (9, 2)


@pytest.mark.parametrize("module", [nn.AdaptiveAvgPool2d(1), nn.AvgPool2d(8), nn.Flatten()])
def test_is_the_whole_map_behind_global_pooling(module: nn.Module):
    model = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), module)
    report = ca.analyze(model, (1, 16, 16))
    assert report.layers[-1].receptive_field == 3 + 7 * 2
    assert report.layers[-1].stride_to_input == 0
    assert report.receptive_field == 3


def test_of_uneven_bins_is_the_widest():
    rows = ca.analyze(nn.AdaptiveAvgPool2d(3), (1, 7, 7)).layers
    assert rows[0].receptive_field == 3
    assert [rows[0].fields[0].interval(p) for p in range(3)] == [(0, 2), (2, 4), (4, 6)]
    assert rows[0].stride_to_input == pytest.approx(7 / 3)


def test_is_the_whole_image_behind_a_squeeze_and_excite():
    class Excite(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.squeeze = nn.Conv2d(1, 4, 3), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            weights = self.squeeze(x.mean((2, 3))).sigmoid()
            return x * weights[:, :, None, None]

    report = ca.analyze(Excite(), (1, 10, 10))
    assert report.receptive_field == 10
    assert report.layers[-1].stride_to_input == 1


class Views(nn.Module):
    """Shapes that come and go: the maps stay the same."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        a, b = x.chunk(2, 1)
        x = torch.stack([a, b], 2).flatten(1, 2).permute(0, 2, 3, 1)
        return (x @ torch.ones(c, c)).permute(0, 3, 1, 2)[:, :, 1:-1]


def test_survives_views():
    model = nn.Sequential(nn.Conv2d(1, 4, 5), Views())
    row = ca.analyze(model, (1, 20, 20)).layers[-1]
    assert row.receptive_field == 5
    assert row.fields[0].interval(0) == (1, 5)
    assert row.fields[1].interval(0) == (0, 4)


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        weights = (tokens @ tokens.transpose(1, 2)).softmax(-1)
        return (weights @ tokens).transpose(1, 2).reshape(x.shape)


@pytest.mark.parametrize(
    "module", [Attention(), nn.GroupNorm(1, 4), nn.InstanceNorm2d(4), nn.LayerNorm((4, 8, 8))]
)
def test_is_everything_where_positions_are_mixed(module: nn.Module):
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), module)
    assert ca.analyze(model, (1, 8, 8)).layers[-1].receptive_field == 10  # 8, and the padding


def test_of_a_transposed_convolution_has_phases():
    rows = ca.analyze(nn.ConvTranspose2d(1, 1, 3, stride=2), (1, 8, 8)).layers
    field = rows[0].fields[0]
    assert [field.interval(p) for p in range(4)] == [(-1, 0), (0, 0), (0, 1), (1, 1)]
    assert rows[0].receptive_field == 2
    assert rows[0].stride_to_input == 0.5


def test_is_none_for_a_network_without_maps():
    report = ca.analyze(nn.Sequential(nn.Linear(8, 4), nn.ReLU()), (8,))
    assert report.receptive_field == 0
    assert report.weight_layers == 1
    assert math.prod(report.layers[0].output_shape) == 4
