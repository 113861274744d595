"""The format of `torch.export` itself, .pt2: needs nothing but torch, not even convatlas."""

import io
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from convatlas.export.program import quietly

KEY = "convatlas.json"  # of extra_files


def write(program: ExportedProgram, places: tuple[Path, ...], text: str) -> None:
    """Write a traced network; `text` is kept beside it in the file."""
    whole = io.BytesIO()  # torch's own writer aborts the process where the disk is full
    with quietly():
        torch.export.save(program, whole, extra_files={KEY: text})
    places[0].write_bytes(whole.getbuffer())


def read(places: tuple[Path, ...]) -> tuple[Callable[[Tensor], Tensor], str]:
    """Open a file that `write` wrote: what runs it, and its text."""
    extra = {KEY: ""}
    with quietly(), places[0].open("rb") as file:
        module = torch.export.load(file, extra_files=extra).module()

    def run(x: Tensor) -> Tensor:
        with torch.inference_mode():
            return module(x)

    return run, extra[KEY]
