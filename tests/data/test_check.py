"""What `check_source` and `convatlas data check` say of a source."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from convatlas.cli import main
from convatlas.data.check import check_source
from convatlas.data.sources import open_source


def picture(path: Path, mode: str, size: tuple[int, int], value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).convert(mode).save(path)


@pytest.fixture
def pets(tmp_path) -> Path:
    """Six pictures for training, three for validation, four for testing; two bad, one thrice."""
    folder = tmp_path / "pets"
    for i in range(3):
        picture(folder / "train" / "cat" / f"{i}.png", "RGB", (10 + i, 20), i)
        picture(folder / "train" / "dog" / f"{i}.png", "LA", (10, 8 + i), 10 + i)
    for i, split in ((20, "val"), (30, "test")):
        picture(folder / split / "cat" / "a.png", "P", (4, 5), i)
        picture(folder / split / "dog" / "a.png", "RGB", (4, 5), i + 1)
    shutil.copy(folder / "train/cat/1.png", folder / "val/cat/copy.png")
    shutil.copy(folder / "train/cat/1.png", folder / "test/dog/copy.png")
    (folder / "test/cat/torn.jpg").write_bytes(b"torn")
    (folder / "train/dog/2.png").write_bytes(b"")
    return folder


def test_counts_and_names_all_there_is(pets):
    told = []
    found = check_source(
        open_source(f"folder:{pets}"), threads=3, progress=lambda *where: told.append(where)
    )
    assert found.classes == ("cat", "dog")
    train, val, test = (found.splits[name] for name in ("train", "val", "test"))
    assert (train.count, train.per_class) == (6, [3, 3])
    assert (train.smallest, train.median, train.largest) == ((8, 10), (20, 10), (20, 12))
    assert train.modes == {"RGB": 3, "LA": 2}
    assert val.modes == {"P": 1, "RGB": 2}
    assert val.bad == {}
    assert list(train.bad) == ["train/dog/2.png"]
    assert test.bad == {
        "test/cat/torn.jpg": f"{pets}/test/cat/torn.jpg is no picture in a format that can be read"
    }
    assert found.bad == 2
    assert found.duplicates == [
        ["train: train/cat/1.png", "val: val/cat/copy.png", "test: test/dog/copy.png"]
    ]
    assert told[-1] == (13, 13)


def test_a_source_in_memory_is_looked_at_too():
    found = check_source(open_source("digits"))
    assert found.bad == 0
    assert found.splits["train"].modes == {"L": 1257}
    assert sum(found.splits["test"].per_class) == 360


def run(capsys, *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(list(args))
    return int(caught.value.code or 0), *capsys.readouterr()


def test_the_verb_prints_it_and_fails_on_bad_files(capsys, pets):
    code, out, _ = run(capsys, "data", "check", f"folder:{pets}")
    assert code == 1
    assert "2 images can't be read:" in out
    assert f"test: {pets}/test/cat/torn.jpg is no picture" in out
    assert "1 images are the same in two splits:" in out
    assert "8x10" in out
    code, out, _ = run(capsys, "data", "check", "pets", "--root", str(pets))
    assert code == 2
    for bad in ("test/cat/torn.jpg", "train/dog/2.png"):
        (pets / bad).unlink()
    code, out, _ = run(capsys, "data", "check", f"folder:{pets}")
    assert code == 0
    assert "can't be read" not in out


def test_the_verb_gives_json(capsys, pets):
    code, out, _ = run(capsys, "data", "check", f"folder:{pets}", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["bad"] == 2
    assert found["splits"]["train"]["per_class"] == [3, 3]
    assert len(found["duplicates"]) == 1
    code, out, err = run(capsys, "data", "chek", "digits")
    assert code == 2
    assert "check" in err
