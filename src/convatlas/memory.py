"""Memory kept by the process instead of given back after each layer, and the peak of its use."""

import contextlib
import ctypes
import platform
import resource
import sys
from pathlib import Path

# of malloc.h of the GNU C library
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_NEVER, _GROWTH_BYTES = -1, 64 * 2**20


def keep_memory() -> bool:
    """Let the C library keep what is freed, for the whole process and until it ends.

    By default large tensors come from the system page by page each time they are made, and go
    back when they are freed: batches of large maps spend up to half their time so. The price is
    that memory, once used, is not given back to the system, and that holes between what is in use
    stay: a tenth more in all. Runtimes with a store of their own, as ONNX Runtime, gain nothing.

    Returns:
        Whether it could be set: only the GNU C library, on Linux, can.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _GROWTH_BYTES))
    return all([mallopt(key, value) == 1 for key, value in settings])


def forget_peak() -> bool:
    """Let `peak_bytes` count from now on; say whether the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return True
    return False


def peak_bytes() -> int:
    """Give the most memory that the process held, since its start or since `forget_peak`."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        line = next(line for line in lines if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
