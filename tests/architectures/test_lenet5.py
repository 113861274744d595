"""LeNet-5: what only this paper says of its network (LeCun, Bottou, Bengio, Haffner 1998)."""

import copy
import gzip
import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from counting import params
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convatlas.architectures.lenet5 import Squash, class_codes
from convatlas.catalog import build, build_meta, find
from convatlas.errors import InputError, UnknownNameError

LENETS = ["lenet5", "lenet5_dense_c3", "lenet5_modern", "lenet_caffe"]

# parameters, and multiply-adds of convolutions and linear layers, by hand
COUNTS = {
    "lenet5": (60_000, 325_680),
    "lenet5_dense_c3": (60_900, 415_680),
    "lenet5_modern": (61_706, 416_520),
    "lenet_caffe": (431_080, 2_293_000),
}
# section II-B, layer after layer: output, parameters, connections
LAYERS = {
    "stages.C1": ((6, 28, 28), 156, 122_304),
    "stages.S2": ((6, 14, 14), 12, 5_880),
    "stages.C3": ((16, 10, 10), 1_516, 151_600),
    "stages.S4": ((16, 5, 5), 32, 2_000),
    "stages.C5": ((120, 1, 1), 48_120, 48_120),
    "head.F6": ((84,), 10_164, 10_164),
    "head.OUTPUT": ((10,), 0, 840),
}
# Table I: the maps of S2 that each of the sixteen maps of C3 sees
SOURCES = (
    *("012", "123", "234", "345", "045", "015"),
    *("0123", "1234", "2345", "0345", "0145", "0125", "0134", "1245", "0235"),
    "012345",
)


@cache
def meta(name: str) -> nn.Module:
    return build_meta(name).eval()


def fresh(name: str = "lenet5", **arguments) -> nn.Module:
    torch.manual_seed(0)
    return build(name, **arguments).eval()


def images(name: str, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, *find(name)[1].input_shape, generator=generator)


def outputs(model: nn.Module, x: Tensor, layers) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for layer in layers:
        model.get_submodule(layer).register_forward_hook(
            lambda *at, layer=layer: found.__setitem__(layer, at[2])
        )
    model(x)
    return found


@pytest.mark.parametrize("name", LENETS)
def test_parameters_and_multiply_adds_are_exact(name):
    x = images(name, 1).to("meta")
    with FlopCounterMode(display=False) as counter:
        meta(name)(x)
    assert (params(meta(name)), counter.get_total_flops() // 2) == COUNTS[name]


def test_each_layer_has_the_printed_shape_and_parameters():
    maps = outputs(fresh(), images("lenet5", 1), LAYERS)
    for layer, (shape, count, _) in LAYERS.items():
        assert maps[layer].shape[1:] == shape
        assert params(meta("lenet5").get_submodule(layer)) == count


def test_there_are_the_printed_connections():
    """Units times their inputs and their bias: 340,908 in all."""
    model = fresh()
    leaves = [
        (layer, module)
        for layer, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) or hasattr(module, "fan_in")
    ]
    units = outputs(model, images("lenet5", 1), [layer for layer, _ in leaves])
    found = dict.fromkeys(LAYERS, 0)
    for name, module in leaves:
        fan_in = getattr(module, "fan_in", 0) or module.weight[0].numel()
        bias = getattr(module, "bias", None) is not None
        layer = next(layer for layer in LAYERS if name.startswith(layer))
        found[layer] += units[name].numel() * (fan_in + bias)
    assert found == {layer: connections for layer, (_, _, connections) in LAYERS.items()}
    assert sum(found.values()) == 340_908


