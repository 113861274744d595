"""A network opens by a run, a file, or a name and weights from anywhere."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import convatlas as ca
from convatlas.data.imagenet_names import imagenet_classes, imagenet_synsets
from convatlas.errors import FileError, InputError, UnknownNameError
from convatlas.weights.convert import export_state_dict
from convatlas.weights.opening import guess_source, open_model


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return ca.create("squeezenet1_1", num_classes=3).eval()


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return list(ours) == list(theirs) and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_our_own_places_open_with_and_without_the_name(model, tmp_path: Path) -> None:
    ca.save(model, tmp_path / "model.safetensors", {"classes": ["a", "b", "c"]})
    for place in (tmp_path, tmp_path / "model.safetensors", str(tmp_path)):
        for found, metadata in (open_model(place), open_model("squeezenet1_1", place)):
            assert same(found, model)
            assert not found.training
            assert metadata["classes"] == ["a", "b", "c"]
            assert metadata["architecture"] == "squeezenet1_1"


@pytest.mark.parametrize("source", ["torchvision", "gluon", "caffe"])
def test_files_of_other_libraries_open_by_their_names(model, tmp_path: Path, source: str) -> None:
    tensors = export_state_dict(model, source)
    np.savez(tmp_path / "w.npz", **{key: tensor.numpy() for key, tensor in tensors.items()})
    found, metadata = open_model("squeezenet1_1", tmp_path / "w.npz")
    assert same(found, model)
    assert metadata["converted_from"]["source"] == source
    assert metadata["num_classes"] == 3
    assert metadata["preprocessing"]["resize_shorter"] == 256
    assert guess_source(tensors, "squeezenet1_1") == source


def test_older_names_of_a_library_are_known_too(model) -> None:
    tensors = export_state_dict(model, "caffe")
    older = {
        key.replace(".0", ".weight").replace(".1", ".bias"): tensor
        for key, tensor in tensors.items()
    }
    assert guess_source(older, "squeezenet1_1") == "caffe"


def test_our_names_without_a_header_open(model, tmp_path: Path) -> None:
    save_file(model.state_dict(), tmp_path / "plain.safetensors")
    torch.save({"state_dict": model.state_dict()}, tmp_path / "plain.pth")
    for file in ("plain.safetensors", "plain.pth"):
        found, metadata = open_model("squeezenet1_1", tmp_path / file)
        assert same(found, model)
        assert metadata["architecture"] == "squeezenet1_1"
        assert metadata["num_classes"] == 3
        assert "classes" not in metadata


def test_a_thousand_classes_of_another_library_are_imagenets(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = export_state_dict(ca.create("squeezenet1_1"), "torchvision")
    torch.save(tensors, tmp_path / "w.pth")
    _, metadata = open_model("squeezenet1_1", tmp_path / "w.pth")
    assert metadata["classes"] == list(imagenet_classes())


def test_the_classes_of_imagenet_are_in_the_order_of_their_synsets(data_root: Path) -> None:
    assert imagenet_classes()[0] == "tench"
    assert imagenet_classes()[999] == "toilet tissue"
    assert list(imagenet_synsets()) == sorted(set(imagenet_synsets()))
    assert len(imagenet_classes()) == len(imagenet_synsets()) == 1000
    words = (data_root / "imagenet-classes" / "synset_words.txt").read_text().splitlines()
    assert [line.partition(" ")[0] for line in words] == list(imagenet_synsets())
    assert all(
        line.partition(" ")[2].startswith(name)
        for line, name in zip(words, imagenet_classes(), strict=True)
    )


def test_what_is_no_network_says_so(model, tmp_path: Path) -> None:
    ca.save(model, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="without weights: add --weights FILE"):
        open_model("squeezenet1_1")
    with pytest.raises(
        FileError, match=r"no run folder or file squeezenet1-1, and .* did you mean"
    ):
        open_model("squeezenet1-1")
    with pytest.raises(FileError, match=r"no weights file gone.safetensors"):
        open_model("gone.safetensors")
    with pytest.raises(InputError, match="--weights belongs to a network's name"):
        open_model(tmp_path, tmp_path / "model.safetensors")
    with pytest.raises(UnknownNameError, match="did you mean: squeezenet1_1"):
        open_model("squeezenet11", tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="holds weights of squeezenet1_1, not of resnet18"):
        open_model("resnet18", tmp_path)
    with pytest.raises(FileError, match="no weights file"):
        open_model("resnet18", tmp_path / "gone.pth")


def test_weights_that_nobody_calls_so_are_refused(model, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", first=np.zeros(3), second=np.zeros(3))
    with pytest.raises(InputError, match=r"no tensor has a name that squeezenet1_1 has here or in"):
        open_model("squeezenet1_1", tmp_path / "w.npz")
    np.savez(tmp_path / "v.npz", **{"features.0.weight": np.zeros((64, 3, 3, 3), np.float32)})
    with pytest.raises(InputError, match="not the weights of torchvision's squeezenet1_1"):
        open_model("squeezenet1_1", tmp_path / "v.npz")
