"""The images of a source that a method looks at, as its options choose them."""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

from convatlas.errors import InputError, unknown

if TYPE_CHECKING:
    from convatlas.data.loader import Batch
    from convatlas.data.splits import Split
    from convatlas.serve.predictor import Predictor

BATCH = 64
LIMIT = 1000
SPLITS = ("train", "val", "test")


def chosen_split(options: Mapping[str, Any]) -> "Split":
    """Open the split that --data, --split and --root name: by default the test split."""
    from convatlas.data.sources import open_source

    if "data" not in options:
        raise InputError("whose images? name them: --data digits, --data folder:PATH, ...")
    split = options.get("split", "test")
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    return getattr(open_source(options["data"], root=options.get("root")), split)


def image_batches(
    predictor: "Predictor", split: "Split", options: Mapping[str, Any]
) -> Iterator["Batch"]:
    """Give the first --limit images of a split, by default a thousand, in batches."""
    from convatlas.data.loader import Batch, batches

    limit = options.get("limit", LIMIT)
    if limit < 1:
        raise InputError(f"--limit must be at least 1, not {limit}")
    parts = batches(split, predictor.preprocessing, BATCH)
    for begun, batch in zip(count(0, BATCH), parts, strict=False):
        if begun >= limit:
            return
        left = limit - begun
        yield Batch(batch.images[:left], batch.labels[:left], batch.indices[:left])
