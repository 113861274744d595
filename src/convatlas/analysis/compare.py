"""Networks side by side: what they cost, and the errors that papers print for them."""

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from convatlas.analysis.code import code_digest
from convatlas.analysis.ledger import read_ledger
from convatlas.analysis.published import Published, common_test, published_errors
from convatlas.analysis.report import Report, analyze
from convatlas.errors import FileError, InputError
from convatlas.files import cache_folder, write_text

COSTS = ("params", "macs", "weight_layers", "activation_bytes", "receptive_field")


@dataclass(frozen=True, slots=True)
class Entry:
    """A network among others.

    Attributes:
        report: What it costs, layer by layer.
        inference_bytes: Predicted peak memory of inference, for the comparison's batch.
        training_bytes: Of a training step with momentum.
        published: The errors that compare it best with the others; None: nobody prints any.
        all_published: The errors of every test that is printed.
    """

    report: Report
    inference_bytes: int
    training_bytes: int
    published: Published | None
    all_published: tuple[Published, ...]

    @property
    def name(self) -> str:
        """The network's name."""
        return self.report.name

    def to_dict(self) -> dict[str, Any]:
        """Give everything as numbers, strings and lists, for JSON."""
        return {
            "name": self.name,
            "input_shape": list(self.report.input_shape),
            **{cost: getattr(self.report, cost) for cost in COSTS},
            "inference_bytes": self.inference_bytes,
            "training_bytes": self.training_bytes,
            "published": self.published and self.published.to_dict(),
            "all_published": [result.to_dict() for result in self.all_published],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Networks side by side.

    Attributes:
        batch: Images, for the predicted peaks of memory.
        entries: In the order asked for.
    """

    batch: int
    entries: tuple[Entry, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give everything as numbers, strings and lists, for JSON."""
        return {"batch": self.batch, "networks": [entry.to_dict() for entry in self.entries]}


def compare(
    names: Sequence[str],
    batch: int = 32,
    input_shape: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Measure networks, and look up what papers print of their errors.

    Peaks of memory take seconds to predict: they are kept in CONVATLAS_CACHE (~/.cache/convatlas),
    in `costs/`, for as long as the code that predicts them and the version of torch stay the same.

    Args:
        names: Names of the catalog; each is compared once.
        batch: Images, for the predicted peaks of memory.
        input_shape: Of one image for all, (channels, height, width); by default each network's.
        progress: Called before each network: how many are done, of how many.

    Raises:
        UnknownNameError: No such network.
        InputError: No names, or a network does not run on such an input.
    """
    names = list(dict.fromkeys(names))
    if not names:
        raise InputError("nothing to compare: give the names of networks")
    claims = read_ledger()
    results = {name: published_errors(name, claims) for name in names}
    chosen = common_test(results)
    entries = []
    for done, name in enumerate(names):
        if progress is not None:
            progress(done, len(names))
        report = analyze(name, input_shape)
        inference, training = _peaks(report, batch)
        published = chosen.get(name)
        entries.append(Entry(report, inference, training, published, tuple(results[name])))
    return Comparison(batch, tuple(entries))


def _peaks(report: Report, batch: int) -> tuple[int, int]:
    """Give the peaks of inference and of training, from the cache where they are known."""
    path, key = cache_folder("costs") / f"memory-{report.name}.json", code_digest()
    what = "x".join(map(str, (batch, *report.input_shape)))
    known: dict[str, list[int]] = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # missing or damaged
        kept = json.loads(path.read_text(encoding="utf-8"))
        known = dict(kept["peaks"]) if kept["key"] == key else {}
        inference, training = map(int, known[what])
        return inference, training
    found = report.peak_inference_bytes(batch), report.peak_training_bytes(batch)
    with contextlib.suppress(FileError):  # a cache that can't be written only costs time
        write_text(path, json.dumps({"key": key, "peaks": {**known, what: list(found)}}))
    return found
