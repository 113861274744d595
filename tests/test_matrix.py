"""What torch does with every network: train, copy, compile, export, other layouts and precisions.

Each is built for images as small as it takes. A few run by default, all of them with the slow
tests.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convatlas.analysis.meta import smallest_square
from convatlas.catalog import build, build_meta, find, variants
from convatlas.engines.worker import settle

FAST = {"lenet5", "alexnet", "vgg11_lrn", "resnet20_cifar", "squeezenet1_1", "unet"}
NATIVE = {"lenet5", "gap_study"}  # families whose classifier is made for one size
INPUT_SIZE = {"alexnet": 67, "zfnet": 63, "vgg": 32}  # families that can be built for another
UNETS = {"unet": 188, "unet_release": 188, "unet_padded": 64}  # sizes that can be halved four times


@dataclass(frozen=True, eq=False)
class Small:
    """A network in eval mode, three images, and its answer; the tests leave all as they are."""

    name: str
    options: dict[str, Any]
    model: nn.Module
    images: Tensor
    logits: Tensor

    def again(self) -> nn.Module:
        """The same network with other weights."""
        return build(self.name, num_classes=7, **self.options).eval()


def smallest(name: str) -> tuple[dict[str, Any], int]:
    """Options to build a network with, and the height and width of images for it."""
    architecture, variant = find(name)
    if architecture.name == "unet":
        return {"width": 4}, UNETS[name]
    if architecture.name in NATIVE:
        return {}, variant.input_shape[1]
    size = INPUT_SIZE.get(architecture.name)
    if size is not None and getattr(variant.spec, "input_size", None) is not None:
        return {"input_size": size}, size
    least = smallest_square(build_meta(name).eval(), variant.input_shape)
    assert least is not None
    # oneDNN's bfloat16 gradient of a 3x3 kernel with stride 2 on maps of 1x1 may be NaN
    native = variant.input_shape[1]
    return {}, max(least, 64 if native > 64 else 8)


@pytest.fixture(
    scope="module",
    params=[pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in variants()],
)
def network(request: pytest.FixtureRequest) -> Iterator[Small]:
    name = request.param
    options, size = smallest(name)
    torch.manual_seed(0)
    model = build(name, num_classes=7, **options).eval()
    images = torch.randn(3, model.in_channels, size, size)
    with torch.inference_mode():
        if not model(images).isfinite().all():  # in 1202 layers they grow past all bounds
            settle(model, images)
        logits = model(images).clone()
    yield Small(name, options, model, images, logits)
    torch.compiler.reset()  # it counts how often it sees the same forward, and keeps networks


def assert_near(logits: Tensor, expected: Tensor, rtol: float = 1e-4) -> None:
    """Compare by the largest of `expected`: a small logit can be the difference of large ones."""
    scale = expected.abs().max().item()
    torch.testing.assert_close(logits, expected, rtol=rtol, atol=0.1 * rtol * scale)


def test_evaluating_twice_gives_the_same(network):
    assert network.logits.isfinite().all()
    with torch.inference_mode():
        assert torch.equal(network.model(network.images), network.logits)


def test_a_batch_of_one_is_answered_as_in_a_larger_one(network):
    with torch.inference_mode():
        assert_near(network.model(network.images[:1]), network.logits[:1])


def test_a_step_of_training_changes_the_logits_and_its_copy_keeps_them(network):
    trained = copy.deepcopy(network.model).train()
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.01)
    logits = trained(network.images)
    labels = torch.tensor([0, 3, 6]).view(3, *[1] * len(logits.shape[2:]))  # of images or pixels
    nn.functional.cross_entropy(logits, labels.expand(3, *logits.shape[2:])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained.parameters())
    optimizer.step()
    with torch.inference_mode():
        assert not torch.equal(trained.eval()(network.images), network.logits)
        assert torch.equal(network.model(network.images), network.logits)


def test_a_state_dict_makes_another_network_the_same(network):
    other = network.again()
    other.load_state_dict(network.model.state_dict())
    with torch.inference_mode():
        assert torch.equal(other(network.images), network.logits)


def test_the_layout_of_the_memory_does_not_matter(network):
    model = copy.deepcopy(network.model).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        logits = model(network.images.contiguous(memory_format=torch.channels_last))
    assert_near(logits, network.logits, rtol=1e-3)


def test_autocast_comes_near_the_full_precision(network):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = network.model(network.images).float()
    error = (logits - network.logits).norm() / network.logits.norm()
    assert 0 < error < 0.1


def test_a_step_of_training_under_autocast_has_finite_gradients(network):
    trained = copy.deepcopy(network.model).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = trained(network.images).float().square().mean()
    loss.backward()
    assert all(p.grad.isfinite().all() for p in trained.parameters())


def test_the_exported_program_gives_the_same_for_any_batch(network):
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(network.model, (network.images,), dynamic_shapes=(batch,))
    with torch.inference_mode():
        assert_near(program.module()(network.images), network.logits)
        assert_near(program.module()(network.images[:2]), network.logits[:2])


def test_the_compiler_takes_the_whole_network(network):
    torch.compiler.reset()
    compiled = torch.compile(network.model, fullgraph=True, backend="eager")
    with torch.inference_mode():
        assert_near(compiled(network.images), network.logits)


def test_all_weights_are_drawn(network, monkeypatch):
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    torch.use_deterministic_algorithms(True)  # new tensors now hold NaN
    try:
        state = network.again().state_dict()
    finally:
        torch.use_deterministic_algorithms(False)
    assert [key for key, tensor in state.items() if not tensor.isfinite().all()] == []
