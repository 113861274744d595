"""Downloads against a server on this machine: whole and checked, or one clear line."""

import hashlib
import socket
from pathlib import Path

import numpy as np
import pytest

from convatlas.data.download import download
from convatlas.errors import FileError
from convatlas.files import cache_folder

CONTENT = np.random.default_rng(0).bytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILES = {"data.bin": CONTENT}


def inside(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_brings_a_file_and_tells_of_it(tmp_path, file_server):
    path = tmp_path / "new" / "folder" / "data.bin"
    told = []
    given = download([file_server(FILES) + "data.bin"], path, SHA256, lambda *e: told.append(e))
    assert given == path
    assert path.read_bytes() == CONTENT
    assert inside(path.parent) == ["data.bin"]
    names, done, totals = zip(*told, strict=True)
    assert set(names) == {"data.bin"}
    assert list(done) == sorted(done)
    assert done[-1] == 1_000_000
    assert set(totals) == {1_000_000}


def test_asks_for_nothing_where_the_file_is_right(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(CONTENT)
    assert download(["http://127.0.0.1:1/data.bin"], path, SHA256) == path


def test_replaces_a_file_that_is_wrong(tmp_path, file_server):
    path = tmp_path / "data.bin"
    path.write_bytes(b"spoilt")
    download([file_server(FILES) + "data.bin"], path, SHA256)
    assert path.read_bytes() == CONTENT


def test_goes_on_where_it_was_cut_off(tmp_path, file_server):
    url = file_server(FILES, cut=2) + "data.bin"
    download([url], tmp_path / "data.bin", SHA256)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert [wanted for _, wanted in file_server.requests] == [
        None,
        "bytes=500000-",
        "bytes=750000-",
    ]


def test_goes_on_in_a_later_call(tmp_path, file_server):
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:900_000])
    download([file_server(FILES) + "data.bin"], tmp_path / "data.bin", SHA256)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert file_server.requests == [("/data.bin", "bytes=900000-")]


def test_goes_on_at_another_mirror(tmp_path, file_server):
    first, second = file_server(FILES, cut=100), file_server(FILES)
    download([first + "data.bin", second + "data.bin"], tmp_path / "data.bin", SHA256)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert file_server.requests[-1][1] is not None


def test_begins_again_where_the_server_knows_no_ranges(tmp_path, file_server):
    url = file_server(FILES, cut=1, ranges=False) + "data.bin"
    download([url], tmp_path / "data.bin", SHA256)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("rest", [b"of another file", CONTENT + b"and more", CONTENT])
def test_a_strange_rest_does_no_harm(tmp_path, file_server, rest):
    (tmp_path / "data.bin.part").write_bytes(rest)
    download([file_server(FILES) + "data.bin"], tmp_path / "data.bin", SHA256)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert inside(tmp_path) == ["data.bin"]


def test_takes_the_next_mirror_after_a_404(tmp_path, file_server):
    urls = [file_server({}) + "data.bin", file_server(FILES) + "data.bin"]
    download(urls, tmp_path / "data.bin", SHA256)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_takes_the_next_mirror_after_a_wrong_file(tmp_path, file_server):
    urls = [file_server({"data.bin": b"spoilt"}) + "data.bin", file_server(FILES) + "data.bin"]
    download(urls, tmp_path / "data.bin", SHA256)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_refuses_a_wrong_file_and_leaves_nothing(tmp_path, file_server):
    url = file_server({"data.bin": b"spoilt"}) + "data.bin"
    with pytest.raises(FileError, match="another sha256"):
        download([url], tmp_path / "data.bin", SHA256)
    assert inside(tmp_path) == []


def test_gives_up_on_a_server_that_always_cuts_off(tmp_path, file_server):
    url = file_server(FILES, cut=10**6) + "data.bin"
    with pytest.raises(FileError, match="cut off"):
        download([url], tmp_path / "data.bin", SHA256)
    assert not (tmp_path / "data.bin").exists()
    assert len(file_server.requests) < 10


def test_goes_on_after_a_silence(tmp_path, monkeypatch, file_server):
    monkeypatch.setattr("convatlas.data.download.TIMEOUT_SECONDS", 0.2)
    url = file_server(FILES, cut=1, stall=1) + "data.bin"
    download([url], tmp_path / "data.bin", SHA256)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert len(file_server.requests) == 2


def test_without_a_network_says_what_to_put_where(tmp_path):
    path = tmp_path / "data.bin"
    with pytest.raises(FileError) as caught:
        download(["http://127.0.0.1:1/a", "http://127.0.0.1:2/b"], path, SHA256)
    message = str(caught.value)
    assert f"put it at {path} by hand" in message
    assert "http://127.0.0.1:1/a" in message
    assert "http://127.0.0.1:2/b" in message
    assert "\n" not in message


def test_does_not_wait_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("convatlas.data.download.TIMEOUT_SECONDS", 0.2)
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/data.bin"
        with pytest.raises(FileError, match="timed out"):
            download([url], tmp_path / "data.bin", SHA256)


def test_says_where_it_cant_write(tmp_path, file_server):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="can't write"):
        download([file_server(FILES) + "data.bin"], tmp_path / "file" / "data.bin", SHA256)


def test_the_cache_moves_with_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path))
    assert cache_folder("mnist") == tmp_path / "mnist"
    monkeypatch.delenv("CONVATLAS_CACHE")
    assert cache_folder("mnist").parts[-3:] == (".cache", "convatlas", "mnist")
