"""Which mask belongs to which image: files of one stem, or pages of two stacks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from convatlas.data.folder import EXTENSIONS
from convatlas.data.images import count_pages, picture_size
from convatlas.errors import FileError

IMAGES, MASKS = ("images", "image"), ("masks", "mask", "labels", "label")
STACKS = (  # one file of images, one of masks
    *((image, mask) for image in IMAGES for mask in MASKS),
    ("train-volume", "train-labels"),  # as the EM challenge of ISBI 2012 calls them
)


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its mask.

    Attributes:
        image: The file of the image.
        mask: The file of the mask.
        page: Which picture of both, where they are stacks.
        name: What a person finds it by.
        problem: Why it can't be read; "" as far as nothing is known.
    """

    image: Path
    mask: Path
    page: int
    name: str
    problem: str = ""


def find_places(folder: Path) -> tuple[Path, Path] | None:
    """Find where images and masks lie: two folders, or two stacks."""
    images = [folder / name for name in IMAGES if (folder / name).is_dir()]
    masks = [folder / name for name in MASKS if (folder / name).is_dir()]
    if images and masks:
        return images[0], masks[0]
    for names in STACKS:
        for suffix in (".tif", ".tiff"):
            image, mask = (folder / f"{name}{suffix}" for name in names)
            if image.is_file() and mask.is_file():
                return image, mask
    return None


def find_pairs(root: Path, folder: Path) -> list[Pair]:
    """Pair the images of a folder with their masks, in the order of their names.

    A pair of which one file is broken, or whose sizes differ, is one with a `problem`; so is not
    a stack, without which there is nothing.

    Args:
        root: Names are paths below it.
        folder: Where images and masks lie.

    Raises:
        FileError: There are none, one lacks its partner, or two stacks do not fit.
    """
    found = find_places(folder)
    if found is None:
        raise FileError(
            f"{folder} needs images/ and masks/, or the stacks images.tif and masks.tif"
        )
    images, masks = found
    if images.is_file():
        return _pages(images, masks, str(images.relative_to(root)))
    stems, others = _by_stem(images), _by_stem(masks)
    _check_partners(images, masks, list(stems), list(others))
    return [
        pair
        for stem in sorted(stems)
        for pair in _checked(stems[stem], others[stem], str(stems[stem].relative_to(root)))
    ]


def _checked(image: Path, mask: Path, name: str) -> list[Pair]:
    try:
        return _pages(image, mask, name)
    except FileError as error:
        return [Pair(image, mask, 0, name, str(error))]


def _pages(image: Path, mask: Path, name: str) -> list[Pair]:
    pages, others = count_pages(image), count_pages(mask)
    if pages != others:
        raise FileError(f"{image} holds {pages} pictures, {mask} holds {others}")
    pairs = [
        Pair(image, mask, page, name if pages == 1 else f"{name}, page {page + 1}")
        for page in range(pages)
    ]
    sizes = picture_size(image), picture_size(mask)
    if sizes[0] != sizes[1]:
        refuse_sizes(pairs[0], *sizes)
    return pairs


def _by_stem(folder: Path) -> dict[str, Path]:
    files = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in EXTENSIONS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        raise FileError(f"{folder} has no pictures (files that end in {', '.join(EXTENSIONS)})")
    stems = [str(path.relative_to(folder).with_suffix("")) for path in files]
    twice = [stem for stem, count in Counter(stems).items() if count > 1]
    if twice:
        raise FileError(f"{folder} has two pictures of the stem {sorted(twice)[0]!r}")
    return dict(zip(stems, files, strict=True))


def _check_partners(images: Path, masks: Path, stems: Sequence[str], others: Sequence[str]) -> None:
    for have, lack, missing in (
        (images, masks, set(stems) - set(others)),
        (masks, images, set(others) - set(stems)),
    ):
        if missing:
            raise FileError(
                f"{len(missing)} of the pictures in {have} have no partner of the same stem in "
                f"{lack}, such as {sorted(missing)[0]!r}"
            )


def refuse_sizes(pair: Pair, image: Sequence[int], mask: Sequence[int]) -> NoReturn:
    """Say that image and mask differ in size; both are (height, width)."""
    raise FileError(
        f"{pair.image} has {image[0]}x{image[1]} pixels (height x width), its mask {pair.mask} has "
        f"{mask[0]}x{mask[1]}"
    )
