"""Where networks compute: on the processor or on a graphics card."""

import torch

from convatlas.errors import InputError, unknown

CPU = torch.device("cpu")


def find_device(name: str = "auto", process: int | None = None) -> torch.device:
    """Give the device of a name.

    Args:
        name: "auto": the first CUDA card, or else the processor; "cpu"; "cuda", the first card, or
            "cuda:1", the second; "mps", Apple's, which is never taken unasked.
        process: Number of this process among those of its machine that compute together, each on
            a card of its own; None: it computes alone.

    Raises:
        UnknownNameError: No device is called so.
        InputError: This machine has no such device, or not one for each process.
    """
    here = devices()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, colon, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (colon and not (kind == "cuda" and _is_place(number))):
        raise unknown("device", name, dict.fromkeys(["auto", "cpu", "cuda", *here]))
    if kind != "cuda":
        wanted = kind
    elif process is None:
        wanted = f"cuda:{number or 0}"
    elif colon:
        raise InputError(f"processes take a card each: give --device cuda, not {name}")
    else:
        wanted = f"cuda:{process}"
    if wanted not in here:
        many = "" if process is None or "cuda:0" not in here else " for each process"
        raise InputError(f"there is no {name}{many} here, only {' and '.join(here)}{_why(kind)}")
    return torch.device(wanted)


def devices() -> list[str]:
    """List the devices of this machine."""
    cards = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *cards, *(["mps"] if torch.backends.mps.is_available() else [])]


def device_words(device: torch.device) -> str:
    """Name a device as a person knows it: "cuda:0 (NVIDIA H200)"."""
    if device.type != "cuda":
        return str(device)
    return f"{device} ({torch.cuda.get_device_name(device)})"


def _is_place(number: str) -> bool:
    return number.isascii() and number.isdecimal()


def _why(kind: str) -> str:
    """Say that torch can't see cards because it was built so."""
    blind = kind == "cuda" and torch.version.cuda is None
    return "; this torch was built without CUDA" if blind else ""
