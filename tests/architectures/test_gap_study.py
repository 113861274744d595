"""The study of shifted digits: what only it says of its networks (Boracchi 2023)."""

import pytest
import torch
from counting import macs, params
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.catalog import build, build_meta
from convatlas.errors import InputError

COUNTS = {"cnn_flatten": (388_298, 27_520_768), "cnn_gap": (101_578, 27_234_048)}

# name, output, parameters: the lines of the Keras summaries
SUMMARIES = {
    "cnn_flatten": [
        ("conv1", (32, 62, 62), 320),
        ("pool1", (32, 31, 31), 0),
        ("conv2", (64, 29, 29), 18_496),
        ("pool2", (64, 14, 14), 0),
        ("conv3", (128, 12, 12), 73_856),
        ("pool3", (128, 6, 6), 0),
        ("flatten", (4608,), 0),
        ("dropout1", (4608,), 0),
        ("classifier", (64,), 294_976),
        ("dropout2", (64,), 0),
        ("output", (10,), 650),
    ],
    "cnn_gap": [
        ("conv1", (32, 62, 62), 320),
        ("pool1", (32, 31, 31), 0),
        ("conv2", (64, 29, 29), 18_496),
        ("pool2", (64, 14, 14), 0),
        ("conv3", (128, 12, 12), 73_856),
        ("gpooling", (128,), 0),
        ("dropout1", (128,), 0),
        ("classifier", (64,), 8_256),
        ("dropout2", (64,), 0),
        ("output", (10,), 650),
    ],
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_multiply_adds_are_exact(name):
    model = build_meta(name).eval()
    assert (params(model), macs(model, 1, 64, 64)) == COUNTS[name]


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_layers_are_those_of_the_printed_summary(name):
    model, lines = build_meta(name).eval(), []
    x = torch.empty(1, 1, 64, 64, device="meta")
    for part in (model.stages, model.head):
        for layer, module in part.named_children():
            x = module(x)
            if not layer.startswith("relu"):
                lines.append((layer, tuple(x.shape[1:]), params(module)))
    assert lines == SUMMARIES[name]


def draw_biases(model: nn.Module) -> nn.Module:
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.uniform_(parameter, -0.2, 0.2)
    return model.eval()


def plain_net(state: dict[str, Tensor], x: Tensor, head: str) -> Tensor:
    """Both networks in evaluation mode, layer after layer."""
    for i in (1, 2, 3):
        x = F.relu(F.conv2d(x, state[f"stages.conv{i}.weight"], state[f"stages.conv{i}.bias"]))
        if i < 3 or head == "flatten":
            x = F.max_pool2d(x, 2)
    x = x.flatten(1) if head == "flatten" else x.mean((2, 3))
    x = F.relu(F.linear(x, state["head.classifier.weight"], state["head.classifier.bias"]))
    return F.linear(x, state["head.output.weight"], state["head.output.bias"])


@pytest.mark.parametrize("head", ["flatten", "gap"])
def test_the_function_is_that_of_a_plain_re_implementation(head):
    torch.manual_seed(0)
    model = draw_biases(build(f"cnn_{head}"))
    x = torch.randn(2, 1, 64, 66)
    with torch.no_grad():
        torch.testing.assert_close(model(x), plain_net(model.state_dict(), x, head))


def on_canvas(mark: Tensor, top: int, left: int) -> Tensor:
    canvas = torch.zeros(1, 1, 64, 64)
    canvas[0, 0, top : top + mark.shape[0], left : left + mark.shape[1]] = mark
    return canvas


@pytest.mark.parametrize(("down", "right"), [(4, 0), (0, -4), (-4, 8), (8, 4)])
def test_gap_does_not_see_a_shift_by_the_stride_and_flattening_does(down, right):
    """A mark on rows and columns 17 to 44 is in the 18x18 window of every cell it can be in.

    Moved by a multiple of the stride it gives the same maps, moved, and so the same means.
    """
    torch.manual_seed(1)
    mark = torch.rand(12, 12)
    first, moved = on_canvas(mark, 24, 24), on_canvas(mark, 24 + down, 24 + right)
    gap, flatten = draw_biases(build("cnn_gap")), draw_biases(build("cnn_flatten"))
    with torch.no_grad():
        torch.testing.assert_close(gap(moved), gap(first), rtol=1e-5, atol=1e-6)
        assert (flatten(moved) - flatten(first)).abs().max() > 0.01


@pytest.mark.parametrize(
    ("size", "shift"),
    [
        (12, 1),  # less than the stride
        (28, 18),  # a digit that reaches the border, where fewer windows see it
    ],
)
def test_gap_is_not_blind_to_every_shift(size, shift):
    torch.manual_seed(2)
    mark, gap = torch.rand(size, size), draw_biases(build("cnn_gap"))
    top = (64 - size) // 2
    with torch.no_grad():
        change = gap(on_canvas(mark, top + shift, top)) - gap(on_canvas(mark, top, top))
    assert change.abs().max() > 1e-4


def test_gap_takes_any_size_from_18_pixels_on():
    model = build_meta("cnn_gap").eval()
    for height, width in ((18, 18), (18, 100), (64, 64), (129, 63)):
        assert model(torch.empty(2, 1, height, width, device="meta")).shape == (2, 10)
    with pytest.raises(InputError, match=r"at least 18x18, the least for stages\.conv3"):
        model(torch.empty(1, 1, 17, 64, device="meta"))


def test_flattening_takes_the_sizes_that_leave_6x6_maps():
    model = build_meta("cnn_flatten").eval()
    for size in (62, 69):
        assert model(torch.empty(1, 1, size, size, device="meta")).shape == (1, 10)
    with pytest.raises(InputError, match="at least 62x62"):
        model(torch.empty(1, 1, 61, 64, device="meta"))
    with pytest.raises(InputError, match="images of 62 to 69 pixels a side; got maps of 7x6"):
        model(torch.empty(1, 1, 70, 64, device="meta"))


def test_flattening_can_be_built_for_another_size():
    model = build_meta("cnn_flatten", input_size=28).eval()
    assert model(torch.empty(1, 1, 28, 28, device="meta")).shape == (1, 10)
    assert model.head.classifier.in_features == 128


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": "mean"}, "head takes 'flatten' or 'gap'; got 'mean'"),
        ({"dropout": 1}, "dropout must be at least 0 and less than 1"),
        ({"input_size": 21}, "input_size must be at least 22, not 21"),
    ],
)
def test_what_no_network_can_be_built_with_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        build_meta("cnn_flatten", **changes)
