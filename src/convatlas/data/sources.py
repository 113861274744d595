"""Where images come from: a name such as "digits", or a folder of pictures."""

from collections.abc import Callable
from pathlib import Path

from convatlas.data.card import DataCard, Source
from convatlas.data.cifar import CIFAR10, CIFAR100, open_cifar
from convatlas.data.digits import open_digits
from convatlas.data.download import Progress
from convatlas.data.folder import open_folder
from convatlas.data.hub import open_hub
from convatlas.data.imagenet import open_imagenet
from convatlas.data.mnist import FASHION_MNIST, MNIST, open_idx
from convatlas.data.packed import KIND, open_packed
from convatlas.data.splits import Split
from convatlas.data.table import open_table
from convatlas.data.webdataset import open_webdataset
from convatlas.errors import InputError, unknown

__all__ = ["FORMS", "DataCard", "Source", "Split", "open_source"]

_PATHS: dict[str, tuple[str, Callable[[Path, int], Source]]] = {
    "folder": ("folder:my/pictures", open_folder),
    "imagenet": ("imagenet:my/imagenet", open_imagenet),
    "csv": ("csv:my/pictures.csv", open_table),
    "webdataset": ("webdataset:my/train-{000..145}.tar", open_webdataset),
    KIND: ("packed:my/pack", open_packed),
}

FORMS = (
    "digits",
    "mnist",
    "fashion-mnist",
    "cifar10",
    "cifar100",
    "folder:PATH",
    "imagenet:PATH",
    "csv:FILE",
    "webdataset:PATTERN",
    "packed:DIR",
    "hf:NAME",
)


def open_source(
    text: str, *, root: Path | None = None, seed: int = 0, progress: Progress | None = None
) -> Source:
    """Open a source of images.

    Args:
        text: One of `FORMS`.
        root: Where the files of the source lie; None: the cache, into which data sets with a name
            are downloaded, and the working directory for a path.
        seed: Of the split of images that have none of their own. It isn't the seed of a run: a
            network is tested on the split that it was trained with.
        progress: Told of downloads.

    Raises:
        UnknownNameError: There is no such source; the message names the nearest.
        FileError: Its files are missing, damaged or not what they should be.
    """
    kind, colon, path = text.partition(":")
    if kind == "hf" and path:
        return open_hub(path, root, seed)
    if colon and kind in _PATHS:
        example, opened = _PATHS[kind]
        if not path:
            raise InputError(f"{kind}: takes a path, such as {example}")
        return opened((root or Path()) / Path(path).expanduser(), seed)
    match text:
        case "digits":
            return open_digits()
        case "mnist":
            return open_idx(MNIST, root, progress)
        case "fashion-mnist":
            return open_idx(FASHION_MNIST, root, progress)
        case "cifar10":
            return open_cifar(CIFAR10, root, progress)
        case "cifar100":
            return open_cifar(CIFAR100, root, progress)
    raise unknown("data source", text, FORMS)
