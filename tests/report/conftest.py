"""A finished run, made without training."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import convatlas as ca
from convatlas.data.sources import open_source
from convatlas.evaluate.evaluation import evaluate


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a network that hasn't learnt a thing: plenty of mistakes."""
    folder = tmp_path_factory.mktemp("finished")
    source = open_source("digits")
    preprocessing = source.card.preprocessing((1, 8, 8))
    torch.manual_seed(0)
    model = ca.create("resnet8_cifar", num_classes=10, in_channels=1)
    test = evaluate(model, source.test, preprocessing, source.card.classes)
    kept = {
        "classes": list(source.card.classes),
        "preprocessing": preprocessing.to_dict(),
        "source": "digits",
    }
    ca.save(model, folder / "model.safetensors", kept)
    config = kept | {
        "architecture": "resnet8_cifar",
        "num_classes": 10,
        "in_channels": 1,
        "overrides": {},
        "root": None,
        "images": {"train": 1257, "val": 180, "test": 360},
        "recipe_name": "cifar10",
        "recipe": {
            "kind": "Recipe",
            "where": "section 4.2",
            "batch_size": 64,
            "epochs": 3,
            "optimizer": {"kind": "SGD", "lr": 0.1, "momentum": 0.9},
            "augment": [],
            "deviations": ["No images are flipped."],
        },
        "seed": 7,
        "versions": {"convatlas": "0.1.0", "torch": "2.13.0", "python": "3.11"},
    }
    records = [
        {
            "epoch": epoch,
            "step": 20 * epoch,
            "train_loss": 2.0 / epoch,
            "train_accuracy": 1 - 0.5 / epoch,
            "val_loss": 2.2 / epoch,
            "val_accuracy": 1 - 0.6 / epoch,
            "lr": 0.1 / epoch,
            "seconds": 30.5,
            "images_per_second": 41.2,
        }
        for epoch in (1, 2, 3)
    ]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "test.json").write_text(json.dumps(test.to_dict()), encoding="utf-8")
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "metrics.jsonl").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture
def run_copy(finished_run: Path, tmp_path: Path) -> Path:
    """The same run in a folder that a test may change."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))