def subsampled(x: Tensor, weights: dict[str, Tensor], layer: str) -> Tensor:
    total = sum(x[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
    coefficient, bias = (weights[f"{layer}.{name}"] for name in ("coefficient", "bias"))
    return coefficient[:, None, None] * total + bias[:, None, None]


def paper_distances(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """Section II-B with plain functions, one map of C3 after the other."""

    def squash(a: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 / 3 * a)

    x = squash(F.conv2d(x, weights["stages.C1.weight"], weights["stages.C1.bias"]))
    x = squash(subsampled(x, weights, "stages.S2"))
    maps = []
    for i, sources in enumerate(SOURCES):
        first = {3: "0_5", 4: "6_14", 6: "15_15"}[len(sources)]
        row = i - int(first.split("_")[0])
        weight = weights[f"stages.C3.units.{first}.weight"][row : row + 1]
        seen = x[:, [int(source) for source in sources]]
        maps.append(F.conv2d(seen, weight, weights[f"stages.C3.units.{first}.bias"][row : row + 1]))
    x = squash(torch.cat(maps, 1))
    x = squash(subsampled(x, weights, "stages.S4"))
    x = squash(F.conv2d(x, weights["stages.C5.weight"], weights["stages.C5.bias"])).flatten(1)
    x = squash(x @ weights["head.F6.weight"].T + weights["head.F6.bias"])
    return torch.stack([(x - code).square().sum(1) for code in weights["head.OUTPUT.codes"]], 1)


def test_the_function_is_that_of_section_ii_b():
    model = fresh()
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, 0.2)
    with torch.inference_mode():
        expected = paper_distances(model.state_dict(), images("lenet5"))
        torch.testing.assert_close(-model(images("lenet5")), expected, rtol=1e-4, atol=1e-4)
    assert (expected.max() - expected.min()) > 10


@pytest.mark.parametrize("source", range(6))
def test_a_map_of_s2_feeds_the_maps_that_table_1_marks(source):
    c3 = fresh().get_submodule("stages.C3")
    x = torch.zeros(1, 6, 14, 14)
    x[:, source] = 1
    changed = (c3(x) - c3(torch.zeros_like(x))).abs().amax((0, 2, 3)) > 0
    assert changed.tolist() == [str(source) in sources for sources in SOURCES]


def test_squash_keeps_one_and_minus_one():
    y = Squash()(torch.tensor([-1e9, -1, 0, 1, 1e9]))
    torch.testing.assert_close(y, torch.tensor([-1.7159, -1, 0, 1, 1.7159]), rtol=0, atol=1e-5)


def test_outputs_are_minus_the_squared_distances():
    output = fresh().get_submodule("head.OUTPUT")
    x = class_codes(10)
    assert output(x).diagonal().tolist() == [0.0] * 10
    x[:, 40] *= -1
    assert output(x).diagonal().tolist() == [-4.0] * 10


@pytest.mark.parametrize("classes", [10, 11, 200])
def test_codes_are_signs_far_from_each_other(classes):
    codes = class_codes(classes)
    assert codes.shape == (classes, 84)
    assert set(codes.unique().tolist()) == {-1.0, 1.0}
    distances = (84 - codes @ codes.T) / 2 + 84 * torch.eye(classes)
    assert distances.min() >= (10 if classes == 10 else 20)
    assert torch.equal(class_codes(classes), codes)


def test_few_classes_have_the_bitmaps_of_the_digits():
    assert torch.equal(class_codes(3), class_codes(10)[:3])
    one = class_codes(10)[1].view(12, 7)
    assert (one[:, 3] > 0).sum() >= 9  # an upright stroke


def fan_in(module: nn.Module) -> int:
    return 4 if hasattr(module, "coefficient") else module.weight[0].numel()


@pytest.mark.parametrize("name", ["lenet5", "lenet5_dense_c3"])
def test_weights_are_drawn_from_the_range_of_appendix_a(name):
    model = fresh(name)
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            bound, values = 2.4 / fan_in(module), parameter.detach()
            assert values.abs().max() <= bound
            if values.numel() > 400:
                assert values.abs().max() > 0.98 * bound
                # four standard errors of the deviation of a uniform distribution
                error = 4 * math.sqrt(0.2 / values.numel())
                assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=error)


def test_the_units_of_c3_have_three_ranges():
    convs = fresh().get_submodule("stages.C3.units")
    assert [fan_in(conv) for conv in convs.values()] == [75, 100, 150]
    assert [round(conv.weight.abs().max().item(), 3) for conv in convs.values()] == [
        round(2.4 / inputs, 3) for inputs in (75, 100, 150)
    ]


def test_caffes_weights_have_variance_one_over_inputs_and_no_bias():
    model = fresh("lenet_caffe")
    for layer in (m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)):
        weight, inputs = layer.weight.detach(), fan_in(layer)
        assert weight.abs().max() <= math.sqrt(3 / inputs)
        error = 4 * math.sqrt(0.2 / weight.numel())
        assert weight.std().item() == pytest.approx(1 / math.sqrt(inputs), rel=error)
        assert not layer.bias.any()


@pytest.mark.parametrize("name", LENETS)
def test_weights_can_be_drawn_again_after_to_empty(name):
    model = build_meta(name).to_empty(device="cpu")
    torch.manual_seed(0)
    model.reset_parameters()
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    if name == "lenet5":
        assert torch.equal(model.get_buffer("head.OUTPUT.codes"), class_codes(10))


