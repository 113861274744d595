"""What this machine can compute in, and what tells it from another."""

import os
import platform
from pathlib import Path

import torch

from convatlas.engines.engine import Precision
from convatlas.errors import InputError


def lacks(precision: Precision, device: str) -> str:
    """Say why a device can't compute in a precision at more than a crawl; or nothing."""
    if precision == "bfloat16" and not has_bfloat16(device):
        return f"the {device} of this machine has no bfloat16 arithmetic"
    if precision == "int8" and device != "cpu":
        return f"int8 runs on the cpu, not on {device}"
    return ""


def has_bfloat16(device: str) -> bool:
    """Say whether bfloat16 is computed by the hardware; emulated it is slower than float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return any(able.get(key) for key in ("avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"))


def check_precision(precision: Precision, device: str) -> None:
    """Refuse a precision that the machine lacks.

    Raises:
        InputError: It does.
    """
    reason = lacks(precision, device)
    if reason:
        raise InputError(f"{reason}: take precision='float32'")


def machine() -> dict[str, str | int]:
    """Tell what the speed of an engine depends on: processor, cores, system."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cores() -> int:
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    wanted = ("cpu family", "model", "model name")
    facts = dict(line.split(":", 1) for line in lines[:30] if ":" in line)
    return " ".join(value.strip() for key, value in facts.items() if key.strip() in wanted)
