"""The quickest way of running a network on this machine that gives the same answers."""

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from convatlas.engines.choices import choice_key, recall, remember
from convatlas.engines.engine import PRECISIONS, EngineError, EngineWarning, Precision
from convatlas.engines.machine import check_precision, lacks
from convatlas.engines.proving import Proven, Proving
from convatlas.engines.roster import (
    ENGINES,
    candidates,
    check_possible,
    find_engine,
    find_precision,
    refusal,
    why_none,
)
from convatlas.engines.timing import Timing, measure
from convatlas.errors import InputError, UserError
from convatlas.evaluate.modes import eval_mode
from convatlas.memory import keep_memory as keep_memory_of_process

AUTO = "auto"
TRIALS = 3
FAR_BEHIND = 1.5  # times the quickest: no more is measured of an engine that takes longer


class Optimized:
    """A network prepared for images of one shape: a function from images to logits.

    Attributes:
        engine: What runs it.
        precision: In which it computes.
        timings: Milliseconds for a batch, by "engine precision"; only the winner's where the
            choice was remembered, none where there was nothing to choose.
        agreement: How far its answers are from those of the network itself.
        left_out: Why engines that were not measured, or failed, are not here.
        report: How it runs.
    """

    def __init__(
        self,
        winner: Proven,
        shape: tuple[int, ...],
        timings: Mapping[str, Timing],
        left_out: Mapping[str, str],
    ) -> None:
        """Take what `optimize` found."""
        self.engine, self.precision = winner.engine, winner.precision
        self.agreement, self.report = winner.agreement, winner.prepared.report()
        self.timings, self.left_out = dict(timings), dict(left_out)
        self._prepared, self._shape = winner.prepared, shape

    def __call__(self, x: Tensor) -> Tensor:
        """Give the logits of images: (N, C, H, W) -> (N, classes) or (N, classes, H, W).

        Raises:
            InputError: The images have another shape than it was prepared for.
        """
        if tuple(x.shape) != self._shape:
            raise InputError(
                f"this network was prepared for images {self._shape}; got {tuple(x.shape)}: "
                "call convatlas.optimize with an example of that shape"
            )
        return self._prepared.run(x)

    def __repr__(self) -> str:
        """Tell engine, precision and shape."""
        return f"Optimized({self.engine}, {self.precision}, {self._shape})"


def optimize(
    model: nn.Module,
    example: Tensor,
    engine: str = AUTO,
    precision: str = "float32",
    tolerance: float | None = None,
    *,
    images: Tensor | None = None,
    keep_memory: bool = False,
    remembered: bool = True,
) -> Optimized:
    """Prepare a network to run as fast as this machine can.

    Each engine's answers to the example, to random images and to `images` are compared with those
    of the network itself before it may run. `auto` measures the engines that are installed, in
    turn, and keeps the quickest; the choice is kept in CONVATLAS_CACHE for this network, shape,
    machine, number of threads and versions. As many threads are used as torch has.

    Args:
        model: As `create` or `load` give it, float32; it stays as it is.
        example: Images of the shape to prepare for, (N, C, H, W), on the model's device.
        engine: "eager", "packed", "winograd", "compiled", "openvino", "onnxruntime"; "auto": the
            quickest.
        precision: "float32", "bfloat16", "int8"; "auto": the quickest within the tolerance.
        tolerance: Largest error of an output as a part of the largest; None: 1e-4 in float32,
            0.05 in bfloat16, 0.3 in int8. The classes must agree besides for 99 % of the images.
        images: Real images prepared for the network, (M, C, H, W): int8 is calibrated with them.
        keep_memory: Let the process keep freed memory; see `convatlas.memory`.
        remembered: Take the choice of an earlier call; False: measure again.

    Returns:
        A callable with `.engine`, `.precision`, `.timings`, `.agreement` and `.left_out`.

    Raises:
        UnknownNameError: (a KeyError) no such engine or precision.
        InputError: (a ValueError) an engine that is not installed, a precision that the machine
            lacks, images that the network can't take.
        EngineError: The engine asked for can't take the network, or is beyond the tolerance.
    """
    asked = _precisions(precision, example.device.type, images)
    if engine != AUTO:
        check_possible(find_engine(engine), asked, example.device.type)
    if keep_memory and not keep_memory_of_process():
        warnings.warn("this C library can't be told to keep memory", EngineWarning, stacklevel=2)
    with eval_mode(model):
        proving = Proving(model, example, images, tolerance)
        if engine == AUTO:
            winner, timings, left = _quickest(proving, asked, remembered)
        else:
            winner, timings, left = _asked_for(proving, engine, asked)
    return Optimized(winner, tuple(example.shape), timings, left)


