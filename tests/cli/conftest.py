"""What the tests of verbs share: a call as a user makes it, a network for digits, pictures."""

from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import convatlas as ca
from convatlas.cli import main
from convatlas.data.sources import open_source


class Ended(NamedTuple):
    """How a call of the command line ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "100")

    def run(*args: str | Path) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def refused(call, run_folder: Path, pictures: list[Path], tmp_path: Path, monkeypatch):
    """Give `refused(verb, args, message)`: one line that says so, exit code 2, no file written.

    MODEL and IMAGE in `args` stand for a network and for a picture.
    """
    monkeypatch.chdir(tmp_path)
    given = {"MODEL": str(run_folder), "IMAGE": str(pictures[0])}

    def check(verb: str, args: list[str], message: str) -> None:
        ended = call(verb, *(given.get(arg, arg) for arg in args))
        assert ended.code == 2
        assert message in ended.err
        assert len(ended.err.splitlines()) == 1
        assert list(tmp_path.iterdir()) == []

    return check


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network for digits, with weights that no training has touched."""
    folder = tmp_path_factory.mktemp("run")
    card = open_source("digits").card
    torch.manual_seed(0)
    metadata = {
        "classes": list(card.classes),
        "preprocessing": card.preprocessing((1, 8, 8)).to_dict(),
        "source": "digits",
    }
    model = ca.create("resnet8_cifar", num_classes=10, in_channels=1)
    ca.save(model, folder / "model.safetensors", metadata)
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    test = open_source("digits").test
    paths = [folder / f"digit {i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        test.image(i).save(path)
    return paths
