"""OpenVINO's intermediate representation: an .xml file and its .bin. Needs the extra `openvino`."""

import functools
import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from convatlas.errors import InputError
from convatlas.export.needs import import_openvino
from convatlas.export.program import input_sizes, quietly

PACKAGES = ("openvino",)
EXTRA = "openvino"
KEY = "convatlas"  # of rt_info


def convert(program: ExportedProgram) -> Any:
    """Turn a traced network into an `openvino.Model`.

    Raises:
        InputError: The extra is missing, or OpenVINO can't take the network.
    """
    import_openvino()
    frontend = importlib.import_module("openvino.frontend")
    decoders = importlib.import_module("openvino.frontend.pytorch.fx_decoder")
    try:
        with quietly():
            decoder = decoders.TorchFXPythonDecoder.from_exported_program(program)
            torch_end = frontend.FrontEndManager().load_by_framework("pytorch")
            model = torch_end.convert(torch_end.load(decoder))
            # its reader takes every size for one that may vary
            model.reshape([size if isinstance(size, int) else -1 for size in input_sizes(program)])
            return model
    except Exception as error:  # of any kind, from torch or from OpenVINO
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"OpenVINO can't take this network: {reason}") from error


def write(model: Any, places: tuple[Path, ...], text: str) -> None:
    """Write a model in full precision to two files; `text` is kept in its rt_info."""
    openvino = import_openvino()
    model.set_rt_info(text, KEY)
    with tempfile.TemporaryDirectory(dir=places[0].parent, prefix=".openvino.") as folder:
        pair = Path(folder, "model.xml"), Path(folder, "model.bin")  # it takes no other suffixes
        try:
            openvino.serialize(model, str(pair[0]), str(pair[1]))
        except RuntimeError as error:  # of a full disk too
            reason = str(error).strip().partition("\n")[0]
            raise OSError(f"OpenVINO: {reason}") from error
        for part, place in zip(pair, places, strict=True):
            part.replace(place)


def read(places: tuple[Path, ...]) -> tuple[Callable[[Tensor], Tensor], str]:
    """Open files that `write` wrote: what runs them in float32, and their text."""
    model = core().read_model(*(place.read_bytes() for place in places))
    return runner(compiled(model)), model.get_rt_info([KEY]).astype(str)


@functools.cache
def core() -> Any:
    """Give the one core of this process, for its whole life.

    The stack that the plugin for processors gives to the handlers of signals goes with its core:
    the next signal after that ended the process.
    """
    return import_openvino().Core()


def compiled(model: Any, precision: str = "f32", streams: int = 1) -> Any:
    """Compile a model for this CPU, on as many threads as torch has.

    Args:
        model: An `openvino.Model`.
        precision: OpenVINO's hint: "f32" or "bf16". Left alone it takes bf16 where it can.
        streams: How many requests run side by side; they share the threads.
    """
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    if streams > 1:
        options["NUM_STREAMS"] = streams
    return core().compile_model(model, "CPU", options)


def runner(model: Any) -> Callable[[Tensor], Tensor]:
    """Give a compiled model as a function of tensors; callers in threads wait for each other."""
    request, lock = model.create_infer_request(), Lock()

    def run(x: Tensor) -> Tensor:
        with lock:
            found = request.infer([x.contiguous().numpy()], share_inputs=True)[0]
        return torch.from_numpy(found)

    return run


def piecewise_runner(model: Any, size: int) -> Callable[[Tensor], Tensor]:
    """Give a model compiled for `size` images as a function of batches, cut into as many.

    Args:
        model: Compiled for several streams: so many pieces run at a time.
        size: Of a piece; it divides the batch.
    """
    queue, lock = import_openvino().AsyncInferQueue(model), Lock()
    rest = tuple(model.output(0).shape)[1:]
    queue.set_callback(lambda request, place: place.copy_(_as_tensor(request)))

    def run(x: Tensor) -> Tensor:
        with torch.inference_mode(False):  # other threads, outside of it, write here
            out = torch.empty(len(x), *rest)
            places = out.split(size)
        with lock:
            for part, place in zip(x.contiguous().split(size), places, strict=True):
                queue.start_async([part.numpy()], place, share_inputs=True)
            queue.wait_all()
        return out

    return run


def _as_tensor(request: Any) -> Tensor:
    return torch.from_numpy(request.get_output_tensor(0).data)
