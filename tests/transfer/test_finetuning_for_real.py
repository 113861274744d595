"""Fine-tuning on twenty photographs a class: weights of ImageNet, ten of its classes."""

import pytest

from convatlas.train.finetuning import Start
from convatlas.train.run import start_run
from convatlas.weights.fitting import WeightsWarning


@pytest.mark.slow
def test_a_new_head_on_squeezenet_tells_ten_classes(data_root, tmp_path):
    pictures = data_root / "imagenette160-tiny"
    weights = data_root / "weights" / "squeezenet1.1-imagenet" / "squeezenet1.1.npz"
    if not pictures.is_dir() or not weights.is_file():
        pytest.skip(f"needs {pictures} and {weights}")
    with pytest.warns(WeightsWarning, match=r"head\.conv10\.weight.* start afresh"):
        result = start_run(
            "squeezenet1_1",
            f"folder:{pictures}",
            out=tmp_path,
            epochs=3,
            start=Start(weights, freeze=("stem", "stages")),
        )
    assert result.test["count"] == 100
    assert result.test["top1_accuracy"] >= 0.7  # a guess is right once in ten
