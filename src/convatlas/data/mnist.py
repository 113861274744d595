"""MNIST and Fashion-MNIST, read from their official idx files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convatlas.data.card import LECUN_MEAN, LECUN_STD, DataCard, Source
from convatlas.data.download import Progress, download
from convatlas.data.idx import read_idx
from convatlas.data.splits import ArraySplit, stratified_order
from convatlas.errors import FileError
from convatlas.files import cache_folder

SPLIT_SEED = 1998  # the year of MNIST; never changed, never chosen by a result


@dataclass(frozen=True, slots=True)
class IdxFile:
    """One of the four files.

    Attributes:
        shape: Sizes of its data.
        gzip_sha256: Of the official .gz file, which is what gets downloaded.
        sha256: Of its unzipped content; None: not known.
    """

    shape: tuple[int, ...]
    gzip_sha256: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class IdxSource:
    """A source in the form of MNIST."""

    card: DataCard
    noun: str
    folders: tuple[str, ...]  # inside a root: our name, then torchvision's
    mirrors: tuple[str, ...]
    files: Mapping[str, IdxFile]
    val: int = 5000  # images of the training set kept for validation


# gzip_sha256: tensorflow/datasets, url_checksums/mnist.txt; sha256: computed from files whose
# training labels and test images were compared, byte by byte, with official ones
MNIST = IdxSource(
    DataCard(
        name="mnist",
        title="MNIST",
        classes=tuple("0123456789"),
        channels=1,
        image_size=(28, 28),
        mean=(LECUN_MEAN,),
        std=(LECUN_STD,),
        interpolation="bilinear",
        citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to "
        "document recognition. Proceedings of the IEEE, 1998",
        licence="CC BY-SA 3.0",
        url="http://yann.lecun.com/exdb/mnist/",
        centred_in=(32, 32),  # LeCun et al. 1998, section II-B
    ),
    noun="digit",
    folders=(".", "mnist", "MNIST/raw"),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    files={
        "train-images-idx3-ubyte": IdxFile(
            (60000, 28, 28),
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        "train-labels-idx1-ubyte": IdxFile(
            (60000,),
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        "t10k-images-idx3-ubyte": IdxFile(
            (10000, 28, 28),
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        "t10k-labels-idx1-ubyte": IdxFile(
            (10000,),
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    },
)

# gzip_sha256: tensorflow/datasets, url_checksums/fashion_mnist.txt; sha256 of the labels: computed
# from zalandoresearch/fashion-mnist, data/fashion, whose README lists the same files' MD5
FASHION_MNIST = IdxSource(
    DataCard(
        name="fashion-mnist",
        title="Fashion-MNIST",
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        channels=1,
        image_size=(28, 28),
        mean=(0.2860,),  # of the training images, as commonly published
        std=(0.3530,),
        interpolation="bilinear",
        citation="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a novel image dataset for "
        "benchmarking machine learning algorithms. arXiv:1708.07747, 2017",
        licence="MIT",
        url="https://github.com/zalandoresearch/fashion-mnist",
        centred_in=(32, 32),
    ),
    noun="garment",
    folders=(".", "fashion-mnist", "FashionMNIST/raw"),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    files={
        "train-images-idx3-ubyte": IdxFile(
            (60000, 28, 28),
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            None,
        ),
        "train-labels-idx1-ubyte": IdxFile(
            (60000,),
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        "t10k-images-idx3-ubyte": IdxFile(
            (10000, 28, 28),
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            None,
        ),
        "t10k-labels-idx1-ubyte": IdxFile(
            (10000,),
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    },
)


def open_idx(
    source: IdxSource, root: Path | None = None, progress: Progress | None = None
) -> Source:
    """Open MNIST or Fashion-MNIST.

    The last 5,000 images of a fixed stratified order of the training set are for validation.

    Args:
        source: `MNIST`, `FASHION_MNIST`, or another of their form.
        root: Folder with the four files, gzipped or not, directly or as torchvision lays them
            out; None: the cache, into which missing files are downloaded.
        progress: Told of downloads.

    Raises:
        FileError: A file is missing and can't be downloaded, or isn't the official one.
    """
    arrays = {
        name: read_idx(_find(source, name, root, progress), file.shape, file.sha256)
        for name, file in source.files.items()
    }
    images, labels = arrays["train-images-idx3-ubyte"], arrays["train-labels-idx1-ubyte"]
    order = stratified_order(labels, SPLIT_SEED)
    test_labels = arrays["t10k-labels-idx1-ubyte"]
    return Source(
        source.card,
        train=ArraySplit(images, labels, order[: -source.val], f"training {source.noun}"),
        val=ArraySplit(images, labels, order[-source.val :], f"training {source.noun}"),
        test=ArraySplit(
            arrays["t10k-images-idx3-ubyte"],
            test_labels,
            np.arange(len(test_labels)),
            f"test {source.noun}",
        ),
    )


def _find(source: IdxSource, name: str, root: Path | None, progress: Progress | None) -> Path:
    folder = cache_folder(source.card.name) if root is None else root
    for place in source.folders:
        for file in (folder / place / name, folder / place / f"{name}.gz"):
            if file.is_file():
                return file
    if root is not None:
        raise FileError(f"{source.card.title} needs {name}.gz in {root}: there is none")
    urls = [f"{mirror}{name}.gz" for mirror in source.mirrors]
    return download(urls, folder / f"{name}.gz", source.files[name].gzip_sha256, progress)
