"""Every explanation of every classifier of the catalog, on the smallest images that it takes."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from explained_nets import assert_same, classifiers, settle_norms, state_of
from torch import Tensor, nn

from convatlas.catalog import build, find
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
from test_matrix import smallest

FAST = {"lenet5", "resnet20_cifar", "squeezenet1_1", "mobilenet_v1_025"}
# families with hidden layers behind the last maps, or with a head of another kind
WITHOUT_CAM = {"lenet5", "alexnet", "zfnet", "vgg", "gap_study"}
METHODS: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "gradcam": grad_cam,
    "gradcam++": grad_cam_plus_plus,
    "scorecam": partial(score_cam, strongest=16),  # one pass for each of 2,000 maps takes minutes
    "guided-gradcam": guided_grad_cam,
    "saliency": saliency,
    "smoothgrad": partial(smooth_grad, samples=1),
    "integrated": partial(integrated_gradients, steps=1),
    "guided": guided_backprop,
    "deconvnet": deconvnet,
}


@pytest.mark.parametrize("name", classifiers(FAST))
def test_every_explanation_of_a_network(name: str) -> None:
    options, side = smallest(name)
    torch.manual_seed(0)
    network = build(name, num_classes=7, **options)
    settle_norms(network, (network.in_channels, side, side))
    x = torch.randn(1, network.in_channels, side, side)
    before = state_of(network)
    half = partial(occlusion, size=-(-side // 2), stride=-(-side // 2))
    for method in (*METHODS.values(), half):
        found = method(network, x)
        assert torch.isfinite(found).all(), method
        assert found.shape in ((1, side, side), x.shape)
    if find(name)[0].name in WITHOUT_CAM:
        with pytest.raises(InputError, match="no class activation maps"):
            cam(network, x)
    else:
        torch.testing.assert_close(cam(network, x), grad_cam(network, x), rtol=1e-3, atol=1e-3)
    assert_same(before, state_of(network))
