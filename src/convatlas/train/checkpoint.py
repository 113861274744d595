"""Checkpoints: files that appear whole, are checked when read, and hold no code.

A file's name ends in the first 16 digits of its content's SHA-256, so that one rename publishes
the content and its checksum together. The newest two are kept: when one is damaged, the other one
still is there.
"""

import hashlib
import io
import pickle
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from convatlas.errors import FileError
from convatlas.files import whole_file

if TYPE_CHECKING:
    from convatlas.train.state import State

FORMAT = 1
_NAME = re.compile(r"step-(\d{8,})-([0-9a-f]{16})\.pt")


class CheckpointWarning(UserWarning):
    """A checkpoint was not what it should be, and another one was used."""


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of one run.

    Attributes:
        folder: Where they lie; made when the first one is saved.
        keep: How many are kept, the newest ones.
    """

    folder: Path
    keep: int = 2

    def save(self, step: int, content: dict[str, Any]) -> Path:
        """Write a checkpoint, then remove those that are no longer needed.

        Args:
            step: Steps done so far; the newest checkpoint is the one with the most.
            content: Tensors and plain values only.

        Raises:
            FileError: The disk is full or the folder can't be written; the older checkpoints
                are as they were and nothing else is left behind.
        """
        buffer = io.BytesIO()  # torch.save destroys the file it writes to when the disk is full
        torch.save({"format": FORMAT, "step": step, **content}, buffer)
        checksum = hashlib.sha256(buffer.getbuffer()).hexdigest()[:16]
        path = self.folder / f"step-{step:08d}-{checksum}.pt"
        with whole_file(path) as aside:
            aside.write_bytes(buffer.getbuffer())
        self._prune(path)
        return path

    def newest(self) -> dict[str, Any] | None:
        """Read the newest checkpoint that is whole; None when there is none.

        A damaged one is removed, with a warning.

        Raises:
            FileError: convatlas, or this version of it, did not write it.
        """
        for path in self._files():
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest()[:16] == _parse(path)[1]:
                return _content(path, data)
            path.unlink()
            warnings.warn(
                f"{path} was damaged (its content is not what its checksum says) and has been "
                "removed; going back to an older checkpoint",
                CheckpointWarning,
                stacklevel=2,
            )
        return None

    def take_up(self, state: "State") -> Callable[["State"], None]:
        """Let a state go on from the newest checkpoint, if there is one; give what keeps it.

        Raises:
            FileError: convatlas, or this version of it, did not write it.
        """
        kept = self.newest()
        if kept is not None:
            state.restore(kept)

        def keep(state: "State") -> None:
            self.save(state.step, state.to_dict())

        return keep

    def clear(self) -> None:
        """Remove every checkpoint."""
        for path in self._files():
            path.unlink()

    def _files(self) -> list[Path]:
        """Name the checkpoints, the newest first."""
        found = [path for path in self.folder.glob("step-*.pt") if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: _parse(path)[0], reverse=True)

    def _prune(self, written: Path) -> None:
        others = [path for path in self._files() if path != written]
        step = _parse(written)[0]
        older = [path for path in others if _parse(path)[0] < step]
        for path in others:
            if path not in older[: self.keep - 1]:
                path.unlink()


def _parse(path: Path) -> tuple[int, str]:
    found = _NAME.fullmatch(path.name)
    if found is None:
        raise ValueError(f"{path} is not named as checkpoints are")
    return int(found[1]), found[2]


def _content(path: Path, data: bytes) -> dict[str, Any]:
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        version = content["format"]
    except (pickle.UnpicklingError, RuntimeError, LookupError, TypeError, EOFError) as error:
        raise FileError(
            f"{path} was not written by convatlas: it holds more than tensors and plain values, "
            "or something else"
        ) from error
    if version != FORMAT:
        raise FileError(f"{path} has format {version!r}; this convatlas reads {FORMAT}")
    return content
