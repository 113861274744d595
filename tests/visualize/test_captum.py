"""The methods that captum has too, against captum; skipped where it is not installed."""

import warnings

import pytest
import torch
from explained_nets import images, small_network
from torch import nn

from convatlas.visualize.deconvnet import deconvnet
from convatlas.visualize.grad_cam import weighted_sum
from convatlas.visualize.guided_backprop import guided_backprop
from convatlas.visualize.integrated_gradients import integrated_gradients
from convatlas.visualize.occlusion import occlude
from convatlas.visualize.saliency import saliency
from convatlas.visualize.scores import maps_and_gradients

attr = pytest.importorskip("captum.attr", reason="needs captum")


@pytest.fixture(autouse=True)
def _captum_warns_of_its_hooks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


@pytest.fixture
def network() -> nn.Sequential:
    return small_network().eval()


def test_saliency(network: nn.Sequential) -> None:
    found = attr.Saliency(network).attribute(images().requires_grad_(), target=2)
    torch.testing.assert_close(saliency(network, images(), 2), found.amax(1))


@pytest.mark.parametrize(
    ("theirs", "ours"), [("GuidedBackprop", guided_backprop), ("Deconvolution", deconvnet)]
)
def test_rules_at_relu(network: nn.Sequential, theirs: str, ours) -> None:
    found = getattr(attr, theirs)(network).attribute(images().requires_grad_(), target=2)
    torch.testing.assert_close(ours(network, images(), 2), found)


def test_integrated_gradients(network: nn.Sequential) -> None:
    found = attr.IntegratedGradients(network).attribute(
        images(), 0.25, target=2, n_steps=16, method="riemann_middle"
    )
    ours = integrated_gradients(network, images(), 2, steps=16, baseline=0.25)
    torch.testing.assert_close(ours, found.detach())


def test_grad_cam_before_its_relu(network: nn.Sequential) -> None:
    found = attr.LayerGradCam(network, network[4]).attribute(images(), target=2)[:, 0]
    ours = weighted_sum(*maps_and_gradients(network, images(), 2, "4"))
    torch.testing.assert_close(ours, found.detach())


def test_occlusion_by_squares_that_do_not_overlap(network: nn.Sequential) -> None:
    found = attr.Occlusion(network).attribute(images(), (3, 4, 4), (3, 4, 4), target=2)
    ours = occlude(network, images(), 2, size=4, stride=4).drops
    torch.testing.assert_close(ours.float(), found[:, 0, ::4, ::4])
