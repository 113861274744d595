"""How fast networks run here: each engine in a process of its own, all of them taking turns."""

import contextlib
import multiprocessing
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any

from convatlas.catalog import find
from convatlas.engines.engine import Precision
from convatlas.engines.machine import check_precision
from convatlas.engines.roster import ENGINES, find_engine, find_precision, refusal, why_none
from convatlas.engines.timing import Timing, summary
from convatlas.engines.worker import Job, work
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
        networks: Names.
        engines: Names, the first is what the others are compared with; none: those that are
            installed, except those that take long to prepare.
        precisions: Names.
        batches: Images at a time.
        how: The other fields of `Job`.

    Raises:
        UnknownNameError: No such network, engine or precision.
        InputError: An engine that is not installed, a precision that the machine lacks, or none
            that does what is asked.
    """
    for name in networks:
        find(name)
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

    with contextlib.ExitStack() as stack:
        lines: dict[int, Connection] = {}
        facts: list[dict[str, Any]] = []
        for i, job in enumerate(jobs):
            line = stack.enter_context(_process(job))
            facts.append(_heard(line))
            if "refused" not in facts[i]:
                lines[i] = line
            step()
        times: dict[int, list[float]] = {i: [] for i in lines}
        for turn in range(rounds):
            for i in list(lines) if turn % 2 == 0 else list(reversed(lines)):
                _take_turn(lines[i], block_seconds, times[i], facts[i])
                step()
    return _rows(jobs, facts, times)


@contextlib.contextmanager
def _process(job: Job) -> Generator[Connection]:
    context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, job), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
        with contextlib.suppress(OSError):
            ours.send(None)
        process.join(timeout=10)
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        ours.close()


def _heard(line: Connection) -> Any:
    try:
        return line.recv()
    except (EOFError, OSError):
        return {"refused": "its process died: the memory may be too small"}


def _take_turn(line: Connection, seconds: float, times: list[float], facts: dict[str, Any]) -> None:
    """Let one process run; one that has died has no further turns."""
    if "refused" in facts:
        return
    with contextlib.suppress(OSError):
        line.send(seconds)
    heard = _heard(line)
    if isinstance(heard, dict):
        facts |= heard
        return
    milliseconds, facts["peak_bytes"] = heard
    times.append(milliseconds)


def _rows(
    jobs: Sequence[Job], facts: Sequence[dict[str, Any]], times: dict[int, list[float]]
) -> list[Row]:
    rows: list[Row] = []
    base = 0.0
    for i, (job, fact) in enumerate(zip(jobs, facts, strict=True)):
        if "refused" in fact:
            rows.append(Row(job, refused=fact["refused"]))
            continue
        latency = summary(times[i])
        speed = job.batch / latency.median_ms * 1000
        base = base or speed
        kept = {key: fact[key] for key in ("peak_bytes", "prepare_seconds", "relative_error")}
        rows.append(Row(job, latency, speed, speed / base, **kept))
    return rows
