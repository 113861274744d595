"""Files of other libraries: read whole, or refused in one line, and never run."""

import os
import pickle
import zipfile

import foreign_nets as nets
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import convatlas as ca
from convatlas.data.preprocess import Preprocessing
from convatlas.errors import FileError, InputError
from convatlas.weights.convert import export_state_dict
from convatlas.weights.fitting import WeightsWarning
from convatlas.weights.foreign import load_foreign, read_state_dict

NAME = "squeezenet1_1"


@pytest.fixture(scope="module")
def theirs():
    """Weights of torchvision's SqueezeNet 1.1, images and their logits."""
    net = nets.Foreign()
    images = torch.randn(1, 3, 64, 64, generator=net.random)
    with torch.no_grad():
        logits = nets.squeezenet(net, images, "1_1")
    return net.tensors, images, logits


def refusal(path, name=NAME):
    with pytest.raises(FileError) as caught:
        load_foreign(path, name)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


class TestFormats:
    @pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pth", ".th"])
    def test_each_gives_the_same_network(self, theirs, tmp_path, suffix):
        tensors, images, logits = theirs
        path = tmp_path / f"squeezenet{suffix}"
        if suffix == ".safetensors":
            save_file(tensors, path)
        elif suffix == ".npz":
            np.savez(path, **{key: tensor.numpy() for key, tensor in tensors.items()})
        else:
            wrapped = {"state_dict": {f"module.{k}": t for k, t in tensors.items()}, "epoch": 9}
            torch.save(tensors if suffix == ".pth" else wrapped, path)
        model, metadata = load_foreign(path, NAME)
        assert not model.training
        with torch.no_grad():
            torch.testing.assert_close(model(images), logits)
        assert metadata["converted_from"] == {
            "source": "torchvision",
            "network": "squeezenet1_1",
            "file": path.name,
        }
        assert Preprocessing.from_dict(metadata["preprocessing"]).resize_shorter == 256

    def test_what_is_converted_can_be_saved_and_loaded(self, theirs, tmp_path):
        tensors, images, logits = theirs
        torch.save(tensors, tmp_path / "theirs.pth")
        converted, metadata = load_foreign(tmp_path / "theirs.pth", NAME)
        ca.save(converted, tmp_path / "o.safetensors", metadata)
        model, metadata = ca.load(tmp_path / "o.safetensors")
        assert metadata["num_classes"] == nets.CLASSES
        with torch.no_grad():
            torch.testing.assert_close(model(images), logits)

    def test_the_fields_that_the_weights_need_are_set(self, tmp_path):
        model = ca.create("squeezenet1_0_bypass", num_classes=2, conv10_padding=1).eval()
        torch.save(export_state_dict(model, "caffe"), tmp_path / "residual.pth")
        loaded, _ = load_foreign(tmp_path / "residual.pth", "squeezenet1_0_bypass", "caffe")
        assert loaded.created_as["overrides"] == {"conv10_padding": 1}
        image = torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            assert torch.equal(loaded(image), model(image))

    def test_values_that_are_not_finite_come_with_a_warning(self, theirs, tmp_path):
        broken = dict(theirs[0]) | {"classifier.1.bias": torch.full((nets.CLASSES,), torch.inf)}
        torch.save(broken, tmp_path / "broken.pth")
        with pytest.warns(WeightsWarning, match=r"not finite: head\.conv10\.bias"):
            load_foreign(tmp_path / "broken.pth", NAME)

    def test_a_preprocessing_of_three_channels_does_not_go_with_one(self, tmp_path):
        net = nets.Foreign()
        nets.squeezenet(net, torch.zeros(1, 1, 64, 64), "1_1")
        torch.save(net.tensors, tmp_path / "grey.pth")
        model, metadata = load_foreign(tmp_path / "grey.pth", NAME)
        assert model.in_channels == 1
        assert "preprocessing" not in metadata


class TestHostileAndDamagedFiles:
    @pytest.mark.parametrize("protocol", [2, 4])
    def test_a_pickle_that_would_run_code_is_refused(self, tmp_path, protocol):
        sentinel = tmp_path / "ran"

        class Payload:
            def __reduce__(self):
                return os.mkdir, (str(sentinel),)

        content = {"conv.weight": torch.zeros(1), "x": Payload()}
        torch.save(content, tmp_path / "zipped.pth", pickle_protocol=protocol)
        (tmp_path / "bare.pth").write_bytes(pickle.dumps(Payload(), protocol))
        for name in ("zipped.pth", "bare.pth"):
            message = refusal(tmp_path / name)
            assert "not read" in message
            assert protocol != 2 or "mkdir, and a pickle that names code can run it" in message
        assert not sentinel.exists()

    def test_a_whole_model_is_refused_with_advice(self, tmp_path):
        torch.save(torch.nn.Linear(1, 1), tmp_path / "model.pt")
        assert "save model.state_dict() instead" in refusal(tmp_path / "model.pt")

    def test_arrays_of_objects_are_refused(self, tmp_path):
        np.savez(tmp_path / "odd.npz", a=np.array([{}], dtype=object))
        assert "odd.npz is no whole .npz file of numbers" in refusal(tmp_path / "odd.npz")
        np.savez(tmp_path / "text.npz", a=np.array(["x"]))
        with pytest.raises(InputError, match="'a' is an array of <U1"):
            load_foreign(tmp_path / "text.npz", NAME)

    @pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pth", ".bin"])
    @pytest.mark.parametrize("keep", [0, 10, 0.5, 0.98])
    def test_a_truncated_file(self, tmp_path, suffix, keep):
        path = tmp_path / f"cut{suffix}"
        if suffix == ".safetensors":
            save_file({"a": torch.zeros(400)}, path)
        elif suffix == ".npz":
            np.savez(path, a=np.zeros(400))
        else:
            torch.save({"a": torch.zeros(400)}, path)
        data = path.read_bytes()
        path.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
        assert "no whole" in refusal(path)

    def test_other_files(self, tmp_path):
        assert refusal(tmp_path / "none.pth").startswith("no weights file")
        (tmp_path / "model.h5").write_bytes(b"x")
        assert "weights are read from .safetensors, .npz, .pth" in refusal(tmp_path / "model.h5")
        torch.save([torch.zeros(1)], tmp_path / "list.pt")
        assert "holds list, not a state_dict" in refusal(tmp_path / "list.pt")
        with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
            archive.writestr("a", "b")
        assert "no whole file of torch.save" in refusal(tmp_path / "zip.pth")

    def test_a_checkpoint_of_one_array(self, tmp_path):
        np.savez(tmp_path / "a.npz", a=np.zeros(3))
        assert list(read_state_dict(tmp_path / "a.npz")) == ["a"]
