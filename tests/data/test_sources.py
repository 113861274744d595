"""The names of sources, and the examples of their page."""

import re
from pathlib import Path

import pytest

from convatlas.data.sources import FORMS, DataCard, Source, Split, open_source
from convatlas.errors import FileError, InputError, UnknownNameError


def test_opens_by_name():
    source = open_source("digits")
    assert isinstance(source, Source)
    assert isinstance(source.card, DataCard)
    assert source.card.name == "digits"
    for split in (source.train, source.val, source.test):
        assert isinstance(split, Split)
    assert "digits" in FORMS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("digit", "no data source named 'digit'; did you mean: digits"),
        ("MNIST", "no data source named 'MNIST'"),
        ("fashion_mnist", "did you mean: fashion-mnist"),
        (
            "",
            "there are: digits, mnist, fashion-mnist, cifar10, cifar100, folder:PATH, imagenet",
        ),
        ("digits:8", "no data source named 'digits:8'"),
        ("folders:/tmp", "did you mean: folder:PATH"),
    ],
)
def test_names_the_nearest(text, words):
    with pytest.raises(UnknownNameError, match=words):
        open_source(text)


def test_a_folder_needs_a_path():
    with pytest.raises(InputError, match="folder:my/pictures"):
        open_source("folder:")


def test_a_folder_lies_below_the_root(tmp_path):
    with pytest.raises(FileError, match=rf"there is no folder {tmp_path}/pets"):
        open_source("folder:pets", root=tmp_path)
    with pytest.raises(FileError, match="there is no folder /nowhere/pets"):
        open_source("folder:/nowhere/pets", root=tmp_path)


def test_the_examples_of_the_page_run():
    page = Path(__file__).parents[2] / "docs" / "data.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 3
    names: dict = {}
    exec("\n".join(blocks), names)
    assert names["images"].shape == (64, 1, 32, 32)
    assert names["back"].size == (32, 32)
