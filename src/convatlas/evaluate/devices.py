"""Where networks compute: on the processor or on a graphics card."""

import torch

from convatlas.errors import InputError, UnknownNameError

CPU = torch.device("cpu")


def find_device(name: str = "auto", part: tuple[int, int] = (0, 1)) -> torch.device:
    """Give the device of a name.

    Args:
        name: "auto": a CUDA card, or else the processor; "cpu"; "cuda", a card, or "cuda:1", the
            second; "mps", Apple's, which is never taken unasked.
        part: Number of this process among those of its machine that compute together, and how
            many they are: each takes the card of its number, alone the first. Where cards are
            fewer, "auto" is the processor.

    Raises:
        UnknownNameError: No device is called so.
        InputError: This machine has no such device, or not one for each process.
    """
    here, (number, processes) = devices(), part
    kind, colon, place = name.partition(":")
    if name == "auto":
        kind = "cuda" if torch.cuda.device_count() >= processes else "cpu"
    elif kind not in ("cpu", "cuda", "mps") or (
        colon and not (kind == "cuda" and _is_place(place))
    ):
        known = ", ".join(dict.fromkeys(["auto", "cpu", "cuda", *here]))
        raise UnknownNameError(
            f"no device named {name!r}; there are: {known}"
        )  # "gpu" is not "cpu"
    if colon and processes > 1:
        raise InputError(f"processes take a card each: give --device cuda, not {name}")
    wanted = f"cuda:{int(place or number)}" if kind == "cuda" else kind
    if wanted not in here:
        each = f" for each of {processes} processes" if processes > 1 else ""
        raise InputError(f"there is no {name}{each} here, only {' and '.join(here)}{_why(kind)}")
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
