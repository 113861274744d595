"""A packed data set shows the network what its source shows, or says in one line why not."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.data.augment import AreaCrop, CenterCrop, Flip, RandomCrop, Resize, ScaleJitter
from convatlas.data.check import check_source
from convatlas.data.loader import batches
from convatlas.data.manifest import fingerprint
from convatlas.data.pack_format import PackOptions, index_path
from convatlas.data.packed import origin_of, packing_told
from convatlas.data.packing import pack
from convatlas.data.sources import open_source
from convatlas.data.tolerant import tolerant
from convatlas.errors import FileError, InputError

CROP = (ScaleJitter(24, 24), RandomCrop(), Flip())


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> str:
    """Pictures of many sizes: JPEG in colour and grey, turned by EXIF; PNG; one GIF."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(1)
    for i in range(30):
        height, width = rng.integers(18, 60, 2)
        pixels = np.kron(
            rng.integers(0, 256, (6, 6, 3)), np.ones((height // 6 + 1, width // 6 + 1, 1))
        )[:height, :width].astype(np.uint8)
        picture = Image.fromarray(pixels)
        place = folder / ("cat", "dog", "emu")[i % 3]
        place.mkdir(exist_ok=True)
        if i == 7:
            picture.convert("L").save(place / f"{i}.jpg")
        elif i == 8:
            exif = Image.Exif()
            exif[0x0112] = 6
            picture.save(place / f"{i}.jpg", exif=exif)
        elif i == 9:
            picture.save(place / f"{i}.gif.png", "GIF")
        else:
            picture.save(place / f"{i}.{'jpg' if i % 2 else 'png'}")
    return f"folder:{folder}"


def packed(text: str, folder: Path, *options, **how):
    source = open_source(text)
    pack(source, text, folder, PackOptions(*options), **how)
    return source, open_source(f"packed:{folder}")


def epoch(source, preprocessing, augment, **how):
    split = source.train if augment else source.test
    return list(batches(split, preprocessing, 8, augment=augment, shuffle=bool(augment), **how))


def check_same_bits(one, other, preprocessing, augment, **how):
    for a, b in zip(
        epoch(one, preprocessing, augment, seed=3, epoch=2),
        epoch(other, preprocessing, augment, seed=3, epoch=2, **how),
        strict=True,
    ):
        assert a.images.equal(b.images)
        assert a.labels.equal(b.labels)
        assert a.indices.equal(b.indices)


@pytest.mark.parametrize("form", ["files", "pixels"])
@pytest.mark.parametrize("augment", [(), (AreaCrop(), Flip())])
def test_unless_resized_every_batch_has_the_bits_of_the_source(photos, tmp_path, form, augment):
    source, found = packed(photos, tmp_path / "pack", form, threads=2)
    preprocessing = source.card.preprocessing((3, 16, 16), 20)
    check_same_bits(source, found, preprocessing, augment)
    assert packing_told(found.card, preprocessing, augment) == ()
    assert found.card == replace(source.card, name=f"packed:{tmp_path / 'pack'}")
    for split in ("train", "val", "test"):
        one, other = getattr(source, split), getattr(found, split)
        assert one.labels == other.labels
        assert [one.name(i) for i in range(len(one))] == [other.name(i) for i in range(len(other))]


def test_workers_read_the_same(photos, tmp_path):
    source, found = packed(photos, tmp_path / "pack", "pixels")
    check_same_bits(source, found, source.card.preprocessing((3, 16, 16), 20), CROP, workers=2)


@pytest.mark.parametrize(
    "augment", [(), CROP, (ScaleJitter(24, 24), CenterCrop(24), RandomCrop()), (Resize(), Flip())]
)
def test_a_fixed_scale_has_the_bits_of_the_source_too(photos, tmp_path, augment):
    source, found = packed(photos, tmp_path / "pack", "pixels", 24)
    preprocessing = source.card.preprocessing((3, 16, 16), 24)
    assert min(found.train.image(5).size) == 24
    assert packing_told(found.card, preprocessing, augment) == ()
    check_same_bits(source, found, preprocessing, augment)


@pytest.mark.parametrize(
    ("form", "augment", "shorter", "words"),
    [
        ("pixels", (AreaCrop(),), 24, ["AreaCrop sees those"]),
        ("pixels", (ScaleJitter(24, 30),), 24, ["ScaleJitter sees those"]),
        ("pixels", (Resize(side=24),), 24, ["Resize sees those"]),
        ("pixels", (Resize(),), 20, ["Resize sees those", "Test images are made of"]),
        ("pixels", (), 20, ["Test images are made of those of a shorter side of 24"]),
        ("jpeg", CROP, 24, ["compressed anew when they were packed, as JPEG of quality 80"]),
    ],
)
def test_what_differs_is_told(photos, tmp_path, form, augment, shorter, words):
    source, found = packed(photos, tmp_path / "pack", form, 24, 80)
    told = packing_told(found.card, source.card.preprocessing((3, 16, 16), shorter), augment)
    assert len(told) == len(words)
    assert all(word in text for word, text in zip(words, told, strict=True))
    assert packing_told(source.card, source.card.preprocessing((3, 16, 16)), augment) == ()


def test_images_in_memory_keep_their_bits(tmp_path):
    source, found = packed("digits", tmp_path, "pixels")
    preprocessing = source.card.preprocessing((1, 28, 28))
    check_same_bits(source, found, preprocessing, ())
    assert origin_of(f"packed:{tmp_path}") == "digits"
    assert origin_of("digits") == "digits"


def test_the_fingerprint_is_that_of_the_pictures(photos, tmp_path):
    one = packed(photos, tmp_path / "a")[1]
    other = packed(photos, tmp_path / "b", "files", None, 95, 2000)[1]
    assert len(other.train.shards) > 2
    assert fingerprint(one.train) == fingerprint(other.train) != fingerprint(one.test)
    assert [one.train.content(i) for i in (0, 20)] == [other.train.content(i) for i in (0, 20)]


def test_other_tools_read_the_shards(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path / "cache"))
    for form in ("files", "pixels"):
        _, found = packed(photos, tmp_path / form, form)
        other = open_source(f"webdataset:{tmp_path / form}/*.tar")
        assert other.card.classes == ("cat", "dog", "emu")
        for split in ("train", "val", "test"):
            one, two = getattr(found, split), getattr(other, split)
            assert one.labels == two.labels
            for i in range(len(one)):
                assert one.image(i).tobytes() == two.image(i).tobytes()


def test_a_damaged_picture_is_a_bad_one(photos, tmp_path):
    _, found = packed(photos, tmp_path, "pixels")
    path, offset = found.train.shards[0], int(found.train.records["offset"][3])
    content = bytearray(path.read_bytes())
    content[offset + 100] ^= 1
    path.write_bytes(content)
    again = open_source(f"packed:{tmp_path}")
    with pytest.raises(FileError, match=rf"^{path}/.* is damaged: its checksum is not"):
        again.train.image(3)
    told = []
    calm = tolerant(again, 0.1, lambda name, _: told.append(name))
    preprocessing = again.card.preprocessing((3, 16, 16), 20)
    for _ in batches(calm.train, preprocessing, 8, shuffle=True, workers=1):
        pass
    assert told == [again.train.name(3)]
    assert check_source(again).bad == 1


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-512])


