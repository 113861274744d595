"""Bring a run to the device that it computes on, and leave the caller's as it was."""

import contextlib
from collections.abc import Generator

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def computing_on(device: torch.device | None) -> Generator[None]:
    """Compute inside the block; the caller's own chance goes on afterwards as if nothing was.

    Args:
        device: A CUDA card becomes torch's present one; None: the processor.
    """
    if device is None or device.type != "cuda":
        with torch.random.fork_rng(devices=()):
            yield
        return
    with torch.random.fork_rng(devices=[device]), torch.cuda.device(device):
        yield


def device_of(module: nn.Module) -> torch.device:
    """Give the device of a module's parameters; the processor where it has none."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


def placed(tensor: Tensor, device: torch.device) -> Tensor:
    """Bring a tensor to a device; to a CUDA card while the processor goes on."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
