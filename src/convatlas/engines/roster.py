"""Every engine, by name, and the plain check of what a caller asks for."""

from collections.abc import Iterable

from convatlas.engines.compiled import Compiled
from convatlas.engines.eager import Eager
from convatlas.engines.engine import PRECISIONS, Engine, Precision
from convatlas.engines.onnxruntime import OnnxRuntime
from convatlas.engines.openvino import OpenVino
from convatlas.engines.packed import Packed
from convatlas.engines.winograd import Winograd
from convatlas.errors import InputError, unknown

ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (Eager(), Packed(), Winograd(), Compiled(), OpenVino(), OnnxRuntime())
}


def find_engine(name: str) -> Engine:
    """Give an engine by its name.

    Raises:
        UnknownNameError: There is none; the message names the nearest.
    """
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    return ENGINES[name]


def find_precision(name: str) -> Precision:
    """Give a precision by its name.

    Raises:
        UnknownNameError: There is none.
    """
    for precision in PRECISIONS:
        if precision == name:
            return precision
    raise unknown("precision", name, PRECISIONS)


def refusal(engine: Engine, precision: Precision, device: str) -> str:
    """Say why an engine can't compute so here; or nothing."""
    if precision not in engine.precisions:
        able = ", ".join(engine.precisions)
        return f"the engine {engine.name} computes in {able}, not in {precision}"
    if device not in engine.devices:
        return f"the engine {engine.name} runs on {', '.join(engine.devices)}, not on {device}"
    return engine.missing(precision)


def candidates(precision: Precision, device: str) -> tuple[list[Engine], dict[str, str]]:
    """Give the engines that `auto` tries, the eager one first, and why it leaves others out."""
    able: list[Engine] = []
    left: dict[str, str] = {}
    for engine in ENGINES.values():
        reason = refusal(engine, precision, device)
        if reason:
            left[engine.name] = reason
        else:
            able.append(engine)
    others = [engine for engine in able if engine.quick and engine is not able[0]]
    for engine in [engine for engine in able if not engine.quick] if others else ():
        able.remove(engine)
        left[engine.name] = f"slow to prepare, and {others[0].name} is there: ask for it by name"
    return able, left


def why_none(precision: Precision, device: str) -> str:
    """Say why no engine computes so here: of one that could, what is not installed."""
    able = [engine for engine in ENGINES.values() if precision in engine.precisions]
    reasons = [refusal(engine, precision, device) for engine in able]
    return next(filter(None, reasons), f"no engine computes in {precision}")


def check_possible(engine: Engine, precisions: Iterable[Precision], device: str) -> None:
    """Refuse an engine that can compute in none of some precisions here.

    Raises:
        InputError: It is not installed, lacks the precision or the device.
    """
    reasons = [refusal(engine, precision, device) for precision in precisions]
    if all(reasons):
        raise InputError(reasons[0])
