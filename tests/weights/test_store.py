"""Weights files: what goes in comes out, and whatever else is refused in one line."""

import json
import pickle
import resource
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import convatlas as ca
from convatlas.catalog import build_meta
from convatlas.errors import FileError, InputError, UnknownNameError
from convatlas.weights.fitting import WeightsWarning

NET = "resnet8_cifar"  # the smallest of its family: 78,042 parameters


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ca.create(NET, num_classes=3)


@pytest.fixture
def file(model, tmp_path):
    path = tmp_path / "model.safetensors"
    ca.save(model, path, {"classes": ["a", "b", "c"], "source": "test"})
    return path


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def refusal(action, *arguments, **named):
    with pytest.raises((FileError, InputError)) as caught:
        action(*arguments, **named)
    message = str(caught.value)
    assert "\n" not in message
    return message


class TestRoundTrip:
    def test_every_tensor_comes_back(self, model, file):
        loaded, metadata = ca.load(file)
        assert same(model, loaded)
        assert not loaded.training
        assert metadata["architecture"] == NET
        assert metadata["num_classes"] == 3
        assert metadata["in_channels"] == 3
        assert metadata["classes"] == ["a", "b", "c"]
        assert metadata["convatlas"] == ca.__version__

    def test_a_loaded_model_can_be_saved_again(self, file, tmp_path):
        again = tmp_path / "again.safetensors"
        loaded, metadata = ca.load(file)
        ca.save(loaded, again, metadata)
        assert again.read_bytes() == file.read_bytes()

    def test_a_run_folder_stands_for_its_model(self, model, file):
        assert same(model, ca.load(file.parent)[0])

    def test_create_takes_the_files_classes(self, model, file):
        created = ca.create(NET, weights=file)
        assert created.training
        assert same(model, created)

    def test_overrides_travel(self, tmp_path):
        model = ca.create(NET, shortcut="B", widths=(4, 8, 16), in_channels=1)
        ca.save(model, tmp_path / "wide.safetensors")
        loaded, metadata = ca.load(tmp_path / "wide.safetensors")
        assert same(model, loaded)
        assert metadata["overrides"] == {"shortcut": "B", "widths": [4, 8, 16]}
        assert loaded.created_as["overrides"] == {"shortcut": "B", "widths": (4, 8, 16)}

    def test_an_override_may_be_none(self, tmp_path):
        ca.save(ca.create(NET, shortcut=None), tmp_path / "plain.safetensors")
        assert ca.load(tmp_path / "plain.safetensors")[0].created_as["overrides"] == {
            "shortcut": None
        }
        message = refusal(ca.create, NET, shortcut="B", weights=tmp_path / "plain.safetensors")
        assert "missing: stages.stage2.0.shortcut.conv.weight" in message
        ca.save(ca.create(NET), tmp_path / "zero.safetensors")
        created = ca.create(NET, shortcut=None, weights=tmp_path / "zero.safetensors")
        assert created.created_as["overrides"] == {"shortcut": None}

    def test_any_layout_and_precision_can_be_saved(self, model, tmp_path):
        path = tmp_path / "half.safetensors"
        ca.save(model.to(memory_format=torch.channels_last).half(), path)
        loaded, _ = ca.load(path)
        assert {p.dtype for p in loaded.parameters()} == {torch.float32}
        assert same(model.float(), loaded)

    def test_loading_leaves_the_random_state_alone(self, file):
        before = torch.get_rng_state()
        ca.load(file)
        assert torch.equal(before, torch.get_rng_state())

    @settings(max_examples=20, deadline=None)
    @given(
        st.dictionaries(
            st.text(min_size=1, max_size=8).map(lambda key: f"x{key}"),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers()
                | st.text()
                | st.floats(allow_nan=False, allow_infinity=False),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=6,
            ),
        )
    )
    def test_metadata_comes_back(self, tmp_path_factory, metadata):
        path = tmp_path_factory.mktemp("metadata") / "model.safetensors"
        ca.save(ca.create("resnet8_cifar", widths=(1, 1, 1)), path, metadata)
        assert metadata.items() <= ca.load(path)[1].items()


