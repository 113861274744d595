"""The formats that networks are written in: how each is made, written and opened again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.export import ExportedProgram

from convatlas.errors import unknown
from convatlas.export import onnx, openvino, torch_program

Run = Callable[[Tensor], Tensor]
Places = tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        suffixes: Of its files; the first is the one to open.
        packages: That it needs.
        extra: Of convatlas, which brings them.
        convert: Turns a traced network into what is written.
        write: Writes that to places, in the order of the suffixes, with a text inside.
        read: Opens it again: what runs it, and the text.
    """

    suffixes: tuple[str, ...]
    packages: tuple[str, ...]
    extra: str
    convert: Callable[[ExportedProgram], Any]
    write: Callable[[Any, Places, str], None]
    read: Callable[[Places], tuple[Run, str]]


FORMATS = {
    "onnx": Format((".onnx",), onnx.PACKAGES, onnx.EXTRA, onnx.convert, onnx.write, onnx.read),
    "openvino": Format(
        (".xml", ".bin"),
        openvino.PACKAGES,
        openvino.EXTRA,
        openvino.convert,
        openvino.write,
        openvino.read,
    ),
    "torch": Format(
        (".pt2",), (), "", lambda program: program, torch_program.write, torch_program.read
    ),
}


def find_format(name: str) -> Format:
    """Give a format by its name.

    Raises:
        UnknownNameError: There is none; the message names the nearest.
    """
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)
    return FORMATS[name]