@pytest.mark.parametrize(("name", "least"), [(name, 32) for name in LENETS[:3]] + [(LENETS[3], 28)])
def test_only_images_that_leave_the_maps_of_the_head_are_taken(name, least):
    most = least + 3
    layer = "head.ip1" if name == "lenet_caffe" else "head.F6"
    assert meta(name)(torch.empty(1, 1, least, most, device="meta")).shape == (1, 10)
    with pytest.raises(InputError, match=f"LeNet-5.*{least}x{least}.*{layer}; got {least - 1}x32"):
        meta(name)(torch.empty(1, 1, least - 1, 32, device="meta"))
    with pytest.raises(InputError, match=f"{layer} takes.*{least} to {most} pixels a side"):
        meta(name)(torch.empty(1, 1, least, most + 1, device="meta"))


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((1, 32, 32), torch.float32, "3 dimensions"),
        ((1, 1, 32, 32), torch.int64, "floating-point"),
        ((1, 3, 32, 32), torch.float32, "build it with in_channels=3"),
    ],
)
def test_what_is_no_batch_of_grey_images_is_refused(shape, dtype, message):
    with pytest.raises(InputError, match=message):
        meta("lenet5")(torch.empty(shape, dtype=dtype, device="meta"))


def test_larger_images_are_scanned_by_the_convolutions():
    """Section VII: on a larger image each position of C5 is the net on a 32x32 window."""
    model = fresh()
    x = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        scores = model.head(model.stages(x).permute(0, 2, 3, 1).reshape(81, 120, 1, 1))
        windows = [x[..., i : i + 32, j : j + 32] for i in range(0, 36, 4) for j in range(0, 36, 4)]
        torch.testing.assert_close(scores, model(torch.cat(windows)), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", LENETS)
@pytest.mark.parametrize(("classes", "channels"), [(1, 3), (26, 2)])
def test_any_number_of_classes_and_channels(name, classes, channels):
    size = find(name)[1].input_shape[1]
    model = fresh(name, num_classes=classes, in_channels=channels)
    logits = model(torch.zeros(3, channels, size, size))
    assert logits.shape == (3, classes)
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("act", "kind"),
    [("squash", Squash), ("relu", nn.ReLU), ("tanh", nn.Tanh), ("sigmoid", nn.Sigmoid)],
)
def test_the_nonlinearity_of_the_ports_can_be_chosen(act, kind):
    model = build_meta("lenet5_modern", act=act)
    assert [name for name, m in model.named_modules() if isinstance(m, kind)] == [
        *("stages.act1", "stages.act3", "stages.act5", "head.act6")
    ]


def test_an_unknown_nonlinearity_is_refused():
    with pytest.raises(UnknownNameError, match=re.escape("'rellu'; did you mean: relu")):
        build_meta("lenet5_modern", act="rellu")


@pytest.mark.parametrize("name", LENETS)
def test_compiled_exported_copied_and_restored_networks_are_equal(name):
    model, x = fresh(name), images(name)
    with torch.no_grad():
        expected = model(x)
        assert torch.equal(torch.compile(model, fullgraph=True, backend="eager")(x), expected)
        torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), expected)
        assert torch.equal(copy.deepcopy(model)(x), expected)
        other = build(name)
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(x), expected)


@pytest.mark.parametrize("name", LENETS)
def test_activation_maps_have_a_height_and_a_width(name):
    layer = meta(name).cam_layer
    maps = outputs(build_meta(name), images(name, 1).to("meta"), [layer])[layer]
    assert maps.shape[2:] == ((8, 8) if name == "lenet_caffe" else (10, 10))


def idx_bytes(path: Path, header: int) -> Tensor:
    return torch.frombuffer(bytearray(gzip.decompress(path.read_bytes())), dtype=torch.uint8)[
        header:
    ]


def test_caffes_own_weights_read_mnist(data_root: Path):
    """The model that Caffe's example ends with: 99.14 % on all 10,000 test images."""
    model = fresh("lenet_caffe")
    stored = np.load(data_root / "weights" / "lenet-mnist-caffe" / "lenet_iter_10000.npz")
    for layer in ("stages.conv1", "stages.conv2", "head.ip1", "head.ip2"):
        module, name = model.get_submodule(layer), layer.rpartition(".")[2]
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(stored[f"{name}.0"]))
            module.bias.copy_(torch.from_numpy(stored[f"{name}.1"]))
    pixels = idx_bytes(data_root / "mnist" / "t10k-images-idx3-ubyte.gz", 16).view(-1, 1, 28, 28)
    labels = idx_bytes(data_root / "mnist" / "t10k-labels-idx1-ubyte.gz", 8)
    with torch.inference_mode():
        guesses = torch.cat([model(x / 256).argmax(1) for x in pixels.split(1000)])
    assert (guesses == labels).sum().item() == 9_914
