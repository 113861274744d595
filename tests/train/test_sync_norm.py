"""A norm over all processes: what one process makes of the whole batch, and its gradients."""

import copy

import pytest
import torch
from torch import nn

from convatlas.recipe import SGD, Recipe
from convatlas.train.groups import parameter_groups
from convatlas.train.sync_norm import SyncNorm, sync_norms
from rank_processes import in_ranks

PARTS = {"even": (4, 4), "ragged": (5, 3), "one without": (8, 0), "four": (3, 2, 2, 1)}


def make_images(channels=3):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(8, channels, 4, 5, generator=generator)
    return (images + 1) * torch.tensor([1.0, 0.5, 30.0]).view(1, -1, 1, 1)


def make_net(norm):
    torch.manual_seed(2)
    with torch.no_grad():
        if norm.weight is not None:
            norm.weight.uniform_(0.5, 2)
            norm.bias.normal_()
    return nn.Sequential(norm, nn.Tanh())


def learn(net, images):
    """Two steps' worth of statistics; give the output, the gradients and the buffers."""
    images = images.clone().requires_grad_()
    out = [net(images), net(images * 2)]
    weights = torch.linspace(-1, 1, images.shape[1:].numel()).view(images.shape[1:])
    sum((y * weights).square().sum() for y in out).backward()
    gradients = {name: p.grad for name, p in net.named_parameters()}
    return {"out": out[0].detach(), "images": images.grad, **gradients, **dict(net.named_buffers())}


def learn_part(ranks, net, images, parts):
    net = copy.deepcopy(net)  # what is sent to processes lies in memory that they share
    found = learn(sync_norms(net), images.split(parts)[ranks.rank])
    return {name: value.detach().numpy() for name, value in found.items()}


@pytest.mark.parametrize(
    "parts",
    [
        PARTS["ragged"],
        PARTS["one without"],
        pytest.param(PARTS["even"], marks=pytest.mark.slow),
        pytest.param(PARTS["four"], marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_it_is_the_norm_of_the_whole_batch(parts):
    check_equal(nn.BatchNorm2d(3), parts)


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm2d(3, affine=False),
        nn.BatchNorm2d(3, momentum=None, eps=0.1),
        nn.BatchNorm2d(3, track_running_stats=False),
    ],
    ids=["no weights", "plain mean", "no statistics"],
)
def test_every_form_of_it(norm):
    check_equal(norm, PARTS["ragged"])


def check_equal(norm, parts):
    images = make_images()
    net = make_net(norm)
    expected = learn(copy.deepcopy(net), images)
    found = in_ranks(len(parts), learn_part, net, images, parts)
    for name, value in expected.items():
        per_image = name in ("out", "images")
        got = [torch.from_numpy(one[name]) for one in found]
        if per_image:
            got = torch.cat(got)
        elif name in dict(net.named_parameters()):
            got = sum(got)  # each has the gradient of its own images
        else:
            assert all(torch.equal(one, got[0]) for one in got)
            got = got[0]
        torch.testing.assert_close(got, value, rtol=2e-5, atol=2e-5)


class TestReplacing:
    def test_names_and_values_stay(self):
        net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()))
        before = {name: tensor.data_ptr() for name, tensor in net.state_dict().items()}
        sync_norms(net)
        assert isinstance(net[1][0], SyncNorm)
        assert {name: tensor.data_ptr() for name, tensor in net.state_dict().items()} == before

    def test_it_still_is_a_norm_to_those_who_sort_parameters(self):
        groups = parameter_groups(
            sync_norms(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))),
            Recipe("test", 1, 1, SGD(0.1), undecayed=("norms",)),
        )
        assert [len(group["params"]) for group in groups] == [2, 2]

    def test_evaluation_asks_no_other_process(self):
        norm = nn.BatchNorm2d(3).eval()
        norm.running_mean.normal_()
        assert torch.equal(sync_norms(norm)(make_images()), norm(make_images()))

    def test_bfloat16_stays(self):
        norm = sync_norms(nn.BatchNorm2d(3).eval())
        assert norm(make_images().bfloat16()).dtype == torch.bfloat16
