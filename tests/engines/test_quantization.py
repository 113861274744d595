"""8 bits: how networks are quantised, and that their answers stay."""

import itertools

import pytest
import torch
from torch import Tensor, nn

import convatlas as ca
from convatlas.engines import calibration, proving
from convatlas.engines.calibration import MOST_IMAGES, quantized
from convatlas.engines.engine import Order
from convatlas.engines.worker import Job, prepared
from convatlas.export import openvino
from convatlas.export.program import trace

nncf = pytest.importorskip("nncf", reason="int8 needs nncf")
pytest.importorskip("openvino", reason="int8 needs openvino")


class Colours(nn.Module):
    """Maps of the three colours, then what each has of them on average."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 3, 3, padding=1)
        self.last = nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            for layer in (self.maps, self.last):
                layer.weight.zero_()
                layer.bias.zero_()
                for i in range(3):
                    layer.weight[i, i, layer.kernel_size[0] // 2, layer.kernel_size[0] // 2] = 1
            self.maps.weight += 0.01 * torch.randn(
                self.maps.weight.shape, generator=torch.Generator().manual_seed(0)
            )

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.last(nn.functional.relu(self.maps(x)))).mean((2, 3))


@pytest.fixture
def colours() -> Tensor:
    """Images in which one colour is stronger than the others."""
    draw = torch.Generator().manual_seed(1)
    images = torch.rand(40, 3, 8, 8, generator=draw)
    images[torch.arange(40), torch.arange(40) % 3] += 0.5
    return images


def converted(model: nn.Module, x: Tensor):
    found = openvino.convert(trace(model, tuple(x.shape[1:]), any_size=False))
    found.reshape(list(x.shape))
    return found


@pytest.mark.parametrize("batch", [1, 6])
def test_answers_stay_near_and_the_classes_the_same(colours, batch):
    model = Colours().eval()
    x = colours[-batch:]
    fast = ca.optimize(model, x, "openvino", "int8", images=colours[:22])
    with torch.no_grad():
        expected = model(x)
    assert fast(x).argmax(1).equal(expected.argmax(1))
    assert not fast(x).equal(expected)  # it is quantised
    torch.testing.assert_close(fast(x), expected, rtol=0, atol=0.02)


def test_what_follows_the_last_layer_with_weights_is_not_quantised(colours):
    model = Colours().eval()
    found = quantized(converted(model, colours[:1]), Order(model, colours[:1], "int8", colours))
    kinds = [node.get_type_name() for node in found.get_ordered_ops()]
    last = len(kinds) - 1 - kinds[::-1].index("Convolution")
    assert "FakeQuantize" in kinds[:last]
    assert "FakeQuantize" not in kinds[last:]


def test_of_many_images_some_are_taken_evenly(colours, monkeypatch):
    asked = {}
    monkeypatch.setattr(nncf, "quantize", lambda _, data, **how: asked.update(how, data=data))
    images = torch.arange(4.0 * MOST_IMAGES).reshape(-1, 1, 1, 1).expand(-1, 3, 8, 8)
    model = Colours().eval()
    quantized(converted(model, colours[:2]), Order(model, images[:2], "int8", images))
    seen = [float(image[0, 0, 0]) for batch in asked["data"].get_data() for image in batch]
    assert len(seen) == MOST_IMAGES
    assert asked["subset_size"] == MOST_IMAGES // 2
    assert (seen[0], seen[-1]) == (0, len(images) - 1)
    assert max(b - a for a, b in itertools.pairwise(seen)) <= 5


@pytest.mark.parametrize(("able", "fixed"), [({"avx512_vnni": True}, False), ({}, True)])
def test_the_first_layer_has_all_bits_where_sums_can_not_overflow(
    colours, monkeypatch, able, fixed
):
    asked = {}
    monkeypatch.setattr(nncf, "quantize", lambda *_, **how: asked.update(how))
    monkeypatch.setattr(calibration.torch.cpu, "get_capabilities", lambda: able)
    model = Colours().eval()
    quantized(converted(model, colours[:1]), Order(model, colours[:1], "int8", colours))
    disabled = asked["advanced_parameters"].overflow_fix is nncf.OverflowFix.DISABLE
    assert disabled is not fixed


@pytest.mark.parametrize(("act", "preset"), [(nn.ReLU(), "PERFORMANCE"), (nn.SiLU(), "MIXED")])
def test_ranges_need_not_be_symmetric_where_little_is_below_0(colours, monkeypatch, act, preset):
    asked = {}
    monkeypatch.setattr(nncf, "quantize", lambda *_, **how: asked.update(how))
    model = nn.Sequential(nn.Conv2d(3, 4, 3), act, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    quantized(converted(model, colours[:1]), Order(model, colours[:1], "int8", colours))
    assert asked["preset"] is getattr(nncf.QuantizationPreset, preset)


def test_the_speed_is_told_however_large_the_error(monkeypatch):
    monkeypatch.setitem(proving.TOLERANCES, "int8", 1e-9)
    found = prepared(Job("lenet5_modern", 2, "openvino", "int8"))
    assert 1e-9 < found.facts["relative_error"] < 0.3
    assert found.run(found.images).shape == (2, 10)
