"""Weights by name: fetched from a server on this machine, checked, converted, kept."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import convatlas as ca
from convatlas.cli.fetch import command as fetch_command
from convatlas.cli.list_networks import command as list_command
from convatlas.errors import FileError, UnknownNameError
from convatlas.files import cache_folder
from convatlas.weights import published as room
from convatlas.weights.convert import export_state_dict
from convatlas.weights.fitting import WeightsWarning
from convatlas.weights.foreign import TORCH_SUFFIXES
from convatlas.weights.opening import open_model
from convatlas.weights.published import place, published
from convatlas.weights.registry.entry import Published
from convatlas.weights.sources import SOURCES, find_map

NETWORK, NAME, FILE = "resnet20_cifar", "local_v1", "resnet20.th"


@pytest.fixture(scope="module")
def trained() -> tuple[dict[str, Tensor], bytes]:
    """Our weights, and the file in which another library publishes them."""
    torch.manual_seed(5)
    model = ca.create(NETWORK)
    buffer = io.BytesIO()
    torch.save({"state_dict": export_state_dict(model, "akamaster")}, buffer)
    return model.state_dict(), buffer.getvalue()


@pytest.fixture
def publish(tmp_path, monkeypatch, trained) -> Callable[..., Published]:
    """Give `publish(url, sha256=None)`, which puts an entry into the registry."""
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path / "cache"))

    def publish(url: str, sha256: str | None = None) -> Published:
        digits = hashlib.sha256(trained[1]).hexdigest() if sha256 is None else sha256
        urls, licence, cited = (url + FILE,), "CC0-1.0", "https://example.org"
        entry = Published(
            NETWORK, NAME, "akamaster", urls, digits, 1.0, "cifar10", licence, 91.0, None, cited
        )
        monkeypatch.setattr(room, "REGISTRY", (entry,))
        return entry

    return publish


def kept() -> list[str]:
    folder = cache_folder("weights")
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_weights_come_by_name_once(publish, file_server, trained):
    entry = publish(file_server({FILE: trained[1]}))
    for _ in range(2):
        model = ca.create(NETWORK, weights=NAME)
        assert all(torch.equal(value, trained[0][key]) for key, value in model.state_dict().items())
    assert len(file_server.requests) == 1
    assert kept() == [FILE, f"{NETWORK}-{NAME}.safetensors"]
    assert place(entry).is_file()


def test_the_file_says_where_it_comes_from(publish, file_server, trained):
    entry = publish(file_server({FILE: trained[1]}))
    model, metadata = open_model(NETWORK, NAME)
    assert not model.training
    assert metadata["classes"][:2] == ["airplane", "automobile"]
    assert metadata["preprocessing"]["size"] == [32, 32]
    assert metadata["metrics"] == {"published_top1_accuracy": 0.91}
    assert (metadata["url"], metadata["licence"]) == (entry.urls[0], "CC0-1.0")


def test_other_classes_start_the_last_layer_afresh(publish, file_server, trained):
    publish(file_server({FILE: trained[1]}))
    with pytest.warns(WeightsWarning, match=r"head\.fc"):
        model = ca.create(NETWORK, num_classes=3, weights=NAME)
    assert torch.equal(
        model.state_dict()["stem.conv1.conv.weight"], trained[0]["stem.conv1.conv.weight"]
    )


def test_a_download_that_was_cut_off_goes_on(publish, file_server, trained):
    publish(file_server({FILE: trained[1]}, cut=2))
    ca.create(NETWORK, weights=NAME)
    assert [wanted is not None for _, wanted in file_server.requests] == [False, True, True]


def test_the_first_digits_of_the_checksum_are_enough(publish, file_server, trained):
    publish(file_server({FILE: trained[1]}), hashlib.sha256(trained[1]).hexdigest()[:8])
    ca.create(NETWORK, weights=NAME)


@pytest.mark.parametrize("sha256", ["00000000", "0" * 64])
def test_a_wrong_checksum_leaves_nothing(publish, file_server, trained, sha256):
    publish(file_server({FILE: trained[1]}), sha256)
    with pytest.raises(FileError, match=f"can't download {FILE}.*another sha256"):
        ca.create(NETWORK, weights=NAME)
    assert kept() == []


def test_without_a_network_one_line_says_what_to_do(publish):
    publish("http://127.0.0.1:1/")
    with pytest.raises(FileError) as raised:
        ca.create(NETWORK, weights=NAME)
    message = str(raised.value)
    assert "\n" not in message
    assert f"put it at {cache_folder('weights') / FILE} by hand" in message


def test_what_does_not_fit_is_not_kept(publish, file_server):
    buffer = io.BytesIO()
    torch.save({"conv1.weight": torch.zeros(3)}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    publish(file_server({FILE: buffer.getvalue()}), digest)
    with pytest.raises(ValueError, match="these are not the weights of akamaster's resnet20"):
        ca.create(NETWORK, weights=NAME)
    assert kept() == [FILE]


def test_a_wrong_name_tells_the_nearest(publish):
    publish("http://127.0.0.1:1/")
    with pytest.raises(UnknownNameError, match="did you mean: local_v1"):
        ca.create(NETWORK, weights="local_v2")
    with pytest.raises(FileError, match="no weights file local_v1, and none are published for"):
        ca.create("lenet5", weights=NAME)
    with pytest.raises(FileError, match=r"no weights file .*local_v1\.safetensors"):
        ca.create(NETWORK, weights="local_v1.safetensors")


def test_a_file_of_the_same_name_comes_first(publish, tmp_path, monkeypatch):
    publish("http://127.0.0.1:1/")
    monkeypatch.chdir(tmp_path)
    ca.save(ca.create(NETWORK), NAME)
    assert ca.create(NETWORK, weights=NAME).created_as["name"] == NETWORK


def test_the_list_tells_what_is_at_hand(publish, file_server, trained):
    publish(file_server({FILE: trained[1]}))

    def at_hand() -> tuple[bool, str]:
        told = CliRunner().invoke(list_command, ["--weights", "--json"])
        table = CliRunner().invoke(list_command, ["--weights"])
        assert told.exit_code == table.exit_code == 0
        (entry,) = json.loads(told.output)
        return entry["at_hand"], table.output

    assert at_hand()[0] is False
    ca.create(NETWORK, weights=NAME)
    ready, table = at_hand()
    assert ready is True
    assert " yes " in table


@pytest.mark.parametrize("given", [[NETWORK], [NETWORK, NAME]])
def test_the_verb_brings_them(publish, file_server, trained, given):
    entry = publish(file_server({FILE: trained[1]}))
    told = CliRunner().invoke(fetch_command, given)
    assert told.exit_code == 0
    assert str(place(entry)) in told.output
    assert "91.00 % top-1 on cifar10 as published; CC0-1.0" in told.output
    again = CliRunner().invoke(fetch_command, given)
    assert (again.exit_code, len(file_server.requests)) == (0, 1)


def test_the_verb_says_what_is_not_published(publish):
    publish("http://127.0.0.1:1/")
    told = CliRunner().invoke(fetch_command, ["resnet32_cifar"])
    assert str(told.exception) == (
        "no weights are published for resnet32_cifar; did you mean: resnet20_cifar?"
    )


def test_every_entry_of_the_registry_can_be_converted():
    entries = published()
    assert len({(entry.network, entry.name) for entry in entries}) == len(entries)
    for entry in entries:
        library, _ = find_map(entry.network, entry.source)
        assert library.name == entry.source
        file = Path(entry.urls[0])
        assert file.suffix in TORCH_SUFFIXES
        assert file.stem.endswith(entry.sha256[:8])
        assert set(entry.sha256) <= set("0123456789abcdef")
        assert len(entry.sha256) in (8, 64)
        assert all(url.startswith("https://") for url in (*entry.urls, entry.cited))
        assert 50 < entry.top1_accuracy < (entry.top5_accuracy or 100) <= 100
        assert entry.megabytes > 1


def test_torchvision_publishes_weights_for_each_of_its_networks():
    listed = {entry.network for entry in published() if entry.source == "torchvision"}
    assert listed == set(SOURCES["torchvision"].networks)


def test_the_size_of_a_file_is_that_of_the_weights():
    """In float32, or in float16 where a file is half as large."""
    params = {name: sum(p.numel() for p in build(name)) for name in ("resnet18", "densenet121")}
    for name, count in params.items():
        (entry,) = published(name)
        assert entry.megabytes == pytest.approx(4 * count / 2**20, rel=0.02)


def build(name: str) -> list[Tensor]:
    with torch.device("meta"):
        return list(ca.create(name).parameters())


def test_real_weights_of_the_registry(data_root, publish, file_server, monkeypatch):
    (entry,) = published(NETWORK)
    file = data_root / "weights/resnet-cifar10/resnet20-12fca82f.th"
    server = file_server({file.name: file.read_bytes()})
    publish(server)  # for the cache of this test
    monkeypatch.setattr(room, "REGISTRY", (replace(entry, urls=(server + file.name,)),))
    model = ca.create(NETWORK, weights="akamaster")
    assert model.head.fc.weight.shape == (10, 64)
