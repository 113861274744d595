"""Data sets in the formats of the Hugging Face hub; what lies on this disk, and no network."""

import importlib.util
import io
import sys

import numpy as np
import pytest
from PIL import Image

from convatlas.data.hub import TableSplit
from convatlas.data.loader import batches
from convatlas.data.manifest import fingerprint
from convatlas.data.preprocess import Preprocessing
from convatlas.data.sources import open_source
from convatlas.data.tolerant import tolerant
from convatlas.errors import FileError, InputError

COLOUR = Preprocessing((4, 4), (0.5,) * 3, (0.5,) * 3)

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None, reason="needs the extra hf"
)


def test_names_the_extra_where_the_library_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'convatlas\[hf\]'"):
        open_source("hf:ylecun/mnist")


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), (number, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Give `made(splits, labels=ClassLabel, **columns)`, a dictionary of data sets."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets")

    def made(splits: dict[str, int], names=("ant", "bee", "cat"), column: str = "label", hidden=()):
        found, first = {}, 0
        for key, count in splits.items():
            values = [(first + i) % 3 for i in range(count)]
            if key in hidden:
                values = [-1] * count
            elif names is None:
                values = [f"class {value}" for value in values]
            kind = datasets.ClassLabel(names=list(names)) if names else datasets.Value("string")
            features = datasets.Features({"image": datasets.Image(), column: kind})
            pictures = [{"bytes": png(first + i), "path": None} for i in range(count)]
            rows = {"image": pictures, column: values}
            found[key] = datasets.Dataset.from_dict(rows, features=features)
            first += count
        return datasets.DatasetDict(found)

    return made


def numbers(split) -> list[int]:
    return [split.image(i).getpixel((0, 0))[0] for i in range(len(split))]


@needs_library
def test_reads_what_save_to_disk_wrote(made, tmp_path):
    made({"train": 12, "validation": 3, "test": 6}).save_to_disk(tmp_path / "bugs")
    source = open_source("hf:bugs", root=tmp_path)
    assert source.card.classes == ("ant", "bee", "cat")
    assert source.card.name == "hf:bugs"
    assert numbers(source.train) == list(range(12))
    assert numbers(source.val) == [12, 13, 14]
    assert source.test.labels == [i % 3 for i in range(15, 21)]
    assert source.train.name(5) == "bugs: train 5"
    assert source.train.content(5) == png(5)


@needs_library
def test_reads_a_folder_of_parquet_files(made, tmp_path):
    (tmp_path / "p").mkdir()
    for key, table in made({"train": 30, "test": 6}).items():
        table.to_parquet(tmp_path / "p" / f"{key}.parquet")
    source = open_source(f"hf:{tmp_path}/p")
    assert numbers(source.test) == list(range(30, 36))
    assert (len(source.train), len(source.val)) == (27, 3)
    options = {"shuffle": True, "seed": 4}
    whole = list(batches(source.train, COLOUR, 8, **options))
    again = list(batches(source.train, COLOUR, 8, start=1, workers=2, **options))
    assert all(a.images.equal(b.images) for a, b in zip(whole[1:], again, strict=True))


@needs_library
def test_deals_out_the_only_split_and_takes_texts_for_names(made, tmp_path):
    made({"train": 30}, names=None, column="labels").save_to_disk(tmp_path / "bugs")
    source = open_source(f"hf:{tmp_path}/bugs")
    assert source.card.classes == ("class 0", "class 1", "class 2")
    parts = [numbers(split) for split in (source.train, source.val, source.test)]
    assert sorted(number for part in parts for number in part) == list(range(30))
    assert np.bincount(source.test.labels).tolist() == [1, 1, 1]


@needs_library
def test_a_test_split_without_labels_is_no_test_split(made, tmp_path):
    tables = made({"train": 30, "validation": 9, "test": 6}, hidden=("test",))
    tables.save_to_disk(tmp_path / "bugs")
    source = open_source(f"hf:{tmp_path}/bugs")
    assert numbers(source.test) == list(range(30, 39))


