"""Grad-CAM against its identities, a literal loop, and a hostile model."""

from typing import Any

import pytest
import torch
from explained_nets import assert_same, state_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from convatlas.errors import InputError
from convatlas.visualize.grad_cam import grad_cam, weighted_sum
from convatlas.visualize.scores import maps_and_gradients


def gap_network(seed: int = 0, classes: int = 5) -> nn.Sequential:
    """Convolutions, global average pooling, one linear layer: where CAM is defined."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, classes),
    )


def random_image(seed: int = 1, size: tuple[int, int] = (20, 17)) -> Tensor:
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 4))
def test_on_a_gap_network_it_is_the_class_activation_map(seed: int, label: int) -> None:
    """Before the ReLU it equals CAM / Z (Selvaraju et al. 2017, section 3.1)."""
    model, image = gap_network(seed), random_image(seed + 1)
    maps = model[:4](image)[0].detach()
    cam = torch.einsum("k,khw->hw", model[6].weight[label].detach(), maps)
    found = weighted_sum(*maps_and_gradients(model, image, label, "3"))[0]
    torch.testing.assert_close(found, cam / cam.numel(), rtol=1e-5, atol=1e-7)


def test_it_equals_a_literal_loop() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 9 * 7, 5)
    ).double()
    image, label = random_image().double(), 2

    maps = model[:2](image).detach().requires_grad_()
    model[2:](maps)[0, label].backward()
    assert maps.grad is not None
    gradient, values = maps.grad[0].tolist(), maps[0].tolist()
    _, channels, height, width = maps.shape
    expected = torch.zeros(height, width, dtype=torch.double)
    for k in range(channels):
        alpha = 0.0
        for i in range(height):
            for j in range(width):
                alpha += gradient[k][i][j] / (height * width)
        for i in range(height):
            for j in range(width):
                expected[i, j] += alpha * values[k][i][j]

    found = weighted_sum(*maps_and_gradients(model, image, label, "1"))[0]
    torch.testing.assert_close(found, expected)
    heat = nn.functional.interpolate(
        expected.clamp(min=0)[None, None], (20, 17), mode="bilinear", align_corners=False
    )[0, 0]
    torch.testing.assert_close(
        grad_cam(model, image, label, layer="1")[0], heat / heat.max(), rtol=1e-5, atol=1e-6
    )


def test_the_heat_map_has_the_size_of_the_image_and_a_peak_of_one() -> None:
    heat = grad_cam(gap_network(), random_image(), 1, layer="3")
    assert heat.shape == (1, 20, 17)
    assert float(heat.min()) >= 0
    assert float(heat.max()) == 1


def test_a_batch_gives_what_its_images_give_alone() -> None:
    model = gap_network()
    images = torch.cat([random_image(seed) for seed in range(3)])
    alone = [grad_cam(model, images[i : i + 1], i, layer="3") for i in range(3)]
    for labels in ([0, 1, 2], torch.tensor([0, 1, 2])):
        torch.testing.assert_close(grad_cam(model, images, labels, layer="3"), torch.cat(alone))
    same = torch.cat([grad_cam(model, images[i : i + 1], 1, layer="3") for i in range(3)])
    torch.testing.assert_close(grad_cam(model, images, 1, layer="3"), same)


def test_16_bit_weights_and_images_give_a_map_of_32_bits() -> None:
    heat = grad_cam(gap_network().bfloat16(), random_image(), 1, layer="3")
    assert heat.dtype == torch.float32
    mixed = grad_cam(gap_network(), random_image().half(), 1, layer="3")
    torch.testing.assert_close(
        mixed, grad_cam(gap_network(), random_image(), 1, layer="3"), atol=0.02, rtol=0
    )


def test_without_evidence_the_map_is_zero() -> None:
    model = gap_network()
    with torch.no_grad():
        model[6].weight.fill_(-1.0)  # every map speaks against every class
    assert grad_cam(model, random_image(), 0, layer="3").eq(0).all()


def test_the_top_class_and_the_cam_layer_are_the_defaults() -> None:
    model, image = gap_network(), random_image()
    top = int(model(image).argmax())
    model.cam_layer = "3"
    assert torch.equal(grad_cam(model, image), grad_cam(model, image, top, layer="3"))
    other = (top + 1) % 5
    assert not torch.equal(grad_cam(model, image), grad_cam(model, image, other))


class Branches(nn.Module):
    """A user's network: in-place activations, a shortcut past the layer, a dead branch."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.ReLU(inplace=inplace)
        self.drop = nn.Dropout(0.5)
        self.unused = nn.Conv2d(6, 6, 1)
        self.silent = nn.Conv2d(6, 6, 1)
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        x = self.act(self.norm(y)) + y
        self.silent(x)
        return self.fc(self.drop(x).mean(dim=(2, 3)))


