"""Folders of images and masks, and what is wrong with them."""

import numpy as np
import pytest
from PIL import Image

from convatlas.data.masks import IGNORED
from convatlas.data.segmentation import is_segmentation, open_segmentation
from convatlas.errors import FileError, InputError


def picture(path, value=100, size=(6, 8), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if mode == "L" else (*size, 3)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)


def mask(path, values, size=(6, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros(size, np.uint8)
    array.ravel()[: len(values)] = values
    Image.fromarray(array).save(path)


def fill(folder, count=10, values=(0, 255)):
    for i in range(count):
        picture(folder / "images" / f"{i}.png", 10 * i)
        mask(folder / "masks" / f"{i}.png", values)


def opened(folder, **options):
    return open_segmentation(f"segmentation:{folder}", **options)


def names(split):
    return [split.name(i) for i in range(len(split))]


def test_folders_are_dealt_into_80_10_10_by_the_seed(tmp_path):
    fill(tmp_path)
    source = opened(tmp_path)
    parts = [names(split) for split in (source.train, source.val, source.test)]
    assert [len(part) for part in parts] == [8, 1, 1]
    assert sorted(name for part in parts for name in part) == [f"images/{i}.png" for i in range(10)]
    assert names(opened(tmp_path).test) == parts[2]
    others = {tuple(names(opened(tmp_path, seed=seed).test)) for seed in range(8)}
    assert len(others) > 1


def test_image_and_mask_of_one_stem_belong_together(tmp_path):
    for i in range(10):
        picture(tmp_path / "image" / f"{i}.jpg", 20 * i)
        mask(tmp_path / "labels" / f"{i}.png", [255] * (i + 1))
    source = opened(tmp_path)
    for i in range(len(source.train)):
        number = int(source.train.name(i).removeprefix("image/").removesuffix(".jpg"))
        image, found = source.train.pair(i)
        assert abs(np.asarray(image).mean() - 20 * number) < 3
        assert found.sum() == number + 1


def test_subfolders_are_the_splits(tmp_path):
    for name, count in (("train", 3), ("val", 2), ("test", 1)):
        fill(tmp_path / name, count)
    source = opened(tmp_path)
    assert [len(s) for s in (source.train, source.val, source.test)] == [3, 2, 1]
    assert names(source.test) == ["test/images/0.png"]


def test_a_tenth_of_train_is_for_validation_where_there_is_one_other(tmp_path):
    fill(tmp_path / "train", 20)
    fill(tmp_path / "val", 4)
    source = opened(tmp_path)
    assert [len(s) for s in (source.train, source.val, source.test)] == [18, 2, 4]


@pytest.mark.parametrize(
    "files", [("images.tif", "masks.tif"), ("train-volume.tif", "train-labels.tif")]
)
def test_pages_of_two_stacks_are_images_and_masks(tmp_path, files):
    pages = [np.full((6, 8), 10 * i, np.uint8) for i in range(10)]
    labels = [
        np.where(np.arange(48).reshape(6, 8) <= i, 255, 0).astype(np.uint8) for i in range(10)
    ]
    for name, arrays in zip(files, (pages, labels), strict=True):
        first, *rest = map(Image.fromarray, arrays)
        first.save(tmp_path / name, save_all=True, append_images=rest)
    source = opened(tmp_path)
    assert [len(s) for s in (source.train, source.val, source.test)] == [8, 1, 1]
    for i in range(8):
        page = int(source.train.name(i).rpartition(" ")[2]) - 1
        image, found = source.train.pair(i)
        assert np.asarray(image).max() == 10 * page
        assert found.sum() == page + 1


@pytest.mark.parametrize(
    ("values", "classes", "wanted"),
    [
        ([0, 255], ("background", "foreground"), [0, 1]),
        ([0, 1], ("background", "foreground"), [0, 1]),
        ([0, 1, 255], ("background", "foreground"), [0, 1, IGNORED]),
        ([0, 1, 2], ("background", "class 1", "class 2"), [0, 1, 2]),
        ([0, 3, 255], ("background", "class 1", "class 2", "class 3"), [0, 3, IGNORED]),
    ],
)
def test_values_are_black_and_white_or_numbers_of_classes(tmp_path, values, classes, wanted):
    fill(tmp_path, values=values)
    source = opened(tmp_path)
    assert source.card.classes == classes
    assert source.train.mask(0).ravel()[: len(wanted)].tolist() == wanted


def save_palette(path):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255] + [9] * 759)
    image.save(path)


def save_rgb(path):
    grey = np.array([[0, 1, 2]], np.uint8)
    Image.fromarray(np.stack([grey] * 3, axis=2)).save(path)


def save_16_bits(path):
    Image.fromarray(np.array([[0, 1, 2]], np.uint16)).save(path)


