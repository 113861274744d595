"""Write a trained network for another runtime: converted, reloaded, compared, then kept."""

import contextlib
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.catalog import input_shape_of
from convatlas.data.digits import open_digits
from convatlas.data.preprocess import Preprocessing
from convatlas.data.splits import Split
from convatlas.errors import FileError, InputError
from convatlas.evaluate.modes import eval_mode
from convatlas.export.agreement import (
    FLOAT32_TOLERANCE,
    ROUNDINGS,
    Agreement,
    compare,
    rounding,
)
from convatlas.export.formats import Format, Run, find_format
from convatlas.export.needs import check_installed
from convatlas.export.program import takes_any_size, trace
from convatlas.files import whole_file

BATCHES = (1, 3)  # of random images; the example that was traced had another
REAL_IMAGES = 8
LARGER = 64  # pixels: a second size, where any is taken; U-Net's halve four times


@contextlib.contextmanager
def _aside(paths: Sequence[Path]) -> Generator[tuple[Path, ...]]:
    """Write several files aside; the first, which is opened first, gets its name last."""
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(whole_file(path)) for path in paths)


@dataclass(frozen=True, slots=True)
class Checked:
    """One comparison of the reloaded file with the network."""

    images: str
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and how well it agrees with the network.

    Attributes:
        files: What was written; the first is the one to open.
        format: Its format.
        input_shape: (N, channels, height, width); what may vary is a word.
        bytes: Of all files.
        checks: The comparisons, all within the tolerance.
    """

    files: tuple[str, ...]
    format: str
    input_shape: tuple[int | str, ...]
    bytes: int
    checks: tuple[Checked, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON takes them."""
        return asdict(self)


def export_network(
    model: nn.Module,
    metadata: Mapping[str, Any],
    path: str | Path,
    format_name: str,
    *,
    any_size: bool = True,
    images: Split | None = None,
    tolerance: float = FLOAT32_TOLERANCE,
) -> Exported:
    """Write a network for another runtime, and prove that it computes the same.

    The file is written aside, reloaded by its runtime and compared over random images of several
    batch sizes, of another height and width where the file takes any, and over real images.

    Args:
        model: As `convatlas.load` gives it, float32 on the CPU; left as it was.
        metadata: Likewise; kept inside the file, class names and preprocessing with it.
        path: The file to write, with the suffix of its format.
        format_name: "onnx", "openvino" or "torch".
        any_size: Let height and width vary where the network and the format allow it.
        images: Real ones; None: embedded digits. Without preprocessing there are none.
        tolerance: Largest relative error; where the network itself is further from its answers in
            float64, `ROUNDINGS` times that.

    Raises:
        InputError: The format needs an extra that is missing or can't take the network, or the
            file answers otherwise than the network; then nothing is written.
        UnknownNameError: No such format.
        FileError: The file can't be written.
    """
    kind, path = checked_format(path, format_name), Path(path)
    files = [path.with_suffix(suffix) for suffix in kind.suffixes]
    shape = _image_shape(metadata)
    text = json.dumps(dict(metadata), ensure_ascii=False)
    problem: InputError | None = None
    for vary in (True, False) if any_size else (False,):
        try:
            program = trace(model, shape, vary)
            vary = takes_any_size(program)
            with eval_mode(model), _aside(files) as places:
                kind.write(kind.convert(program), places, text)
                run, kept = kind.read(places)
                if kept != text:
                    raise FileError(f"the text inside {path} changed on its way through the file")
                tests = _tests(shape, vary, metadata, images)
                checks = tuple(_check(model, run, what, x, tolerance) for what, x in tests)
                size = sum(place.stat().st_size for place in places)
        except InputError as error:
            problem = error
            if vary:
                continue  # a runtime may do with one size what it can't with any
            break
        sides: tuple[int | str, ...] = ("height", "width") if vary else shape[1:]
        return Exported(
            tuple(map(str, files)), format_name, ("batch", shape[0], *sides), size, checks
        )
    raise InputError(f"{path} was not written: {problem}") from problem


def checked_format(path: str | Path, name: str) -> Format:
    """Give a format, and refuse a path that has not its suffix.

    Raises:
        InputError: The path has another suffix, or the format needs an extra that is missing.
        UnknownNameError: No such format.
    """
    kind = find_format(name)
    if Path(path).suffix != kind.suffixes[0]:
        raise InputError(
            f"a file of the format {name} ends with {kind.suffixes[0]}, not {Path(path).name!r}"
        )
    check_installed(kind.packages, kind.extra, f"the format {name}")
    return kind


def _image_shape(metadata: Mapping[str, Any]) -> tuple[int, int, int]:
    """Give the images that a network takes: of its preprocessing, or else its paper's."""
    channels = int(metadata["in_channels"])
    if metadata.get("preprocessing"):
        height, width = Preprocessing.from_dict(metadata["preprocessing"]).size
        return channels, height, width
    shape = input_shape_of(metadata["architecture"], **metadata["overrides"])
    return channels, shape[1], shape[2]


def _tests(
    shape: tuple[int, int, int], any_size: bool, metadata: Mapping[str, Any], images: Split | None
) -> list[tuple[str, Tensor]]:
    """Give the images to compare on, and what they are."""
    draw = torch.Generator().manual_seed(0)
    channels, height, width = shape
    found = [(f"{count} random", torch.randn(count, *shape, generator=draw)) for count in BATCHES]
    if any_size:
        rows, columns = height + LARGER, width + LARGER // 2
        larger = torch.randn(1, channels, rows, columns, generator=draw)
        found.append((f"1 random of {rows}x{columns}", larger))
    if metadata.get("preprocessing"):
        found.append((f"{REAL_IMAGES} real", real_images(metadata, images)))
    return found


def real_images(metadata: Mapping[str, Any], images: Split | None, count: int = 0) -> Tensor:
    """Prepare the first images of a split, or embedded digits: (N, C, H, W)."""
    prepare = Preprocessing.from_dict(metadata["preprocessing"])
    split = open_digits().test if images is None else images
    which = range(min(count or REAL_IMAGES, len(split)))
    return torch.stack([prepare(split.image(i)) for i in which])


def _check(model: nn.Module, run: Run, what: str, x: Tensor, tolerance: float) -> Checked:
    with torch.inference_mode():
        expected = model(x)
    answers = run(x)
    found = compare(expected, answers, tolerance)
    if found.misfit(tolerance):
        tolerance = max(tolerance, ROUNDINGS * rounding(model, x, expected))
        found = compare(expected, answers, tolerance)
    misfit = found.misfit(tolerance)
    if misfit:
        raise InputError(f"over {what} images the reloaded file has {misfit}")
    return Checked(what, found)
