"""Predicted peaks of memory against what the allocator of the processor counts."""

import pytest
import torch
from allocator import BATCH, answer, train
from torch import nn

from convatlas import catalog
from convatlas.analysis.memory import (
    OPTIMIZERS,
    checkpoint_stages,
    inference_memory,
    training_memory,
)
from convatlas.analysis.report import analyze
from convatlas.errors import InputError, UnknownNameError
from convatlas.recipe import SGD, RMSProp

# the kinds of networks, at sizes that train in a moment; at a batch of 16 or more, torch gives
# all convolutions to oneDNN, however many threads there are
FEW = [("lenet5", (1, 32, 32)), ("nin_cifar10", (3, 32, 32)), ("resnet8_cifar", (3, 32, 32))]
MANY = [
    ("alexnet", (3, 227, 227)),
    ("vgg11", (3, 224, 224)),
    ("googlenet", (3, 64, 64)),
    ("squeezenet1_1", (3, 64, 64)),
    ("preact_resnet110_cifar", (3, 32, 32)),
    ("wide_resnet16_8_cifar", (3, 32, 32)),
    ("resnext50_32x4d", (3, 64, 64)),
    ("densenet_bc100_k12_cifar", (3, 32, 32)),
    ("mobilenet_v1", (3, 64, 64)),
    ("efficientnet_b0", (3, 64, 64)),
]
NETWORKS = [
    *(pytest.param(*network, id=network[0]) for network in FEW),
    *(pytest.param(*network, id=network[0], marks=pytest.mark.slow) for network in MANY),
]
CLOSE = 0.10


@pytest.mark.parametrize(("name", "shape"), NETWORKS)
def test_inference_takes_what_the_allocator_counts(name: str, shape: tuple[int, ...]) -> None:
    predicted = analyze(name, shape).peak_inference_bytes(BATCH)
    assert predicted == pytest.approx(answer(catalog.build(name), shape, "float32"), rel=CLOSE)


@pytest.mark.parametrize(("name", "shape"), NETWORKS)
def test_training_takes_what_the_allocator_counts(name: str, shape: tuple[int, ...]) -> None:
    predicted = analyze(name, shape).peak_training_bytes(BATCH)
    assert predicted == pytest.approx(train(catalog.build(name), shape, "float32"), rel=CLOSE)


@pytest.mark.parametrize(("name", "shape"), [NETWORKS[2], *NETWORKS[3:]])
def test_other_precision_optimizer_and_checkpointing(name: str, shape: tuple[int, ...]) -> None:
    report, model = analyze(name, shape), catalog.build(name)
    predicted = report.peak_training_bytes(BATCH, "adam", "bfloat16")
    assert predicted == pytest.approx(train(model, shape, "bfloat16", adam=True), rel=CLOSE)
    predicted = report.peak_inference_bytes(BATCH, "bfloat16")
    assert predicted == pytest.approx(answer(model, shape, "bfloat16"), rel=CLOSE)
    checkpoint_stages(model)
    predicted = report.peak_training_bytes(BATCH, checkpointing=True)
    assert predicted == pytest.approx(train(model, shape, "float32"), rel=CLOSE)


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Linear(100, 50, bias=False), nn.ReLU(), nn.Linear(50, 10, bias=False))


def test_inference_of_two_linear_layers_by_hand() -> None:
    peak = inference_memory(linear(), (100,)).peak(8)
    assert peak.weights == 4 * (100 * 50 + 50 * 10)
    assert peak.activations == 4 * 8 * (100 + 50 + 50)  # images, and both sides of the ReLU
    assert peak.bytes == peak.weights + peak.activations
    assert (peak.phase, peak.layer) == ("forward", "1")


