"""How a run computes, as against what it learns, which the recipe says."""

from dataclasses import dataclass
from typing import Any

import torch

from convatlas.data.tolerant import MAX_BAD
from convatlas.errors import InputError, unknown
from convatlas.evaluate.devices import CPU, find_device
from convatlas.train.distributed import ALONE, Ranks
from convatlas.train.learner import Precision, check_compiler
from convatlas.train.tracking import check_trackers

PRECISIONS: tuple[Precision, ...] = ("float32", "bf16")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run needs besides network, images, recipe and seed.

    Attributes:
        workers: Processes that read images; the result does not depend on it.
        checkpoint_every: Seconds between checkpoints within an epoch.
        device: Where to compute, see `convatlas.evaluate.devices.find_device`; of several
            processes, each takes a card of its own. None: where the network is.
        precision: "bf16" computes forward and backward passes in bfloat16 by autocast.
        micro_batch: Most images that are computed at once; a larger batch is gathered from
            several passes. None: whole batches.
        compile: Let `torch.compile` build the network and its loss.
        deterministic: Let torch use only algorithms that give the same bits each time, and tie
            the run to its number of threads.
        skip_bad_steps: Most steps of a run that may be left out because their loss or gradient is
            not finite.
        max_bad: Greatest part of the images of a split that may be bad, 0 to 1.
        sync_norm: Batch norms take mean and variance over the images of all processes.
        shard: Each process keeps a part of the weights; see `convatlas.train.sharding`.
        ranks: The processes that train together; see `convatlas.train.distributed`.
        track: Who is told of the metrics besides `metrics.jsonl`; see `train.tracking`.
        keep_memory: The process keeps memory that it has used, until it ends; see
            `convatlas.memory`.
        fused: The optimizer changes each weight in one pass through memory, where torch has that.
    """

    workers: int = 0
    checkpoint_every: float = 60.0
    device: str | None = None
    precision: Precision = "float32"
    micro_batch: int | None = None
    compile: bool = False
    deterministic: bool = False
    skip_bad_steps: int = 0
    max_bad: float = MAX_BAD
    sync_norm: bool = False
    shard: bool = False
    ranks: Ranks = ALONE
    track: tuple[str, ...] = ()
    keep_memory: bool = False
    fused: bool = False

    def __post_init__(self) -> None:
        """Refuse what nothing can be computed with."""
        if self.workers < 0:
            raise InputError(f"workers must be at least 0, not {self.workers}")
        if self.checkpoint_every < 0:
            raise InputError(f"checkpoint_every must be 0 or more, not {self.checkpoint_every}")
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        if self.micro_batch is not None and self.micro_batch < 1:
            raise InputError(f"micro_batch must be at least 1, not {self.micro_batch}")
        if not 0 <= self.max_bad <= 1:
            raise InputError(f"max_bad goes from 0 to 1 (100 %), not {self.max_bad}")
        if self.skip_bad_steps < 0:
            raise InputError(f"skip_bad_steps must be at least 0, not {self.skip_bad_steps}")
        _ = self.place
        if self.compile:
            check_compiler()
        check_trackers(self.track)

    @property
    def place(self) -> torch.device | None:
        """The device to compute on; None: where the network is.

        Raises:
            UnknownNameError: No device is called so.
            InputError: This machine has none.
        """
        if self.device is None:
            return None
        return find_device(self.device, (self.ranks.host_rank, self.ranks.host_size))

    def to_config(self, threads: int) -> dict[str, Any]:
        """Give those that decide the result, for `config.json`; `threads` compute it."""
        return {
            "device": (self.place or CPU).type,
            "precision": self.precision,
            "micro_batch": self.micro_batch,
            "compile": self.compile,
            "deterministic": self.deterministic,
            "threads": threads if self.deterministic else None,
            "sync_norm": self.sync_norm,
            "shard": self.shard,
        }


DEFAULTS = RunOptions()
