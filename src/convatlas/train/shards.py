"""Checkpoints of weights that are spread over processes: a folder to which each writes its part.

The parts are files of `torch.distributed.checkpoint`, which any other number of processes can
read. A folder is written aside, forced to the disk and renamed; its name ends in the checksum of
its list of contents, and that list has the checksum of every file. What torch writes, `.metadata`
above all, holds pickles: read only what your own runs have written.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException

from convatlas.errors import FileError
from convatlas.train.checkpoint import CheckpointWarning
from convatlas.train.distributed import Ranks

FORMAT = 1
LIST = "contents.json"
_NAME = re.compile(r"shards-(\d{8,})-([0-9a-f]{16})")
_ASIDE = ".shards-"


@dataclass(frozen=True, slots=True)
class ShardedCheckpoint:
    """One that is whole.

    Attributes:
        path: Its folder.
        step: Steps done when it was written.
        values: Everything but the tensors.
        tensors: Name -> shape, of all that it holds.
    """

    path: Path
    step: int
    values: dict[str, Any]
    tensors: dict[str, list[int]]

    def load(self, into: dict[str, Tensor], ranks: Ranks) -> None:
        """Fill tensors, spread over processes or not, with what the checkpoint has; together.

        Raises:
            FileError: It lacks one of them, or can't be read.
        """
        try:
            with _alone_is_fine():
                dcp.load(into, checkpoint_id=self.path, no_dist=ranks.size == 1)
        except (CheckpointException, RuntimeError, OSError, ValueError) as error:
            raise FileError(f"can't read {self.path}: {_reason(error)}") from error


@dataclass(frozen=True, slots=True)
class ShardedCheckpoints:
    """Those of one run; every process must call `save` and `newest` together.

    Attributes:
        folder: Where they lie; all processes must see it.
        keep: How many are kept, the newest ones.
    """

    folder: Path
    keep: int = 2

    def save(
        self, ranks: Ranks, step: int, tensors: dict[str, Tensor], values: dict[str, Any]
    ) -> None:
        """Write a checkpoint, then remove those that are no longer needed.

        Args:
            ranks: The processes.
            step: Steps done so far.
            tensors: Spread over processes, or alike in all of them.
            values: What JSON can hold.

        Raises:
            FileError: It can't be written; the older ones are as they were.
            FailedElsewhereError: The same, in the other processes.
        """
        aside = ranks.by_first(lambda: self._make_aside(step))
        try:
            ranks.all_or_none(lambda: self._write_part(ranks, aside, tensors))
            sums = ranks.gathered(_sums(aside, f"__{ranks.rank}_*.distcp"))
            shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
            content = {"format": FORMAT, "step": step, "values": values, "tensors": shapes}
            files = {name: total for part in sums for name, total in part.items()}
            ranks.by_first(lambda: self._publish(aside, {**content, "files": files}))
        finally:
            if ranks.first:
                shutil.rmtree(aside, ignore_errors=True)

    def newest(self, ranks: Ranks) -> ShardedCheckpoint | None:
        """Find the newest checkpoint that is whole; None when there is none.

        One that is damaged or lacks a file is removed, with a warning.
        """
        return ranks.by_first(self._newest)

    def sweep(self) -> None:
        """Remove what killed processes have left half-written."""
        for aside in self.folder.glob(f"{_ASIDE}*"):
            shutil.rmtree(aside)

    def clear(self) -> None:
        """Remove every checkpoint."""
        for path in self._folders():
            shutil.rmtree(path)

    def steps(self) -> list[int]:
        """Give the steps of the checkpoints, the newest first."""
        return [_parse(path)[0] for path in self._folders()]

    def _folders(self) -> list[Path]:
        found = [path for path in self.folder.glob("shards-*") if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: _parse(path)[0], reverse=True)

    def _make_aside(self, step: int) -> Path:
        aside = self.folder / f"{_ASIDE}{step:08d}-{os.getpid()}"
        try:
            aside.mkdir(parents=True)
        except OSError as error:
            raise FileError(f"can't write {aside}: {error.strerror or error}") from error
        return aside

    def _write_part(self, ranks: Ranks, aside: Path, tensors: dict[str, Tensor]) -> None:
        try:
            with _alone_is_fine():
                dcp.save(dict(tensors), checkpoint_id=aside, no_dist=ranks.size == 1)
        except (CheckpointException, OSError, RuntimeError) as error:
            raise FileError(f"can't write {self.folder}: {_reason(error)}") from error

    def _publish(self, aside: Path, content: dict[str, Any]) -> None:
        content["files"] |= _sums(aside, ".metadata")
        text = json.dumps(content).encode()
        checksum = hashlib.sha256(text).hexdigest()[:16]
        path = self.folder / f"shards-{content['step']:08d}-{checksum}"
        try:
            with (aside / LIST).open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            _force(aside)
            if not path.exists():  # it may: the same step with the same content
                aside.rename(path)
            _force(self.folder)
        except OSError as error:
            raise FileError(f"can't write {path}: {error.strerror or error}") from error
        self._prune(path)

    def _prune(self, written: Path) -> None:
        others = [path for path in self._folders() if path != written]
        older = [path for path in others if _parse(path)[0] < _parse(written)[0]]
        for path in others:
            if path not in older[: self.keep - 1]:
                shutil.rmtree(path)

    def _newest(self) -> ShardedCheckpoint | None:
        for path in self._folders():
            content = _whole(path)
            if content is not None:
                step, values, tensors = (content[key] for key in ("step", "values", "tensors"))
                return ShardedCheckpoint(path, step, values, tensors)
            shutil.rmtree(path)
            warnings.warn(
                f"{path} was damaged (a file is missing, or not what its checksum says) and has "
                "been removed; going back to an older checkpoint",
                CheckpointWarning,
                stacklevel=2,
            )
        return None


def _whole(path: Path) -> dict[str, Any] | None:
    """Read the list of contents if everything in it is there."""
    try:
        text = (path / LIST).read_bytes()
        if hashlib.sha256(text).hexdigest()[:16] != _parse(path)[1]:
            return None
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise FileError(
                f"{path} has format {content['format']!r}; this convatlas reads {FORMAT}"
            )
        found = {name: _sum(path / name) for name in content["files"]}
    except FileNotFoundError:
        return None
    return content if found == content["files"] and ".metadata" in found else None


def _sums(folder: Path, pattern: str) -> dict[str, str]:
    return {path.name: _sum(path) for path in sorted(folder.glob(pattern))}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(path: Path) -> tuple[int, str]:
    found = _NAME.fullmatch(path.name)
    if found is None:
        raise ValueError(f"{path} is not named as checkpoints are")
    return int(found[1]), found[2]


def _force(folder: Path) -> None:
    """Have the names in a folder written to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _alone_is_fine() -> Generator[None]:
    """Keep back what torch says when there is one process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield


def _reason(error: BaseException) -> str:
    """Find what the system said in what torch made of it."""
    if isinstance(error, CheckpointException):
        failures = [wrapped[0] for wrapped in error.failures.values()]
        system = [one for one in failures if isinstance(one, OSError)]
        return str((system or failures)[0])
    return str(error)
