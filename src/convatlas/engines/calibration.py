"""Weights and activations in 8 bits, their ranges read off real images. Needs the extra `int8`."""

import contextlib
import importlib
import io
from typing import Any

import torch

from convatlas.engines.engine import EngineError, Order
from convatlas.errors import InputError
from convatlas.export.needs import check_installed, import_openvino
from convatlas.export.program import quietly

LEAST_IMAGES = 8
EXTRA = "int8"


def quantized(model: Any, order: Order) -> Any:
    """Quantise an OpenVINO model of a fixed shape after training, by NNCF's default rules.

    Args:
        model: An `openvino.Model`.
        order: With the images that the ranges of activations are read off.

    Raises:
        InputError: The extra is missing, or there are too few images.
        EngineError: NNCF can't quantise the network.
    """
    import_openvino()  # first: without its reports
    check_installed(("nncf",), EXTRA, "int8")
    check_images(order)
    nncf = importlib.import_module("nncf")
    nncf.set_log_level(50)  # critical
    batches = [batch.numpy() for batch in _batches(order)]
    try:
        with quietly(), contextlib.redirect_stdout(io.StringIO()):  # it draws bars
            return nncf.quantize(model, nncf.Dataset(batches), subset_size=len(batches))
    except Exception as error:  # of any kind, from two packages
        reason = str(error).strip().partition("\n")[0]
        raise EngineError(f"NNCF can't quantise this network: {reason}") from error


def check_images(order: Order) -> torch.Tensor:
    """Give the images to calibrate with.

    Raises:
        InputError: There are too few, or they have another size than the example.
    """
    images, wanted = order.images, tuple(order.example.shape[1:])
    count = 0 if images is None else len(images)
    if images is None or count < LEAST_IMAGES:
        raise InputError(
            f"int8 is calibrated with real images, at least {LEAST_IMAGES}; got {count}: "
            "give images=, a tensor of them prepared as the network takes them"
        )
    if tuple(images.shape[1:]) != wanted:
        raise InputError(
            f"int8 is calibrated with images like the example's, (N, {', '.join(map(str, wanted))})"
            f"; got {tuple(images.shape)}"
        )
    return images


def _batches(order: Order) -> list[torch.Tensor]:
    """Cut the images into batches of the example's size; the last one is filled up."""
    images, size = check_images(order).contiguous(), len(order.example)
    short = -len(images) % size
    filled = torch.cat([images, *([images] * (short // len(images) + 1))])[: len(images) + short]
    return list(filled.split(size))
