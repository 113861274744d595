"""Weights and activations in 8 bits, their ranges read off real images. Needs the extra `int8`."""

import contextlib
import importlib
import io
from types import ModuleType
from typing import Any

import torch

from convatlas.engines.engine import EngineError, Order
from convatlas.errors import InputError
from convatlas.export.needs import check_installed, import_openvino
from convatlas.export.program import quietly

LEAST_IMAGES = 8
MOST_IMAGES = 128  # that ranges are read off: more hardly change them
EXTRA = "int8"
_WITH_WEIGHTS = ("Convolution", "GroupConvolution", "MatMul")
_UNEVEN = ("Swish", "HSwish", "Gelu", "Elu", "PRelu", "Mish")  # a little below 0, far above it
_WIDE_SUMS = ("avx512_vnni", "avx_vnni", "amx_int8")


def quantized(model: Any, order: Order) -> Any:
    """Quantise an OpenVINO model of a fixed shape after training, by NNCF.

    It differs from NNCF's defaults where that makes the answers of any network more accurate:

    - The range of an activation is the one of the least squared error over all images; the mean
      of every image's extremes cuts off more of the large values.
    - What follows the last layer with weights stays in floating point: a pooling of class maps
      would take them in 8 bits just before the classes are compared.
    - Each image counts by itself, however many the example has.
    - The first layer's weights have all 8 bits where the processor adds products in 32; elsewhere
      sums in 16 bits might overflow, for which NNCF leaves one bit free.

    Activations that go a little below 0 and far above it get ranges that are not symmetric.

    Args:
        model: An `openvino.Model`.
        order: With the images that the ranges of activations are read off; of many, some
            `MOST_IMAGES` are taken, evenly.

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
    data = nncf.Dataset(batches)
    try:
        with quietly(), contextlib.redirect_stdout(io.StringIO()):  # it draws bars
            return nncf.quantize(model, data, subset_size=len(batches), **_rules(nncf, model))
    except Exception as error:  # of any kind, from two packages
        reason = str(error).strip().partition("\n")[0]
        raise EngineError(f"NNCF can't quantise this network: {reason}") from error


def _rules(nncf: ModuleType, model: Any) -> dict[str, Any]:
    """Give what NNCF is asked for besides its defaults."""
    ranges = importlib.import_module("nncf.quantization.range_estimator")
    kinds = [node.get_type_name() for node in model.get_ordered_ops()]
    able = torch.cpu.get_capabilities()
    advanced: dict[str, Any] = {
        "activations_range_estimator_params": ranges.RangeEstimatorParametersSet.HISTOGRAM,
        "batchwise_statistics": model.input(0).shape[0] > 1,
    }
    if any(able.get(name) for name in _WIDE_SUMS):
        advanced["overflow_fix"] = nncf.OverflowFix.DISABLE
    uneven = any(kind in _UNEVEN for kind in kinds)
    presets = nncf.QuantizationPreset
    return {
        "preset": presets.MIXED if uneven else presets.PERFORMANCE,
        "ignored_scope": nncf.IgnoredScope(names=_tail(model), validate=False),
        "advanced_parameters": nncf.AdvancedQuantizationParameters(**advanced),
    }


def _tail(model: Any) -> list[str]:
    """Name what follows the last layer with weights."""
    names: list[str] = []
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind in _WITH_WEIGHTS:
            names = []
        elif kind not in ("Constant", "Result"):
            names.append(node.get_friendly_name())
    return names


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
    images, size = check_images(order), len(order.example)
    if len(images) > MOST_IMAGES:
        images = images[torch.linspace(0, len(images) - 1, MOST_IMAGES).long()]
    short = -len(images) % size
    filled = torch.cat([images, *([images] * (short // len(images) + 1))])[: len(images) + short]
    return list(filled.contiguous().split(size))
