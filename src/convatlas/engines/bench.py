"""How fast networks run here: each engine in a process of its own, all of them taking turns."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from convatlas.engines.engine import Precision
from convatlas.engines.machine import check_precision
from convatlas.engines.roster import ENGINES, find_engine, find_precision, refusal, why_none
from convatlas.engines.timing import Timing
from convatlas.engines.turns import Found, in_turn
from convatlas.engines.worker import Job, check_network, prepared
from convatlas.errors import InputError

ROUNDS = 5
BLOCK_SECONDS = 0.3
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Row:
    """What one engine does with one network.

    Attributes:
        job: What was run.
        latency: Of a batch.
        images_per_second: By the median latency.
        ratio: To the images per second of the first engine of the same network and batch.
        peak_bytes: Most memory that its process held while it ran.
        prepare_seconds: Until it could run, its check included.
        relative_error: Of its answers, to those of the network itself.
        refused: Why there are no figures; empty: there are.
    """

    job: Job
    latency: Timing | None = None
    images_per_second: float = 0.0
    ratio: float = 0.0
    peak_bytes: int = 0
    prepare_seconds: float = 0.0
    relative_error: float = 0.0
    refused: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON takes them."""
        flat = asdict(self)
        return flat.pop("job") | flat


def plan(
    networks: Sequence[str],
    engines: Sequence[str] = (),
    precisions: Sequence[str] = ("float32",),
    batches: Sequence[int] = (1,),
    **how: Any,
) -> list[list[Job]]:
    """List what to run: the engines of one network and batch together.

    Args:
        networks: Names, run folders, files of weights.
        engines: Names, the first is what the others are compared with; none: those that are
            installed, except those that take long to prepare.
        precisions: Names.
        batches: Images at a time.
        how: The other fields of `Job`.

    Raises:
        UnknownNameError: No such network, engine or precision.
        InputError: An engine that is not installed, a precision that the machine lacks, or none
            that does what is asked.
        FileError: A file of weights that is not there, or can't be read.
    """
    for name in networks:
        check_network(name)
    pairs: list[tuple[str, Precision]] = []
    for precision in map(find_precision, precisions):
        check_precision(precision, "cpu")
        for name in engines or ENGINES:
            reason = refusal(find_engine(name), precision, "cpu")
            if reason and engines:
                raise InputError(reason)
            if not reason and (engines or ENGINES[name].quick):
                pairs.append((name, precision))
        if not any(found == precision for _, found in pairs):
            raise InputError(why_none(precision, "cpu"))
    return [
        [Job(network, batch, engine, precision, **how) for engine, precision in pairs]
        for network in networks
        for batch in batches
    ]


def bench(
    jobs: Sequence[Job],
    rounds: int = ROUNDS,
    block_seconds: float = BLOCK_SECONDS,
    progress: Progress | None = None,
) -> list[Row]:
    """Measure the engines of one network and batch, in turn and every other round backwards.

    Args:
        jobs: One list of `plan`.
        rounds: Turns of each.
        block_seconds: How long a turn lasts at least.
        progress: Told how many steps are done, of how many: preparations and turns.
    """
    steps = len(jobs) * (1 + rounds)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, steps)

    found = in_turn([partial(prepared, job) for job in jobs], rounds, block_seconds, step)
    return _rows(jobs, found)


def _rows(jobs: Sequence[Job], found: Sequence[Found]) -> list[Row]:
    rows: list[Row] = []
    base = 0.0
    for job, one in zip(jobs, found, strict=True):
        if one.refused:
            rows.append(Row(job, refused=one.refused))
            continue
        latency = one.timing()
        speed = job.batch / latency.median_ms * 1000
        base = base or speed
        kept = {key: one.facts[key] for key in ("prepare_seconds", "relative_error")}
        rows.append(Row(job, latency, speed, speed / base, one.peak_bytes, **kept))
    return rows
