"""How much memory a network needs to answer and to train, and what takes it.

The network runs once on tensors without storage while every allocation is followed from its birth
to its death, as eager PyTorch does it: autograd keeps what the backward pass needs and frees it
on the way back, the optimizer makes its copies. Neither Python nor torch itself are counted.
"""

import contextlib
import copy
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from convatlas.analysis.allocations import BATCH, Recorder
from convatlas.analysis.timeline import Timeline
from convatlas.errors import InputError, UserError, unknown
from convatlas.recipe import SGD, Adam, DiagonalLM, Optimizer, RMSProp

Precision = Literal["float32", "bfloat16"]
Device = Literal["cpu", "cuda"]

OPTIMIZERS: dict[str, Optimizer] = {  # each decays the weights, as every recipe does
    "sgd": SGD(lr=0.1, weight_decay=1e-4),
    "momentum": SGD(lr=0.1, momentum=0.9, weight_decay=1e-4),
    "rmsprop": RMSProp(lr=0.01, momentum=0.9, weight_decay=1e-4),
    "adam": Adam(lr=0.001, weight_decay=1e-4),
}


def inference_memory(
    model: nn.Module,
    input_shape: Sequence[int],
    precision: Precision = "float32",
    device: Device = "cpu",
) -> Timeline:
    """Follow the memory of a forward pass in eval mode under `torch.no_grad`.

    Args:
        model: On any device; it is left as it was.
        input_shape: Of one image, without the batch.
        precision: "bfloat16": under autocast, which keeps a copy of the weights.
        device: "cpu": with what oneDNN takes while a convolution runs; "cuda": without it, and
            without the workspaces of cuDNN, which depend on the card.

    Raises:
        InputError: The model does not run without values, or an argument is none of the allowed.
    """
    _check(precision, device)
    with _fake(model):
        twin = _fake_copy(model).eval()
        recorder = Recorder(twin, workspace=device == "cpu")
        with recorder.hooked(), recorder, torch.no_grad(), _autocast(precision):
            twin(torch.empty(BATCH, *input_shape, dtype=_dtype(twin)))
    return Timeline(recorder.allocations, recorder.events)


def training_memory(
    model: nn.Module,
    input_shape: Sequence[int],
    optimizer: str | Optimizer = "momentum",
    precision: Precision = "float32",
    checkpointing: bool = False,
    device: Device = "cpu",
) -> Timeline:
    """Follow the memory of a training step: zero_grad, forward, loss, backward, optimizer step.

    It is a step after the first: the optimizer has its state already.

    Args:
        model: On any device; it is left as it was.
        input_shape: Of one image, without the batch.
        optimizer: A name of OPTIMIZERS, or an optimizer of a recipe.
        precision: "bfloat16": the forward pass under autocast; weights stay in float32.
        checkpointing: As after `checkpoint_stages`.
        device: As for `inference_memory`; on "cuda" the optimizer updates all weights at once.

    Raises:
        UnknownNameError: No such optimizer.
        InputError: The model does not run without values, or an argument is none of the allowed.
    """
    _check(precision, device)
    make = _optimizer_maker(optimizer, foreach=device == "cuda")
    with _fake(model):
        twin = _fake_copy(model).train()
        recorder = Recorder(twin, workspace=device == "cpu")
        if checkpointing:
            checkpoint_stages(twin)
        weights = [p for p in twin.parameters() if p.requires_grad]
        with recorder.hooked(), recorder:
            optimize = make(weights)
            _make_state(recorder, optimize, weights)
            recorder.begin("forward")
            images = torch.empty(BATCH, *input_shape, dtype=_dtype(twin))
            with _autocast(precision):
                loss = _loss(twin(images))
            recorder.begin("backward")
            loss.backward()
            _mark_gradients(recorder, weights)
            recorder.begin("optimizer step")
            optimize.step()
    return Timeline(recorder.allocations, recorder.events)


