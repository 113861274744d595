"""The images of a source that a method looks at, as its options choose them."""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

from convatlas.errors import InputError, unknown

if TYPE_CHECKING:
    from PIL import Image

    from convatlas.data.loader import Batch
    from convatlas.data.splits import Split
    from convatlas.serve.predictor import Predictor

BATCH = 64
LIMIT = 1000
SPLITS = ("train", "val", "test")


def chosen_split(options: Mapping[str, Any]) -> "Split":
    """Open the split that --data, --split and --root name: by default the test split."""
    return chosen_images(options)[0]


def chosen_images(options: Mapping[str, Any]) -> tuple["Split", tuple[str, ...]]:
    """Open the same split, and give the names of its classes with it."""
    from convatlas.data.sources import open_source

    if "data" not in options:
        raise InputError("whose images? name them: --data digits, --data folder:PATH, ...")
    split = options.get("split", "test")
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    source = open_source(options["data"], root=options.get("root"))
    return getattr(source, split), tuple(source.card.classes)


class SomeImages:
    """So many images of a split, evenly spread over it; all where there are not more.

    Attributes:
        labels: Theirs.
    """

    def __init__(self, split: "Split", limit: int) -> None:
        """Take a split and how many of its images, at least one."""
        if limit < 1:
            raise InputError(f"--limit must be at least 1, not {limit}")
        count = min(limit, len(split))
        self._split, self._chosen = split, [i * len(split) // count for i in range(count)]
        labels = split.labels
        self.labels = [labels[i] for i in self._chosen]

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, i: int) -> "Image.Image":
        """Give image `i`."""
        return self._split.image(self._chosen[i])

    def label(self, i: int) -> int:
        """Give the class of image `i`."""
        return self.labels[i]

    def name(self, i: int) -> str:
        """Name image `i` as the split does."""
        return self._split.name(self._chosen[i])


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