class TestOtherClasses:
    def test_only_the_last_layer_starts_afresh(self, model, file):
        with pytest.warns(WeightsWarning, match=r"head\.fc\.weight, head\.fc\.bias start afresh"):
            created = ca.create(NET, num_classes=5, weights=file)
        old, new = model.state_dict(), created.state_dict()
        changed = [name for name in old if old[name].shape != new[name].shape]
        assert changed == ["head.fc.weight", "head.fc.bias"]
        assert all(torch.equal(old[name], new[name]) for name in old if name not in changed)

    def test_the_same_number_keeps_the_last_layer(self, model, file):
        assert same(model, ca.create(NET, num_classes=3, weights=file))


class TestOtherChannels:
    @pytest.mark.parametrize("channels", [1, 2, 6, 7])
    def test_the_first_convolution_is_adapted(self, model, file, channels):
        with pytest.warns(WeightsWarning, match=r"stem\.conv1\.conv\.weight takes 3 channels"):
            created = ca.create(NET, in_channels=channels, weights=file)
        old, new = model.state_dict(), created.state_dict()
        changed = [name for name in old if old[name].shape != new[name].shape]
        assert changed == ["stem.conv1.conv.weight"]
        assert all(torch.equal(old[name], new[name]) for name in old if name not in changed)

    def test_one_channel_answers_to_grey_as_three_did(self, model, file):
        with pytest.warns(WeightsWarning, match="the sum over them"):
            created = ca.create(NET, in_channels=1, weights=file).eval()
        grey = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(created(grey), model.eval()(grey.expand(2, 3, 8, 8)))

    def test_more_channels_are_repeated_and_scaled(self, model, file):
        with pytest.warns(WeightsWarning, match="them repeated and scaled"):
            created = ca.create(NET, in_channels=6, weights=file).eval()
        image = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        twice = created(torch.cat([image, image], 1))
        torch.testing.assert_close(twice, model.eval()(image))

    def test_classes_and_channels_may_both_differ(self, file):
        with pytest.warns(WeightsWarning) as caught:
            created = ca.create(NET, num_classes=4, in_channels=1, weights=file)
        assert len(caught) == 2
        assert created(torch.zeros(1, 1, 8, 8)).shape == (1, 4)

    def test_the_same_number_says_nothing(self, model, file):
        assert same(model, ca.create(NET, in_channels=3, weights=file))


class TestForeignFiles:
    def test_a_plain_safetensors_file_needs_the_networks_name(self, model, tmp_path):
        path = tmp_path / "plain.safetensors"
        save_file(model.state_dict(), path)
        assert "name the network: create(" in refusal(ca.load, path)
        assert same(model, ca.create(NET, num_classes=3, weights=path))

    def test_weights_of_another_network(self, file):
        assert refusal(ca.create, "resnet14_cifar", weights=file).endswith(
            f"holds weights of {NET}, not of resnet14_cifar"
        )

    def test_missing_unexpected_and_misshapen_tensors_are_named(self, model, tmp_path):
        tensors = {f"x{i}": torch.zeros(1) for i in range(5)} | model.state_dict()
        del tensors["head.fc.bias"]
        tensors["head.fc.weight"] = torch.zeros(3, 1)
        save_file(tensors, tmp_path / "odd.safetensors")
        message = refusal(ca.create, NET, num_classes=3, weights=tmp_path / "odd.safetensors")
        assert "missing: head.fc.bias" in message
        assert "unexpected: x0, x1, x2 and 2 more" in message
        message = refusal(ca.create, NET, weights=tmp_path / "odd.safetensors")
        assert "head.fc.weight (3, 1) for (10, 64)" in message

    def test_whole_numbers_are_no_weights(self, model, tmp_path):
        tensors = model.state_dict()
        tensors["head.fc.bias"] = torch.zeros(3, dtype=torch.int64)
        save_file(tensors, tmp_path / "odd.safetensors")
        message = refusal(ca.create, NET, num_classes=3, weights=tmp_path / "odd.safetensors")
        assert "another type: head.fc.bias torch.int64 for torch.float32" in message

    def test_values_that_are_not_finite_are_loaded_with_a_warning(self, model, tmp_path):
        with torch.no_grad():
            model.head.fc.bias[1] = torch.nan
        ca.save(model, tmp_path / "nan.safetensors")
        with pytest.warns(WeightsWarning, match=r"not finite: head\.fc\.bias"):
            loaded, _ = ca.load(tmp_path / "nan.safetensors")
        assert loaded.head.fc.bias.isnan().tolist() == [False, True, False]

    def test_unknown_networks_come_before_the_file(self, tmp_path):
        with pytest.raises(UnknownNameError, match="did you mean"):
            ca.create("resnet5O", weights=tmp_path / "none")


