"""What is known of CIFAR-10 and CIFAR-100: classes, files and their checksums."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from convatlas.data.card import DataCard

_FINE_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray
road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""


@dataclass(frozen=True, slots=True)
class CifarFile:
    """One file of images.

    Attributes:
        count: Images in it.
        sha256: Of the binary file.
        md5: Of the Python file.
    """

    count: int
    sha256: str
    md5: str


class CifarVersion(NamedTuple):
    """How one version is laid out.

    Attributes:
        folder: Inside the archive.
        archive: Its name.
        ending: Of the names of its files.
    """

    folder: str
    archive: str
    ending: str


@dataclass(frozen=True, slots=True)
class CifarSource:
    """A data set in the form of CIFAR.

    Attributes:
        card: What is known of it.
        binary: The binary version, which is what gets downloaded.
        python: The Python version.
        sha256: Of the binary version's archive.
        train: Files of the training images, in order, by the name of their Python version.
        test: Likewise of the test images.
        label_bytes: Label bytes of a record; the last one is the class.
        label_key: Of the classes in a Python file.
    """

    card: DataCard
    binary: CifarVersion
    python: CifarVersion
    sha256: str
    train: Mapping[str, CifarFile]
    test: Mapping[str, CifarFile]
    label_bytes: int
    label_key: bytes


def _card(
    name: str, title: str, classes: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> DataCard:
    """Describe a set; mean and std are those of the training images, as commonly published."""
    return DataCard(
        name=name,
        title=title,
        classes=tuple(classes.split()),
        channels=3,
        image_size=(32, 32),
        mean=mean,
        std=std,
        interpolation="bilinear",
        citation="A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images. "
        "Technical report, University of Toronto, 2009",
        licence="none stated",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
    )


# sha256 of the archives: tensorflow/datasets, url_checksums; of the binary files: red-data-tools,
# red-datasets; md5 of the Python files: pytorch/vision, datasets/cifar.py
CIFAR10 = CifarSource(
    _card(
        "cifar10",
        "CIFAR-10",
        "airplane automobile bird cat deer dog frog horse ship truck",
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
    ),
    CifarVersion("cifar-10-batches-bin", "cifar-10-binary.tar.gz", ".bin"),
    CifarVersion("cifar-10-batches-py", "cifar-10-python.tar.gz", ""),
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    train={
        "data_batch_1": CifarFile(
            10000,
            "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "c99cafc152244af753f735de768cd75f",
        ),
        "data_batch_2": CifarFile(
            10000,
            "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "d4bba439e000b95fd0a9bffe97cbabec",
        ),
        "data_batch_3": CifarFile(
            10000,
            "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "54ebc095f3ab1f0389bbae665268c751",
        ),
        "data_batch_4": CifarFile(
            10000,
            "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "634d18415352ddfa80567beed471001a",
        ),
        "data_batch_5": CifarFile(
            10000,
            "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            "482c414d41f54cd18b22e5b47cb7c3cb",
        ),
    },
    test={
        "test_batch": CifarFile(
            10000,
            "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            "40351d587109b95175f43aff81a1287e",
        )
    },
    label_bytes=1,
    label_key=b"labels",
)

CIFAR100 = CifarSource(
    _card(
        "cifar100",
        "CIFAR-100",
        _FINE_CLASSES,
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
    ),
    CifarVersion("cifar-100-binary", "cifar-100-binary.tar.gz", ".bin"),
    CifarVersion("cifar-100-python", "cifar-100-python.tar.gz", ""),
    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    train={
        "train": CifarFile(
            50000,
            "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
            "16019d7e3df5f24257cddd939b257f8d",
        )
    },
    test={
        "test": CifarFile(
            10000,
            "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
            "f0ef6b0ae62326f3e7ffdfab6717acfc",
        )
    },
    label_bytes=2,
    label_key=b"fine_labels",
)