def unfinished(path: Path) -> None:
    manifest = json.loads((path.parent / "pack.json").read_text())
    (path.parent / "pack.json").write_text(json.dumps(manifest | {"complete": False}))


def other_format(path: Path) -> None:
    manifest = json.loads((path.parent / "pack.json").read_text())
    (path.parent / "pack.json").write_text(json.dumps(manifest | {"format": 9}))


def fewer(path: Path) -> None:
    manifest = json.loads((path.parent / "pack.json").read_text())
    manifest["splits"]["train"]["shards"] -= 1
    (path.parent / "pack.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (shortened, r"^\S*train-000000.tar has [\d,]+ bytes instead of [\d,]+: copy it again"),
        (lambda p: p.unlink(), r"^there is no file \S*train-000000.tar: copy it again"),
        (lambda p: index_path(p).unlink(), r"^there is no file \S*train-000000.npz"),
        (lambda p: shortened(index_path(p)), r"^\S*train-000000.npz is damaged, copy it again"),
        (lambda p: index_path(p).write_bytes(b""), r"^\S*train-000000.npz is damaged"),
        (unfinished, r"is not packed to the end: go on with .convatlas data pack"),
        (other_format, r"is of format 9, this convatlas reads 1: pack anew"),
        (fewer, r"holds \d+ train images instead of \d+: pack anew"),
        (lambda p: (p.parent / "pack.json").write_text("{}"), r"^can't read \S*pack.json"),
        (lambda p: (p.parent / "pack.json").unlink(), "is no packed data set, for it has no pack"),
    ],
)
def test_never_fewer_images_without_a_word(photos, tmp_path, harm, words):
    packed(photos, tmp_path, "files", None, 95, 4000)
    harm(tmp_path / "train-000000.tar")
    with pytest.raises(FileError, match=words) as caught:
        open_source(f"packed:{tmp_path}")
    assert "\n" not in str(caught.value)


def test_a_shard_cut_after_it_was_opened_is_told(photos, tmp_path):
    _, found = packed(photos, tmp_path, "pixels")
    shortened(tmp_path / "train-000000.tar")
    with pytest.raises(FileError, match=r"train-000000.tar has .* bytes instead of"):
        found.train.image(0)


def test_every_member_of_a_shard_is_in_the_index(photos, tmp_path):
    _, found = packed(photos, tmp_path, "jpeg", 20)
    with tarfile.open(found.train.shards[0]) as tar:
        names = tar.getnames()
    assert len(names) == 2 * len(found.train)
    assert names[:2] == ["00000000.cls", "00000000.jpg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("files", 256), "to resize pictures, take pixels or jpeg"),
        (("pixels", 0), "the shorter side has 1 to 10,000 pixels, not 0"),
        (("jpeg", None, 101), "the quality of JPEG goes from 1 to 100, not 101"),
        (("files", None, 95, 0), "a shard has at least one byte"),
    ],
)
def test_refuses_what_can_not_be_done(options, words):
    with pytest.raises(InputError, match=words):
        PackOptions(*options)


def test_an_unknown_form_is_named():
    with pytest.raises(KeyError, match="no form named 'pixel'; did you mean: pixels"):
        PackOptions("pixel")
