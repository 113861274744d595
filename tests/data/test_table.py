"""CSV files of path and class: what is read, and one clear line for each way to get them wrong."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.data.sources import open_source
from convatlas.errors import FileError


def write(folder: Path, text: str, files=()) -> Path:
    for i, name in enumerate(files):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 2), i).save(path)
    file = folder / "list.csv"
    file.write_text(text, encoding="utf-8")
    return file


def names(split) -> list[str]:
    return [split.name(i) for i in range(len(split))]


def test_takes_the_splits_that_are_given(tmp_path):
    file = write(
        tmp_path,
        "label,path,split,note\ncat,a/1.png,train,x\ndog,a/2.png,train,\ncat,3.png,val,\n"
        '\ndog,"4,4.png",test,x\n',
        ("a/1.png", "a/2.png", "3.png", "4,4.png"),
    )
    source = open_source(f"csv:{file}")
    assert source.card.classes == ("cat", "dog")
    assert source.card.name == f"csv:{file}"
    assert names(source.train) == ["a/1.png", "a/2.png"]
    assert (names(source.val), names(source.test)) == (["3.png"], ["4,4.png"])
    assert source.train.labels == [0, 1]
    assert source.test.image(0).getpixel((0, 0)) == 3
    assert open_source("csv:list.csv", root=tmp_path).train.labels == [0, 1]


@pytest.mark.parametrize("given", ["val", "test"])
def test_the_only_other_split_is_for_the_end(tmp_path, given):
    lines = [f"{i}.png,{'ab'[i % 2]},train" for i in range(40)]
    file = write(tmp_path, "\n".join(["path,label,split", *lines, f"x.png,a,{given}"]), ["0.png"])
    source = open_source(f"csv:{file}")
    assert names(source.test) == ["x.png"]
    assert (len(source.train), len(source.val)) == (36, 4)
    assert np.bincount(source.val.labels).tolist() == [2, 2]


def test_deals_out_what_has_no_splits(tmp_path):
    lines = [f"{i}.png,{'abc'[i % 3]}" for i in range(60)]
    file = write(tmp_path, "\n".join(["path,label", *lines]), ["0.png"])
    source = open_source(f"csv:{file}")
    parts = [set(names(split)) for split in (source.train, source.val, source.test)]
    assert [len(part) for part in parts] == [48, 6, 6]
    assert len(set.union(*parts)) == 60
    again = open_source(f"csv:{file}", seed=1)
    assert names(again.test) != names(source.test)


def test_numbers_of_classes_are_sorted_as_numbers(tmp_path):
    file = write(tmp_path, "path,label\n" + "".join(f"1.png,{i}\n" for i in (10, 9, 100)) * 3,
                 ["1.png"])  # fmt: skip
    assert open_source(f"csv:{file}").card.classes == ("9", "10", "100")


def test_a_mark_of_byte_order_and_names_in_capitals_are_no_hindrance(tmp_path):
    file = write(tmp_path, "\ufeffPath , LABEL\r\n" + "1.png, ä \r\n1.png,b\r\n" * 3, ["1.png"])
    assert open_source(f"csv:{file}").card.classes == ("b", "ä")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs the columns path and label, separated by commas; its first line has nothing"),
        ("file,class\n1.png,a\n", "its first line has file, class"),
        ("path;label\n1.png;a\n", "its first line has path;label"),
        ("path,label\n1.png\n", "line 2 has 1 cells, and the first line 2"),
        ("path,label\n1.png,a\n,b\n", "line 3 has no path"),
        ("path,label\n1.png,a\n2.png, \n", "line 3 has no label"),
        ("path,label,split\n1.png,a,\n", "line 2 has no split"),
        ("path,label,split\n1.png,a,trian\n", "no split 'trian'; did you mean: train"),
        ("path,label\n1.png,a\n1.png,a\n", "needs two classes or more; it has 1"),
        ("path,label\n", "needs two classes or more; it has 0"),
        ('path,label\n"1.png,a\n', "line 2"),
        ("path,label,split\n1.png,a,val\n1.png,b,test\n", "no line whose split is train"),
        ("path,label,split\n1.png,a,train\n1.png,b,train\n", "whose split is val or test"),
        ("path,label,split\n1.png,a,train\n1.png,b,val\n", "split train for the classes b"),
        ("path,label\nx.png,a\ny.png,b\n", r"none of the first 2 pictures .*x\.png: paths count"),
        ("path,label\n1.png,a\n1.png,b\n", "none are left for validation"),
    ],
)
def test_says_what_is_wrong_and_where(tmp_path, text, words):
    file = write(tmp_path, text, ["1.png"])
    with pytest.raises(FileError, match=words) as caught:
        open_source(f"csv:{file}")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_says_that_a_file_is_missing_or_in_another_coding(tmp_path):
    with pytest.raises(FileError, match=r"there is no file .*no\.csv"):
        open_source(f"csv:{tmp_path}/no.csv")
    with pytest.raises(FileError, match="can't read"):
        open_source(f"csv:{tmp_path}")
    (tmp_path / "latin.csv").write_bytes("path,label\n1.png,ä\n".encode("latin-1"))
    with pytest.raises(FileError, match="not in UTF-8"):
        open_source(f"csv:{tmp_path}/latin.csv")
