"""Products of matrices by the quicker of torch's two libraries for processors."""

import contextlib
from collections.abc import Generator
from pathlib import Path

import torch

_ERROR = 1e-5  # of the largest value: float32 has 1e-6, bfloat16 4e-3


@contextlib.contextmanager
def quick_products(wanted: bool) -> Generator[None]:
    """Let oneDNN multiply float32 matrices inside the block where MKL is slow, on AMD; if `wanted`.

    There MKL leaves AVX-512 alone, and is slow with few rows. torch asks oneDNN when it is told
    that bfloat16 will do inside a product; oneDNN then takes it only where the processor has AMX,
    which AMD's have not. A small product is compared all the same.
    """
    before = torch.get_float32_matmul_precision()
    if wanted and before == "highest" and _is_amd() and torch.backends.mkldnn.is_available():
        torch.set_float32_matmul_precision("medium")
        if _error() > _ERROR:
            torch.set_float32_matmul_precision(before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _is_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def _error() -> float:
    """Measure how far a product is from that in float64."""
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 64, 64, generator=draw)
    exact = a.double() @ b.double()
    return float((a @ b - exact).abs().max() / exact.abs().max())