@pytest.mark.parametrize("layer", ["stem", "norm", "act"])
def test_an_activation_in_place_changes_nothing(layer: str) -> None:
    torch.manual_seed(0)
    clean, hostile = Branches(inplace=False), Branches(inplace=True)
    hostile.load_state_dict(clean.state_dict())
    for model in (clean, hostile):
        model.norm.weight.data = torch.linspace(-1, 1, 6)
    image = random_image()
    expected = maps_and_gradients(clean, image, 2, layer)
    for found, wanted in zip(maps_and_gradients(hostile, image, 2, layer), expected, strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    ("label", "layer"), [(1, "act"), (9, "act"), (1, "unused"), (1, "silent"), (1, "fc")]
)
def test_the_model_is_left_as_it_was_also_after_an_error(label: int, layer: str) -> None:
    model = Branches(inplace=True).train()
    model.norm.eval()  # frozen norms in a network under training
    model.stem.weight.requires_grad_(False)
    model(random_image(5)).sum().backward()
    before = state_of(model)
    if (label, layer) == (1, "act"):
        grad_cam(model, random_image(), label, layer=layer)
    else:
        with pytest.raises(InputError):
            grad_cam(model, random_image(), label, layer=layer)
    assert_same(before, state_of(model))


@pytest.mark.parametrize("label", ["1", 1.0, True])
def test_a_label_that_is_no_number_of_a_class_is_refused(label: Any) -> None:
    with pytest.raises(InputError, match=f"by its number, from 0 to 3, not {label!r}"):
        grad_cam(Branches(inplace=False), random_image(), label, layer="act")


def test_a_forward_that_fails_leaves_no_hook() -> None:
    model = gap_network()
    with pytest.raises(RuntimeError):
        grad_cam(model, torch.zeros(1, 2, 20, 20), 0, layer="0")
    assert all(not m._forward_hooks for m in model.modules())
    assert all(m.training for m in model.modules())


def test_frozen_weights_and_inference_mode_are_no_obstacle() -> None:
    model, image = gap_network(), random_image()
    expected = grad_cam(model, image, 2, layer="3")
    model.requires_grad_(False)
    assert torch.equal(grad_cam(model, image, 2, layer="3"), expected)
    with torch.inference_mode():
        assert torch.equal(grad_cam(model, image.clone(), 2, layer="3"), expected)
    with torch.no_grad():
        assert torch.equal(grad_cam(model, image, 2, layer="3"), expected)


def test_an_unknown_layer_names_the_near_ones() -> None:
    with pytest.raises(KeyError, match="no layer named 'actt'; did you mean: act"):
        grad_cam(Branches(inplace=False), random_image(), 0, layer="actt")


@pytest.mark.parametrize(
    ("image", "label", "layer", "message"),
    [
        (torch.zeros(3, 9, 9), 0, "act", r"values \(N, C, H, W\), at least one; got \(3, 9, 9\)"),
        (torch.zeros(0, 3, 9, 9), 0, "act", "at least one"),
        (
            torch.zeros(1, 3, 9, 9, dtype=torch.uint8),
            0,
            "act",
            r"floating-point .* of torch\.uint8",
        ),
        (torch.zeros(2, 3, 9, 9), [0], "act", "1 labels for 2 images"),
        (torch.zeros(1, 3, 9, 9), 4, "act", "no class 4; there are 4, from 0 to 3"),
        (torch.zeros(1, 3, 9, 9), -1, "act", "no class -1"),
        (torch.zeros(1, 3, 9, 9), 0, "fc", r"'fc' gives \(1, 4\), not maps"),
        (torch.zeros(1, 3, 9, 9), 0, "unused", "ran 0 times"),
        (torch.zeros(1, 3, 9, 9), 0, "silent", "does not depend on the maps of layer 'silent'"),
        (torch.zeros(1, 3, 9, 9), 0, None, "name the layer to explain: Branches"),
        (torch.full((1, 3, 9, 9), float("nan")), 0, "act", "not finite"),
    ],
)
def test_what_cant_be_explained_says_why(
    image: Tensor, label: int, layer: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        grad_cam(Branches(inplace=False), image, label, layer=layer)


def test_a_layer_that_runs_twice_is_refused() -> None:
    shared = nn.ReLU()
    model = nn.Sequential(nn.Conv2d(3, 4, 1), shared, nn.Conv2d(4, 4, 1), shared, nn.Flatten())
    with pytest.raises(InputError, match="'1' ran 2 times"):
        grad_cam(model, torch.randn(1, 3, 2, 2), 0, layer="1")


def test_a_segmentation_network_is_refused() -> None:
    with pytest.raises(InputError, match=r"a classifier's logits \(N, classes\); got \(1, 4, 9, 9"):
        grad_cam(nn.Sequential(nn.Conv2d(3, 4, 1)), torch.zeros(1, 3, 9, 9), 0, layer="0")
