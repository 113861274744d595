"""A network that is handed on loads back as the same function, or nothing is written."""

import errno
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import convatlas as ca
from convatlas.cli import main
from convatlas.errors import FileError, InputError
from convatlas.report.push import push

FILES = ["README.md", "config.json", "model.safetensors"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_pushed_network_loads_back(finished_run, tmp_path):
    target = tmp_path / "deep" / "net"
    assert push(finished_run, str(target), licence="mit") == str(target)
    assert names(target) == FILES
    assert names(target.parent) == ["net"]
    assert "license: mit" in (target / "README.md").read_text()
    config = json.loads((target / "config.json").read_text())
    assert config["architecture"] == "resnet8_cifar"
    one, metadata = ca.load(target)
    two, _ = ca.load(finished_run)
    assert metadata["classes"] == config["classes"]
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(one(x), two(x))


def test_only_a_former_push_is_replaced(finished_run, tmp_path):
    target = tmp_path / "net"
    push(finished_run, str(target))
    with pytest.raises(InputError, match="add --overwrite"):
        push(finished_run, str(target))
    push(finished_run, str(target), licence="mit", overwrite=True)
    assert "license: mit" in (target / "README.md").read_text()
    (target / "thesis.tex").touch()
    with pytest.raises(InputError, match="choose another folder"):
        push(finished_run, str(target), overwrite=True)
    assert (target / "thesis.tex").exists()
    with pytest.raises(InputError, match="is a file"):
        push(finished_run, str(target / "thesis.tex"))


def test_a_full_disk_leaves_nothing_new(finished_run, tmp_path, monkeypatch):
    target = tmp_path / "net"
    push(finished_run, str(target), licence="mit")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(FileError, match="No space left"):
        push(finished_run, str(target), overwrite=True)
    with pytest.raises(FileError, match="No space left"):
        push(finished_run, str(tmp_path / "other"))
    assert names(tmp_path) == ["net"]
    assert names(target) == FILES
    assert "license: mit" in (target / "README.md").read_text()


def test_an_unfinished_run_is_refused(finished_run, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_bytes((finished_run / "config.json").read_bytes())
    with pytest.raises(FileError, match="not finished"):
        push(run, str(tmp_path / "net"))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The library of the hub, with repositories that are folders."""
    place = tmp_path / "hub"

    class HfApi:
        def create_repo(self, name, private, exist_ok):
            if name.startswith("nobody/"):
                raise PermissionError("403 Forbidden:\nno right to nobody")
            (place / name).mkdir(parents=True, exist_ok=exist_ok)
            (place / name / ".private").write_text(str(private))

        def upload_folder(self, repo_id, folder_path, commit_message):
            assert commit_message
            for path in Path(folder_path).iterdir():
                (place / repo_id / path.name).write_bytes(path.read_bytes())

    def hf_hub_download(name, file):
        if not (place / name / file).exists():
            raise FileNotFoundError(f"404: no {name}")
        return str(place / name / file)

    library = SimpleNamespace(HfApi=HfApi, hf_hub_download=hf_hub_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)
    return place


def test_a_repository_of_the_hub_is_written_and_read(finished_run, hub):
    assert push(finished_run, "hf:me/net", private=True) == "hf:me/net"
    assert sorted(p.name for p in (hub / "me/net").iterdir()) == [".private", *FILES]
    assert (hub / "me/net/.private").read_text() == "True"
    model, metadata = ca.load("hf:me/net")
    assert metadata["architecture"] == "resnet8_cifar"
    again = ca.create("resnet8_cifar", weights="hf:me/net")
    assert torch.equal(model.head.fc.weight, again.head.fc.weight)


def test_what_the_hub_refuses_is_one_line(finished_run, hub):
    with pytest.raises(FileError, match="can't push to hf:nobody/net: 403 Forbidden: no right"):
        push(finished_run, "hf:nobody/net")
    with pytest.raises(FileError, match=r"can't read model\.safetensors of hf:me/none: 404"):
        ca.load("hf:me/none")
    with pytest.raises(InputError, match="hf:USER/NAME, not 'hf:alone'"):
        push(finished_run, "hf:alone")


def test_a_missing_library_names_the_extra(finished_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'convatlas\[hub\]'"):
        push(finished_run, "hf:me/net")


def test_the_verb(finished_run, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["push", str(finished_run), str(tmp_path / "net")])
    assert not ended.value.code
    assert capsys.readouterr().out == f"pushed {finished_run} to {tmp_path / 'net'}\n"
