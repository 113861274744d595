"""What every explanation keeps: batches, labels, and the network as it was."""

from functools import partial

import pytest
import torch
from explained_nets import Written, assert_same, images, state_of

from convatlas.errors import InputError
from convatlas.visualize.cam import cam
from convatlas.visualize.deconvnet import deconvnet
from convatlas.visualize.grad_cam import grad_cam
from convatlas.visualize.grad_cam_plus_plus import grad_cam_plus_plus
from convatlas.visualize.guided_backprop import guided_backprop
from convatlas.visualize.guided_grad_cam import guided_grad_cam
from convatlas.visualize.integrated_gradients import integrated_gradients
from convatlas.visualize.occlusion import occlusion
from convatlas.visualize.saliency import saliency
from convatlas.visualize.score_cam import score_cam
from convatlas.visualize.smooth_grad import smooth_grad

LAYER = "acts.1"
METHODS = {
    "grad_cam": partial(grad_cam, layer=LAYER),
    "cam": partial(cam, layer=LAYER),
    "grad_cam_plus_plus": partial(grad_cam_plus_plus, layer=LAYER),
    "score_cam": partial(score_cam, layer=LAYER),
    "guided_grad_cam": partial(guided_grad_cam, layer=LAYER),
    "saliency": saliency,
    "smooth_grad": partial(smooth_grad, samples=2, noise=0.0),
    "integrated_gradients": partial(integrated_gradients, steps=3),
    "guided_backprop": guided_backprop,
    "deconvnet": deconvnet,
    "occlusion": partial(occlusion, size=4),
}
MAPS = {
    "grad_cam",
    "cam",
    "grad_cam_plus_plus",
    "score_cam",
    "saliency",
    "smooth_grad",
    "occlusion",
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("way", ["module", "module in place"])
def test_a_batch_gives_what_its_images_give_alone(name: str, way: str) -> None:
    network, x = Written(way).eval(), images(3)
    labels = [2, 0, 2]
    found = METHODS[name](network, x, labels)
    alone = [METHODS[name](network, x[i : i + 1], labels[i]) for i in range(3)]
    torch.testing.assert_close(found, torch.cat(alone))
    assert found.shape == ((3, 12, 12) if name in MAPS else (3, 3, 12, 12))


@pytest.mark.parametrize("name", METHODS)
def test_the_top_class_of_each_image_is_the_default(name: str) -> None:
    network, x = Written("module").eval(), images(3)
    top = network(x).argmax(1)
    torch.testing.assert_close(METHODS[name](network, x), METHODS[name](network, x, top))


@pytest.mark.parametrize("name", METHODS)
def test_the_network_and_the_caller_are_left_as_they_were(name: str) -> None:
    network, x = Written("module in place").train(), images(2)
    network.norm.eval()
    network.fc.weight.requires_grad_(False)
    network.conv1(x).sum().backward()
    before, given = state_of(network), x.clone()
    with torch.no_grad():
        METHODS[name](network, x, 1)
    assert_same(before, state_of(network))
    assert torch.equal(x, given)
    with pytest.raises(InputError, match="no class 9"):
        METHODS[name](network, x, 9)
    assert_same(before, state_of(network))


@pytest.mark.parametrize("name", METHODS)
def test_inference_mode_frozen_weights_and_16_bits_are_no_obstacle(name: str) -> None:
    network = Written("module").eval()
    expected = METHODS[name](network, images(1), 1)
    network.requires_grad_(False)
    with torch.inference_mode():
        torch.testing.assert_close(METHODS[name](network, images(1), 1), expected)
    low = METHODS[name](network.bfloat16(), images(1), 1)
    assert low.dtype == torch.float32
    assert torch.isfinite(low).all()


@pytest.mark.parametrize("name", METHODS)
def test_broken_weights_are_an_error_and_no_map(name: str) -> None:
    network = Written("module")
    with torch.no_grad():
        network.fc.bias[0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        METHODS[name](network, images(1), 1)