class TestDamagedFiles:
    def test_no_file(self, tmp_path):
        assert refusal(ca.load, tmp_path / "x.safetensors").startswith("no weights file")
        assert "training hasn't ended" in refusal(ca.load, tmp_path)

    @pytest.mark.parametrize("keep", [0, 4, 8, 100, 0.5, 0.999])
    def test_a_truncated_file(self, file, keep):
        data = file.read_bytes()
        file.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
        assert "no whole safetensors file" in refusal(ca.load, file)

    def test_a_header_longer_than_any_file(self, file):
        file.write_bytes(struct.pack("<Q", 2**63) + file.read_bytes()[8:])
        assert "no whole safetensors file" in refusal(ca.load, file)

    def test_a_pickle_is_not_run(self, tmp_path):
        sentinel = tmp_path / "ran"

        class Payload:
            def __reduce__(self):
                return Path.touch, (sentinel,)

        for name in ("model.safetensors", "model.pt"):
            (tmp_path / name).write_bytes(pickle.dumps(Payload()))
            assert "no whole safetensors file" in refusal(ca.load, tmp_path / name)
            assert "no whole safetensors file" in refusal(ca.create, NET, weights=tmp_path / name)
        assert not sentinel.exists()

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            ("{", "damaged"),
            ("[]", "damaged"),
            ("{}", "damaged"),
            ('{"format": 2, "convatlas": "9.0"}', "it was written by 9.0"),
            ('{"format": 1}', "no valid architecture, num_classes, in_channels, overrides"),
            ({"architecture": "resnet5O"}, "did you mean"),
            ({"overrides": {"depth": 3}}, "no option 'depth'"),
            ({"overrides": {"widths": "abc"}}, "describes no network"),
            ({"num_classes": 10**12}, "(3, 64) for (1000000000000, 64)"),
            ({"num_classes": 10**30}, "describes no network"),
            ({"num_classes": -1}, "num_classes must be"),
            ({"classes": 3}, "no valid classes"),
            ({"preprocessing": "centre crop"}, "no valid preprocessing"),
        ],
    )
    def test_a_header_that_makes_no_sense(self, file, header, message):
        if isinstance(header, dict):
            header = json.dumps(ca.load(file)[1] | header)
        save_file(load_file(file), file, {"convatlas": header})
        assert message in refusal(ca.load, file)


class TestSaving:
    def test_a_strange_model_is_refused(self, tmp_path):
        message = refusal(ca.save, torch.nn.Linear(2, 2), tmp_path / "x.safetensors")
        assert "Linear" in message
        assert list(tmp_path.iterdir()) == []

    def test_a_changed_model_is_refused(self, model, tmp_path):
        model.head.fc = torch.nn.Linear(64, 7)
        message = refusal(ca.save, model, tmp_path / "x.safetensors")
        assert "head.fc.weight (7, 64) for (3, 64)" in message

    def test_metadata_that_json_cannot_hold(self, model, tmp_path):
        for value in ({1, 2}, torch.zeros(1), float("nan")):
            assert "metadata" in refusal(ca.save, model, tmp_path / "x", {"value": value})
        assert "got 2 names" in refusal(ca.save, model, tmp_path / "x", {"classes": ["a", "b"]})
        for classes in (3, "abc", {"a": 0, "b": 1, "c": 2}):
            message = refusal(ca.save, model, tmp_path / "x", {"classes": classes})
            assert "classes are a list of names" in message

    def test_shapes_without_weights_are_refused(self, tmp_path):
        message = refusal(ca.save, build_meta(NET), tmp_path / "x.safetensors")
        assert "on the meta device" in message
        assert list(tmp_path.iterdir()) == []

    def test_a_compiled_network_is_saved_as_ours(self, model, tmp_path):
        ca.save(torch.compile(model, backend="eager"), tmp_path / "compiled.safetensors")
        assert same(model, ca.load(tmp_path / "compiled.safetensors")[0])

    def test_a_full_disk_leaves_the_old_file(self, model, file):
        old = file.read_bytes()
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
        try:
            message = refusal(ca.save, model, file)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert message.startswith(f"can't write {file}: ")
        assert "File too large" in message
        assert file.read_bytes() == old
        assert list(file.parent.iterdir()) == [file]
