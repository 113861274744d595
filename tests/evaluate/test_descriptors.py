"""Features of splits as vectors, in files, and what a linear layer makes of them."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import convatlas as ca
from convatlas.cli import main
from convatlas.data.preprocess import Preprocessing
from convatlas.data.sources import open_source
from convatlas.errors import FileError, InputError, UnknownNameError
from convatlas.evaluate.descriptors import (
    Descriptors,
    describe,
    read_descriptors,
    write_descriptors,
)
from convatlas.evaluate.probe import fit_probe

PREPARE = Preprocessing((8, 8), (0.5,), (0.5,))


@pytest.fixture(scope="module")
def digits():
    return open_source("digits")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return ca.create("resnet8_cifar", num_classes=10, in_channels=1)


def test_vectors_are_what_the_layer_gives(network, digits):
    split, layer = digits.val, "stages.stage2"
    found = describe(network, split, PREPARE, digits.card.classes, layer, batch_size=50)
    flat = describe(
        network, split, PREPARE, digits.card.classes, layer, pooling="flatten", batch_size=50
    )
    assert network.training
    network.eval()
    with torch.no_grad():
        image = PREPARE(split.image(77))[None]
        maps = ca.features(network, image, at=[layer])[layer]
    network.train()
    np.testing.assert_allclose(found.vectors[77], maps.mean(dim=(2, 3))[0], atol=1e-6)
    np.testing.assert_allclose(flat.vectors[77], maps.flatten(), atol=1e-6)
    assert found.vectors.dtype == np.float32
    assert found.labels.tolist() == split.labels
    assert found.names[77] == split.name(77)


def test_a_file_gives_back_what_was_written(network, digits, tmp_path):
    found = describe(network, digits.val, PREPARE, digits.card.classes, "head.pool")
    write_descriptors(found, tmp_path / "f.npz")
    again = read_descriptors(tmp_path / "f.npz")
    np.testing.assert_array_equal(again.vectors, found.vectors)
    np.testing.assert_array_equal(again.labels, found.labels)
    assert (again.names, again.classes, again.layer) == (found.names, found.classes, "head.pool")


def test_no_file_runs_code_or_passes_for_features(tmp_path):
    np.savez(tmp_path / "pickled.npz", vectors=np.array([object()]), labels=np.zeros(1))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("pickled.npz", "other.npz", "text.npz"):
        with pytest.raises(FileError, match="is no file of features"):
            read_descriptors(tmp_path / name)
    with pytest.raises(FileError, match="no file"):
        read_descriptors(tmp_path / "missing.npz")


def test_what_can_not_be_described(network, digits):
    classes = digits.card.classes
    with pytest.raises(UnknownNameError, match=r"did you mean: stages\.stage2"):
        describe(network, digits.val, PREPARE, classes, "stages.stage22")
    with pytest.raises(InputError, match="neither a vector"):
        describe(
            nn.Sequential(nn.Flatten(0, 1), nn.Identity()), digits.val, PREPARE, classes, layer="1"
        )


def clouds(spread, count=60, seed=0):
    """Three classes around three corners, in five numbers of which two tell something."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    vectors = rng.normal(0, spread, (count, 5))
    vectors[:, :2] += np.array([(0, 0), (3, 0), (0, 3)])[labels]
    vectors[:, 4] = 7.0
    return Descriptors(vectors.astype(np.float32), labels, ("",) * count, ("a", "b", "c"), "layer")


def test_a_probe_learns_what_is_linear():
    probe = fit_probe(clouds(0.3))
    assert probe.train_accuracy == 1.0
    assert probe.accuracy(clouds(0.3, 300, seed=1)) > 0.99
    assert fit_probe(clouds(0.3)).weight.equal(probe.weight)


def test_a_probe_is_at_the_optimum():
    """At the minimum of a convex function the gradient is zero: no other check is needed."""
    found, penalty = clouds(2.0), 0.1
    probe = fit_probe(found, [penalty])
    weight, bias = probe.weight.clone().requires_grad_(), probe.bias.clone().requires_grad_()
    x = (torch.from_numpy(found.vectors).double() - probe.mean) / probe.scale
    loss = nn.functional.cross_entropy(x @ weight.T + bias, torch.from_numpy(found.labels))
    (loss + penalty / 2 * weight.square().sum()).backward()
    assert max(weight.grad.abs().max(), bias.grad.abs().max()) <= 1e-6


def test_noise_gets_the_strong_penalty():
    assert fit_probe(clouds(30.0)).penalty > fit_probe(clouds(0.3)).penalty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros(60, int)}, "at least two classes"),
        ({"vectors": np.full((60, 5), np.nan)}, "not finite"),
        ({"vectors": np.zeros((4, 5)), "labels": np.array([0, 1, 0, 1])}, "at least 6 images"),
    ],
)
def test_what_can_not_be_fitted(change, message):
    parts = {key: getattr(clouds(1.0), key) for key in Descriptors.__slots__} | change
    with pytest.raises(InputError, match=message):
        fit_probe(Descriptors(**parts))
    with pytest.raises(InputError, match="positive"):
        fit_probe(clouds(1.0), [0.0])


def test_the_verb(network, digits, tmp_path, capsys):
    known = {"classes": list(digits.card.classes), "preprocessing": PREPARE.to_dict()}
    ca.save(network, tmp_path / "net.safetensors", known)

    def call(*words):
        with pytest.raises(SystemExit) as ended:
            main(["features", str(tmp_path / "net.safetensors"), "--data", "digits", *words])
        return ended.value.code, *capsys.readouterr()

    at = ("--at", "head.pool")
    out = str(tmp_path / "f.npz")
    code, text, _ = call(*at, "--probe", "--json", "--out", out, "--split", "test")
    assert code == 0
    result = json.loads(text)
    assert result["probe"]["top1_accuracy"] > 0.8  # even random features know digits
    assert len(read_descriptors(out).labels) == result["count"] == 360
    for words, message in (
        (at, "nothing to do"),
        ((*at, "--out", "f.csv"), "a .npz file, not 'f.csv'"),
        (("--at", "head.poool", "--probe"), "did you mean: head.pool"),
    ):
        code, _, error = call(*words)
        assert (code, error.count("\n")) == (2, 1)
        assert message in error


def test_a_probe_of_a_run_counts_as_a_reading_of_its_test_images(network, digits, tmp_path, capsys):
    known = {"classes": list(digits.card.classes), "preprocessing": PREPARE.to_dict()}
    ca.save(network, tmp_path / "model.safetensors", known)
    (tmp_path / "config.json").write_text(json.dumps({"source": "digits"}))
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(SystemExit):
        main(["features", str(tmp_path), "--data", "digits", "--at", "head.pool", "--probe"])
    (reading,) = map(json.loads, (tmp_path / "test_reads.jsonl").read_text().splitlines())
    assert reading["probe"] == "head.pool"
    assert f"test {reading['top1_accuracy']:.2%}" in capsys.readouterr().out
