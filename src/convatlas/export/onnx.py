"""ONNX files, with class names and preprocessing inside. Needs the extra `onnx`."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from convatlas.errors import InputError
from convatlas.export.needs import check_installed
from convatlas.export.program import quietly

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
EXTRA = "onnx"
INPUT, OUTPUT = "images", "logits"
KEY = "convatlas"  # of metadata_props
_AXES = ("batch", None, "height", "width")


def convert(program: ExportedProgram) -> Any:
    """Turn a traced network into an ONNX model, an `onnx.ModelProto`.

    Raises:
        InputError: The extra is missing, or ONNX can't express the network.
    """
    check_installed(PACKAGES, EXTRA, "ONNX")
    try:
        with quietly():
            found = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
            )
    except Exception as error:  # of any kind, from any of three packages
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"the ONNX exporter can't take this network: {reason}") from error
    made = getattr(found, "model_proto", None)
    if made is None:
        raise InputError("the ONNX exporter gave no model")
    _name_axes(made)
    return made


def _name_axes(model: Any) -> None:
    """Call the axes that vary batch, height and width, instead of s77."""
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    names = {
        size.dim_param: axis
        for size, axis in zip(sizes, _AXES, strict=True)
        if size.dim_param and axis
    }
    for value in (*model.graph.input, *model.graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param in names:
                size.dim_param = names[size.dim_param]


def write(model: Any, places: tuple[Path, ...], text: str) -> None:
    """Write an ONNX model; `text` is kept in its metadata."""
    onnx = importlib.import_module("onnx")
    onnx.helper.set_model_props(model, {KEY: text})
    places[0].write_bytes(model.SerializeToString())


def read(places: tuple[Path, ...]) -> tuple[Callable[[Tensor], Tensor], str]:
    """Open a file that `write` wrote: what runs it, on as many threads as torch, and its text."""
    run = session(places[0].read_bytes())
    return runner(run), run.get_modelmeta().custom_metadata_map[KEY]


def session(model: bytes, batch: int | None = None) -> Any:
    """Load an ONNX model into ONNX Runtime, on as many threads as torch has.

    Args:
        model: As it stands in a file.
        batch: Images at a time, where that is known: shapes that do not vary are planned for.
    """
    check_installed(PACKAGES, EXTRA, "ONNX Runtime")
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    if batch is not None:
        options.add_free_dimension_override_by_name(_AXES[0], batch)
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def runner(run: Any) -> Callable[[Tensor], Tensor]:
    """Give a session of ONNX Runtime as a function of tensors."""
    name = run.get_inputs()[0].name
    return lambda x: torch.from_numpy(run.run(None, {name: x.contiguous().numpy()})[0])