def test_training_of_two_linear_layers_by_hand() -> None:
    timeline = training_memory(linear(), (100,), SGD(0.1, momentum=0.9))
    first, second, loss = 4 * 100 * 50, 4 * 50 * 10, 8  # the last with its gradient
    # one image: all gradients of the weights, the image, the gradient of what reaches the ReLU
    peak = timeline.peak(1)
    assert (peak.phase, peak.layer) == ("backward", "0")
    assert peak.weights == peak.gradients == peak.optimizer_state == first + second
    assert (peak.activations, peak.temporaries) == (4 * 100, 4 * 50 + loss)
    # many images: the ReLU's output and both gradients around it weigh more than those weights
    peak = timeline.peak(100)
    assert (peak.phase, peak.layer) == ("backward", "1")
    assert peak.gradients == second
    assert (peak.activations, peak.temporaries) == (400 * (100 + 50), 400 * (50 + 50) + loss)


def test_state_gradients_and_temporaries_of_the_optimizers() -> None:
    report = analyze(nn.Linear(1000, 1000, bias=False), (1000,))
    size = 4 * 1000 * 1000
    states = {"sgd": 0, "momentum": 1, "rmsprop": 2, "adam": 2}
    assert states.keys() == OPTIMIZERS.keys()
    for name, state in states.items():
        peak = report.memory(name).peak(1)
        assert peak.phase == "optimizer step"
        assert peak.gradients == size
        assert peak.optimizer_state == pytest.approx(state * size, abs=8)  # Adam counts its steps
        assert peak.temporaries >= size
    rmsprop = report.memory(RMSProp(0.1)).peak(1)
    assert rmsprop.optimizer_state == pytest.approx(size, abs=8)  # no momentum, no second state


def test_frozen_weights_have_neither_gradients_nor_state() -> None:
    model = linear()
    model[0].requires_grad_(requires_grad=False)
    peak = training_memory(model, (100,), "momentum").peak(1)
    assert peak.optimizer_state == 4 * 50 * 10
    assert peak.gradients <= 4 * 50 * 10


def test_the_model_stays_as_it_is() -> None:
    model = catalog.build("cnn_gap").eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training_memory(model, (1, 64, 64), checkpointing=True)
    inference_memory(model, (1, 64, 64))
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert all("forward" not in vars(module) for module in model.modules())
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_checkpointed_stages_learn_the_same() -> None:
    torch.manual_seed(0)
    plain = catalog.build("resnet8_cifar", num_classes=4).eval()
    kept = catalog.build("resnet8_cifar", num_classes=4).eval()
    kept.load_state_dict(plain.state_dict())
    checkpoint_stages(kept)
    images = torch.randn(2, 3, 32, 32)
    for model in (plain, kept):
        model(images).square().sum().backward()
    for ours, theirs in zip(kept.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_layer_at_the_peak_is_one_of_the_network() -> None:
    report = analyze("resnet8_cifar")
    for optimizer in (None, "momentum"):
        assert report.memory(optimizer).peak(64).layer in dict(report.model.named_modules())


def test_less_precision_and_checkpointing_save_and_a_card_needs_no_copies() -> None:
    report = analyze("resnet8_cifar")
    plain = report.peak_training_bytes(128)
    assert report.peak_training_bytes(128, precision="bfloat16") < plain
    assert report.peak_training_bytes(128, checkpointing=True) < plain
    on_card = report.memory("momentum", device="cuda").peak(128)
    assert on_card.workspace == 0
    assert on_card.bytes < plain


class Fickle(nn.Module):
    """A network whose way depends on what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x) if x.sum() > 0 else self.fc(-x)


def test_mistakes_are_named() -> None:
    report = analyze("cnn_gap")
    with pytest.raises(UnknownNameError, match="did you mean: adam"):
        report.peak_training_bytes(1, "adan")
    with pytest.raises(InputError, match="float32 or bfloat16, not 'float16'"):
        report.peak_inference_bytes(1, "float16")  # ty: ignore[invalid-argument-type]
    with pytest.raises(InputError, match="cpu or cuda, not 'tpu'"):
        report.peak_inference_bytes(1, device="tpu")  # ty: ignore[invalid-argument-type]
    for batch in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="batch is a whole number"):
            report.peak_inference_bytes(batch)  # ty: ignore[invalid-argument-type]
    with pytest.raises(InputError, match="Fickle does not run without values"):
        inference_memory(Fickle(), (4,))
