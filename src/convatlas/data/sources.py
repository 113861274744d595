"""Where images come from: a name such as "digits", or a folder of pictures."""

from pathlib import Path

from convatlas.data.card import DataCard, Source
from convatlas.data.cifar import CIFAR10, CIFAR100, open_cifar
from convatlas.data.digits import open_digits
from convatlas.data.download import Progress
from convatlas.data.folder import open_folder
from convatlas.data.mnist import FASHION_MNIST, MNIST, open_idx
from convatlas.data.splits import Split
from convatlas.errors import InputError, unknown

__all__ = ["FORMS", "DataCard", "Source", "Split", "open_source"]

FORMS = ("digits", "mnist", "fashion-mnist", "folder:PATH", "segmentation:PATH")


def open_source(
    text: str, *, root: Path | None = None, seed: int = 0, progress: Progress | None = None
) -> Source:
    """Open a source of images.

    Args:
        text: One of `FORMS`, but for images and masks, which `open_segmentation` opens.
        root: Where the files of the source lie; None: the cache, into which MNIST and
            Fashion-MNIST are downloaded, and the working directory for a folder.
        seed: Of the split of a folder that has none of its own. It isn't the seed of a run: a
            network is tested on the split that it was trained with.
        progress: Told of downloads.

    Raises:
        UnknownNameError: There is no such source; the message names the nearest.
        InputError: No path, or one of images and masks.
        FileError: Its files are missing, damaged or not what they should be.
    """
    match text.partition(":"):
        case ("digits", "", ""):
            return open_digits()
        case ("mnist", "", ""):
            return open_idx(MNIST, root, progress)
        case ("fashion-mnist", "", ""):
            return open_idx(FASHION_MNIST, root, progress)
        case ("cifar10", "", ""):
            return open_cifar(CIFAR10, root, progress)
        case ("cifar100", "", ""):
            return open_cifar(CIFAR100, root, progress)
        case ("folder", ":", path):
            if not path:
                raise InputError("folder: takes a path, such as folder:my/pictures")
            return open_folder((root or Path()) / Path(path).expanduser(), seed)
        case ("segmentation", ":", _):
            raise InputError(
                f"{text} has masks instead of labels: convatlas train, evaluate and segment take "
                "it, with unet or unet_padded"
            )
    raise unknown("data source", text, FORMS)
