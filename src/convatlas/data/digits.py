"""1,797 real handwritten digits of 8x8 pixels that travel with the package.

Alpaydin & Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, https://doi.org/10.24432/C50P49 (CC BY 4.0): the 1,797 digits of its test set, in the
order in which scikit-learn's `load_digits` gives them.
"""

import hashlib
import io
from importlib import resources

import numpy as np

from convatlas.data.card import LECUN_MEAN, LECUN_STD, DataCard, Source
from convatlas.data.splits import ArraySplit, stratified_order
from convatlas.errors import FileError

CARD = DataCard(
    name="digits",
    title="Optical Recognition of Handwritten Digits",
    classes=tuple("0123456789"),
    channels=1,
    image_size=(8, 8),
    mean=(LECUN_MEAN,),
    std=(LECUN_STD,),
    interpolation="bicubic",
    citation="E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits. UCI Machine "
    "Learning Repository, 1998",
    licence="CC BY 4.0",
    url="https://doi.org/10.24432/C50P49",
)

# of digits.npz: images (1797, 8, 8), uint8 in 0..16, and labels (1797,), uint8
SHA256 = "b2dab7b501728c22e9119ad76740b2e17c77a231e42d1e592380d90886f1a05e"

SPLIT_SEED = 1998  # the year of publication; never changed, never chosen by a result
TRAIN, VAL, TEST = 1257, 180, 360  # about 70, 10 and 20 %


def open_digits() -> Source:
    """Open the embedded digits, white ink on black, in a fixed stratified split.

    Raises:
        FileError: The installed package is damaged.
    """
    file = resources.files("convatlas.data") / "digits.npz"
    content = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise FileError(f"{file} is missing or was changed: install convatlas again")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        ink, labels = arrays["images"], arrays["labels"]
    images = (ink * (255 / 16)).round().astype(np.uint8)
    order = stratified_order(labels, SPLIT_SEED)
    train, val, test = (
        ArraySplit(images, labels, indices, "digit")
        for indices in np.split(order, [TRAIN, TRAIN + VAL])
    )
    return Source(CARD, train, val, test)