def _precisions(precision: str, device: str, images: Tensor | None) -> list[Precision]:
    """Give the precisions to try, best first."""
    if precision != AUTO:
        one = find_precision(precision)
        check_precision(one, device)
        if one == "int8" and images is None:
            raise InputError("int8 is calibrated with real images: give images=")
        return [one]
    able = [one for one in PRECISIONS if not lacks(one, device)]
    return [one for one in able if one != "int8" or images is not None]


def _asked_for(
    proving: Proving, engine: str, precisions: list[Precision]
) -> tuple[Proven, dict[str, Timing], dict[str, str]]:
    """Prepare one engine, in the quickest of some precisions."""
    proven, left = _prove(proving, [(engine, one) for one in precisions], single=True)
    timings = _measured(proving, proven) if len(proven) > 1 else {}
    return _first(proven, timings), timings, left


def _quickest(
    proving: Proving, precisions: list[Precision], remembered: bool
) -> tuple[Proven, dict[str, Timing], dict[str, str]]:
    """Prepare the engine that is remembered, or measure all."""
    pairs, left = _pairs(proving, precisions)
    asked = {"asked": [list(pair) for pair in pairs], "tolerance": proving.tolerance}
    versions = {name: ENGINES[name].versions() for name, _ in pairs}
    key = choice_key(
        proving.order("float32"), {**asked, "threads": torch.get_num_threads()}, versions
    )
    kept = _recalled(proving, key) if remembered else None
    if kept is not None:
        return *kept, left
    proven, failed = _prove(proving, pairs)
    timings = _measured(proving, proven) if len(proven) > 1 else {}
    winner = _first(proven, timings)
    kept_timings = {name: timing.to_dict() for name, timing in timings.items()}
    remember(
        key,
        {"engine": winner.engine, "precision": winner.precision, "timings": kept_timings},
    )
    return winner, timings, left | failed


def _pairs(
    proving: Proving, precisions: list[Precision]
) -> tuple[list[tuple[str, Precision]], dict[str, str]]:
    pairs: list[tuple[str, Precision]] = []
    left: dict[str, str] = {}
    for precision in precisions:
        able, reasons = candidates(precision, proving.device)
        pairs += [(engine.name, precision) for engine in able]
        left = reasons | left if precision == precisions[0] else left
    if not pairs:
        raise InputError(why_none(precisions[0], proving.device))
    return pairs, {name: why for name, why in left.items() if name not in dict(pairs)}


def _recalled(proving: Proving, key: str) -> tuple[Proven, dict[str, Timing]] | None:
    """Prepare what was the quickest before; None where it is no longer right."""
    kept = recall(key)
    try:
        if kept is None or refusal(ENGINES[kept["engine"]], kept["precision"], proving.device):
            return None
        timings = {name: Timing(**facts) for name, facts in kept["timings"].items()}
        return proving.prove(kept["engine"], kept["precision"]), timings
    except (UserError, KeyError, TypeError, AttributeError):
        return None  # other weights, or a damaged file: all are measured again


def _prove(
    proving: Proving, pairs: list[tuple[str, Precision]], single: bool = False
) -> tuple[dict[str, Proven], dict[str, str]]:
    """Prepare several; those that fail are told of, and all of them failing is an error."""
    proven: dict[str, Proven] = {}
    failed: dict[str, str] = {}
    for engine, precision in pairs:
        name = f"{engine} {precision}"
        try:
            proven[name] = proving.prove(engine, precision)
        except UserError as error:
            if len(pairs) == 1:
                raise
            failed[name] = str(error)
            if not single:
                warnings.warn(f"{name} is left out: {error}", EngineWarning, stacklevel=5)
    if not proven:
        name, reason = next(iter(failed.items()))
        raise EngineError(f"no engine can run this network within the tolerance: {name}: {reason}")
    return proven, failed


def _measured(proving: Proving, proven: dict[str, Proven]) -> dict[str, Timing]:
    """Let all run shortly, and those again that are not far behind at their best."""
    runs = {name: one.prepared.run for name, one in proven.items()}
    timings = measure(runs, proving.example, rounds=TRIALS, block_seconds=0.0)
    limit = FAR_BEHIND * min(timing.least_ms for timing in timings.values())
    close = {name: run for name, run in runs.items() if timings[name].least_ms <= limit}
    return timings | (measure(close, proving.example) if len(close) > 1 else {})


def _first(proven: dict[str, Proven], timings: dict[str, Timing]) -> Proven:
    """Give the quickest, or the only one."""
    if not timings:
        return next(iter(proven.values()))
    return proven[min(timings, key=lambda name: timings[name].median_ms)]