def checkpoint_stages(model: nn.Module) -> None:
    """Let every stage keep only its input for the backward pass, and compute the rest again.

    Chen et al. 2016, "Training deep nets with sublinear memory cost"
    (https://arxiv.org/abs/1604.06174), with `torch.utils.checkpoint`. The stages are the blocks
    of layers in `model.stages`, in any other model its own children; single layers stay as they
    are. The model is changed in place; its batch norms count every batch twice.
    """
    stages = [
        stage for stage in getattr(model, "stages", model).children() if any(stage.children())
    ]
    for stage in stages:
        stage.forward = partial(checkpoint, stage.forward, use_reentrant=False)


def _make_state(
    recorder: Recorder, optimizer: torch.optim.Optimizer, weights: Sequence[nn.Parameter]
) -> None:
    """Take a first step, which makes the optimizer's state, with gradients that are then freed."""
    for weight in weights:
        weight.grad = torch.empty_like(weight)
    _mark_gradients(recorder, weights)
    recorder.begin("optimizer step")
    optimizer.step()
    for tensor in tree_leaves(list(optimizer.state.values())):
        if isinstance(tensor, Tensor):
            recorder.mark(tensor, "optimizer_state")
    optimizer.zero_grad()


def _mark_gradients(recorder: Recorder, weights: Iterable[nn.Parameter]) -> None:
    for weight in weights:
        if weight.grad is not None:
            recorder.mark(weight.grad, "gradients")


def _loss(output: Any) -> Tensor:
    """Give the mean cross-entropy of logits (N, classes) or maps of them (N, classes, H, W)."""
    logits = next(leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor))
    labels = torch.empty(len(logits), *logits.shape[2:], dtype=torch.long)
    return F.cross_entropy(logits, labels)


def _optimizer_maker(
    optimizer: str | Optimizer, foreach: bool
) -> Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]:
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            raise unknown("optimizer", optimizer, OPTIMIZERS)
        optimizer = OPTIMIZERS[optimizer]
    values = {"lr": optimizer.lr, "weight_decay": optimizer.weight_decay, "foreach": foreach}
    if isinstance(optimizer, Adam):
        return partial(torch.optim.AdamW, **values)
    if isinstance(optimizer, DiagonalLM):  # it keeps the curvature as SGD keeps its momentum
        return partial(torch.optim.SGD, momentum=0.9, **values)
    momentum = optimizer.momentum
    if isinstance(optimizer, RMSProp):
        return partial(torch.optim.RMSprop, momentum=momentum, **values)
    return partial(torch.optim.SGD, momentum=momentum, nesterov=optimizer.nesterov, **values)


def _fake_copy(model: nn.Module) -> nn.Module:
    """Copy a model inside a fake mode; its tensors become fake ones, without a storage."""
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        twin = torch.empty(parameter.shape, dtype=parameter.dtype)
        memo[id(parameter)] = nn.Parameter(twin, requires_grad=parameter.requires_grad)
    for module in model.modules():
        for value in (*module.buffers(recurse=False), *vars(module).values()):
            if isinstance(value, Tensor) and id(value) not in memo:
                memo[id(value)] = torch.empty(value.shape, dtype=value.dtype)
    twin = copy.deepcopy(model, memo)
    for module in twin.modules():
        module._forward_hooks.clear()  # a user's hook must not see these tensors
    return twin


@contextlib.contextmanager
def _fake(model: nn.Module) -> Generator[None]:
    """Make tensors without storages, and say so where a model needs their values."""
    try:
        with FakeTensorMode():
            yield
    except UserError:
        raise
    except Exception as error:  # whatever a user's forward may raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{type(model).__name__} does not run without values: {reason}") from error


def _check(precision: str, device: str) -> None:
    for what, value, allowed in (
        ("precision", precision, get_args(Precision)),
        ("device", device, get_args(Device)),
    ):
        if value not in allowed:
            raise InputError(f"{what} is {' or '.join(allowed)}, not {value!r}")


def _autocast(precision: Precision) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")


def _dtype(model: nn.Module) -> torch.dtype:
    kinds = (p.dtype for p in model.parameters() if p.is_floating_point())
    return next(kinds, torch.float32)