@needs_library
def test_a_bad_picture_is_named_by_its_row(made, tmp_path):
    datasets = pytest.importorskip("datasets")
    tables = made({"train": 9})
    rows = tables["train"].cast_column("image", datasets.Image(decode=False)).to_list()
    rows[4]["image"]["bytes"] = b"no picture"
    table = datasets.Dataset.from_list(rows, features=tables["train"].features)
    datasets.DatasetDict({"train": table}).save_to_disk(tmp_path / "bugs")
    source = open_source(f"hf:{tmp_path}/bugs")
    splits = (source.train, source.val, source.test)
    ((split, i),) = [(s, i) for s in splits for i in range(len(s)) if s.name(i).endswith(" 4")]
    with pytest.raises(FileError, match="bugs: train 4 is no picture"):
        split.image(i)


@needs_library
def test_the_fingerprint_is_that_of_the_pictures(made, tmp_path):
    tables = made({"train": 30, "validation": 3, "test": 6})
    for place in ("here", "there"):
        tables.save_to_disk(tmp_path / place / "bugs")
    (tmp_path / "parquet" / "bugs").mkdir(parents=True)
    for key, table in tables.items():
        table.to_parquet(tmp_path / "parquet" / "bugs" / f"{key}.parquet")
    found = {
        place: fingerprint(open_source("hf:bugs", root=tmp_path / place).train)
        for place in ("here", "there", "parquet")
    }
    assert len(set(found.values())) == 1  # wherever they lie, and in whatever form
    source = open_source("hf:bugs", root=tmp_path / "here")
    assert len({fingerprint(s) for s in (source.train, source.val, source.test)}) == 3
    assert fingerprint(source.train.part(np.arange(29))) != found["here"]
    assert fingerprint(tolerant(source).train) == found["here"]


@needs_library
@pytest.mark.parametrize("change", ["bytes", "length", "none", "label"])
def test_the_fingerprint_changes_with_a_picture(made, tmp_path, change):
    datasets = pytest.importorskip("datasets")
    table = made({"train": 9})["train"]
    rows = table.cast_column("image", datasets.Image(decode=False)).to_list()
    stored = rows[4]["image"]["bytes"]
    if change == "label":
        rows[4]["label"] = (rows[4]["label"] + 1) % 3
    else:
        changed = {"bytes": stored[:-1] + b"?", "length": stored + b"\0"}
        rows[4]["image"] = {"bytes": changed[change], "path": None} if change in changed else None
    for name, whole in ("old", table), ("new", None):
        whole = whole or datasets.Dataset.from_list(rows, features=table.features)
        parts = {"train": whole, "validation": table, "test": table}
        datasets.DatasetDict(parts).save_to_disk(tmp_path / name / "bugs")
    old, new = (open_source("hf:bugs", root=tmp_path / name) for name in ("old", "new"))
    assert fingerprint(old.train) != fingerprint(new.train)
    assert fingerprint(old.test) == fingerprint(new.test)


@needs_library
def test_pictures_beside_the_table_count_by_their_files(made, tmp_path):
    datasets = pytest.importorskip("datasets")
    files = []
    for i in range(12):
        files.append(tmp_path / f"{i}.png")
        files[-1].write_bytes(png(i))
    stored = [{"bytes": None, "path": str(file)} for file in files]
    features = made({"train": 3})["train"].features
    rows = {"image": stored, "label": [i % 3 for i in range(12)]}
    table = datasets.Dataset.from_dict(rows, features=features)
    split = TableSplit(_undecoded(table), "image", np.arange(12), rows["label"], "bugs: train")
    before = fingerprint(split)
    assert before == fingerprint(split)
    files[3].write_bytes(png(99))
    changed = fingerprint(split)
    files[3].unlink()
    assert len({before, changed, fingerprint(split)}) == 3


def _undecoded(table):
    datasets = pytest.importorskip("datasets")
    return table.cast_column("image", datasets.Image(decode=False))


@needs_library
def test_says_what_is_missing(made, tmp_path):
    with pytest.raises(FileError) as caught:
        open_source("hf:nobody/nothing", root=tmp_path)
    assert "nobody/nothing is no folder, and can't be fetched from the hub" in str(caught.value)
    assert "HF_HUB_OFFLINE" in str(caught.value)
    assert "\n" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="empty is no data set"):
        open_source(f"hf:{tmp_path}/empty")
    made({"validation": 9}).save_to_disk(tmp_path / "val")
    with pytest.raises(InputError, match="has no split train; it has validation"):
        open_source(f"hf:{tmp_path}/val")
    made({"train": 9}, column="kind", names=None).save_to_disk(tmp_path / "kind")
    with pytest.raises(InputError, match="label or labels or fine_label; it has image, kind"):
        open_source(f"hf:{tmp_path}/kind")