@pytest.mark.parametrize("save", [save_palette, save_rgb, save_16_bits])
def test_masks_of_other_modes_keep_their_numbers(tmp_path, save):
    for i in range(3):
        picture(tmp_path / "images" / f"{i}.png", size=(1, 3))
        (tmp_path / "masks").mkdir(exist_ok=True)
        save(tmp_path / "masks" / f"{i}.png")
    assert opened(tmp_path).train.mask(0).tolist() == [[0, 1, 2]]


def test_classes_txt_names_the_classes(tmp_path):
    fill(tmp_path, values=[0, 255])
    (tmp_path / "classes.txt").write_text("membrane\ncell\n")
    source = opened(tmp_path)
    assert source.card.classes == ("membrane", "cell")
    assert source.train.mask(0).ravel()[:2].tolist() == [0, 1]


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_the_card_measures_channels_mean_and_spread(tmp_path, mode, channels):
    rng = np.random.default_rng(0)
    whole = []
    for i in range(10):
        values = rng.integers(0, 256, (6, 8) if mode == "L" else (6, 8, 3), dtype=np.uint8)
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(values).save(tmp_path / "images" / f"{i}.png")
        mask(tmp_path / "masks" / f"{i}.png", [255])
        whole.append(values)
    source = opened(tmp_path)
    kept = [int(name.removeprefix("images/").removesuffix(".png")) for name in names(source.train)]
    values = np.stack([whole[i] for i in kept]).reshape(-1, channels) / 255
    assert source.card.channels == channels
    assert source.card.mean == pytest.approx(values.mean(axis=0))
    assert source.card.std == pytest.approx(values.std(axis=0))


def test_the_fingerprint_changes_with_the_data(tmp_path):
    fill(tmp_path)
    before = opened(tmp_path).train.fingerprint()
    assert opened(tmp_path).train.fingerprint() == before
    name = opened(tmp_path).train.pairs[0].mask
    mask(name, [255] * 30)
    assert opened(tmp_path).train.fingerprint() != before


def test_is_segmentation():
    assert is_segmentation("segmentation:cells")
    assert not is_segmentation("folder:cells")


def no_mask(folder):
    (folder / "masks" / "3.png").unlink()


def no_image(folder):
    (folder / "images" / "3.png").unlink()


def other_size(folder):
    mask(folder / "masks" / "3.png", [255], size=(6, 9))


def grey_values(folder):
    mask(folder / "masks" / "3.png", [3, 130, 251])


def class_beyond(folder):
    (folder / "classes.txt").write_text("a\nb\nc\n")
    for i in range(10):
        mask(folder / "masks" / f"{i}.png", [0, 1, 3])


def twice(folder):
    picture(folder / "images" / "3.jpg")


def one_class(folder):
    for i in range(10):
        mask(folder / "masks" / f"{i}.png", [0])


def colours(folder):
    picture(folder / "masks" / "3.png", (255, 0, 0), mode="RGB")


def broken(folder):
    (folder / "masks" / "3.png").write_bytes(b"no picture")


def no_folder(folder):
    (folder / "masks").rename(folder / "other")


def names_twice(folder):
    (folder / "classes.txt").write_text("cell\ncell\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_mask, "no partner of the same stem in .*masks, such as '3'"),
        (no_image, "no partner of the same stem in .*images, such as '3'"),
        (other_size, r"3.png has 6x8 pixels .* its mask .*3.png has 6x9"),
        (grey_values, "values up to 251: neither 0 and 255 nor numbers of classes"),
        (class_beyond, "has the value 3; allowed are 0 to 2 for a, b, c"),
        (twice, "two pictures of the stem '3'"),
        (one_class, "show one class only"),
        (colours, "shows colours without a palette"),
        (broken, "3.png"),
        (no_folder, "needs images/ and masks/, or the stacks"),
        (names_twice, "two or more classes, each once"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, spoil, message):
    fill(tmp_path)
    spoil(tmp_path)

    def read():
        source = opened(tmp_path)
        for split in (source.train, source.val, source.test):
            for i in range(len(split)):
                split.pair(i)

    with pytest.raises(FileError, match=message) as caught:
        read()
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_or_has_no_name(tmp_path):
    with pytest.raises(FileError, match="there is no folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(InputError, match="takes a path"):
        open_segmentation("segmentation:")


def test_too_few_images(tmp_path):
    fill(tmp_path, 2)
    with pytest.raises(FileError, match="too few images"):
        opened(tmp_path)


def test_real_slices_and_nuclei(data_root):
    slices = open_segmentation("segmentation:train", root=data_root / "isbi2012")
    assert [len(s) for s in (slices.train, slices.val, slices.test)] == [16, 2, 2]
    assert slices.card.channels == 1
    image, found = slices.test.pair(0)
    assert (image.size, found.shape, set(np.unique(found))) == ((512, 512), (512, 512), {0, 1})
    nuclei = open_segmentation(f"segmentation:{data_root / 'dsb2018-nuclei'}")
    assert [len(s) for s in (nuclei.train, nuclei.val, nuclei.test)] == [38, 5, 5]
    assert nuclei.card.channels == 1  # RGBA files that show greys
