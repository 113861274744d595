"""Ways of running a network, ours and the peers', each as its own documentation says.

Every function builds what it needs in the process that calls it. Runtimes get the network of
convatlas; torchvision and timm run their own.
"""

import importlib
import io
import time
from typing import Any

import torch
from peers import timm_network, torchvision_network
from torch import Tensor, nn

from convatlas.catalog import input_shape_of
from convatlas.engines.optimize import optimize
from convatlas.engines.turns import Ready, Run
from convatlas.engines.worker import SEED, fresh, settle
from convatlas.export.program import quietly

STREAMS = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
LATENCY = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
# the same network under the name that a peer gives it; what is not here, it has not
TORCHVISION = {
    "resnet50_v1_5": "resnet50",
    **{name: name for name in ("alexnet", "vgg16", "googlenet", "inception_v3", "resnet18")},
    **{name: name for name in ("resnext50_32x4d", "densenet121", "squeezenet1_1")},
    "efficientnet_b0": "efficientnet_b0",
}
TIMM = {"mobilenet_v1": "mobilenetv1_100"}  # what torchvision has not


def sides_of(network: str, batch: int) -> list[str]:
    """Name the ways of running a network in batches of some size; the first one is ours."""
    able = ["auto float32", "auto bfloat16", "torch channels_last"]
    able += ["torchvision"] if network in TORCHVISION else []
    able += ["timm"] if network in TIMM else []
    able += ["openvino float32", "openvino", "onnxruntime"]
    return able + (["openvino float32 streams"] if batch > 1 else [])


def prepare(side: str, network: str, batch: int) -> Ready:
    """Make one side ready for random images."""
    shape = input_shape_of(network)
    x = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(SEED))
    begun = time.perf_counter()
    with quietly():
        run, facts = _SIDES[side](network, x)
    run(x)
    return Ready(run, x, {"prepare_seconds": time.perf_counter() - begun, **facts})


def _auto(network: str, x: Tensor, precision: str) -> tuple[Run, Any]:
    # fresh weights amplify what bfloat16 rounds: the error is kept in the result, not judged
    tolerance = None if precision == "float32" else 1.0
    model = fresh(network, tuple(x.shape[1:]))
    ready = optimize(model, x, precision=precision, tolerance=tolerance, remembered=False)
    timings = {name: timing.median_ms for name, timing in ready.timings.items()}
    chosen = {"engine": ready.engine, "precision": ready.precision, "timings": timings}
    return ready, {**chosen, "relative_error": ready.agreement.relative_error}


def _eager(model: nn.Module, x: Tensor, channels_last: bool) -> Run:
    if channels_last:
        model.to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]
        x = x.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(_: Tensor) -> Tensor:
        return model(x)

    return run


def _channels_last(network: str, x: Tensor) -> tuple[Run, Any]:
    return _eager(fresh(network, tuple(x.shape[1:])), x, channels_last=True), {}


def _torchvision(network: str, x: Tensor) -> tuple[Run, Any]:
    model = settle(torchvision_network(TORCHVISION[network]), x[:4])
    return _eager(model, x, channels_last=False), {}


def _timm(network: str, x: Tensor) -> tuple[Run, Any]:
    return _eager(settle(timm_network(TIMM[network]), x[:4]), x, channels_last=True), {}


def _openvino_model(network: str, x: Tensor) -> Any:
    openvino = importlib.import_module("openvino")
    model = fresh(network, tuple(x.shape[1:]))
    return openvino, openvino.convert_model(model, example_input=x, input=list(x.shape))


def _openvino(network: str, x: Tensor, config: dict[str, str]) -> tuple[Run, Any]:
    openvino, model = _openvino_model(network, x)
    compiled = openvino.compile_model(model, "CPU", config)
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    return lambda x: torch.from_numpy(compiled(x.numpy())[0]), {"inference_precision": precision}


def _openvino_streams(network: str, x: Tensor) -> tuple[Run, Any]:
    """Ask for the images one by one, several at a time."""
    openvino, model = _openvino_model(network, x[:1])
    compiled = openvino.compile_model(model, "CPU", STREAMS)
    queue = openvino.AsyncInferQueue(compiled)
    parts = [part.numpy() for part in x.split(1)]
    out: list[Any] = [None] * len(parts)
    queue.set_callback(lambda request, i: out.__setitem__(i, request.get_output_tensor().data[0]))

    def run(_: Tensor) -> Tensor:
        for i, part in enumerate(parts):
            queue.start_async({0: part}, i)
        queue.wait_all()
        return torch.from_numpy(out[0])

    return run, {"streams": len(queue)}


def _onnxruntime(network: str, x: Tensor) -> tuple[Run, Any]:
    runtime = importlib.import_module("onnxruntime")
    file = io.BytesIO()
    torch.onnx.export(fresh(network, tuple(x.shape[1:])), (x,), dynamo=True, verbose=False).save(
        file
    )
    session = runtime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0]), {}


_SIDES = {
    "auto float32": lambda network, x: _auto(network, x, "float32"),
    "auto bfloat16": lambda network, x: _auto(network, x, "bfloat16"),
    "torch channels_last": _channels_last,
    "torchvision": _torchvision,
    "timm": _timm,
    "openvino float32": lambda network, x: _openvino(network, x, LATENCY),
    "openvino float32 streams": _openvino_streams,
    "openvino": lambda network, x: _openvino(network, x, {}),
    "onnxruntime": _onnxruntime,
}
