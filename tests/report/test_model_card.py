"""The card of a trained network says what was measured, and hubs can read its head."""

import json
import shutil

import pytest

from convatlas.errors import FileError
from convatlas.evaluate.metrics import wilson_interval
from convatlas.report.model_card import card_text, write_card


def test_the_card_tells_results_data_recipe_cost_and_limits(finished_run):
    test = json.loads((finished_run / "test.json").read_text())
    path = write_card(finished_run)
    text = path.read_text()
    low, high = wilson_interval(round(test["top1_accuracy"] * 360), 360)
    accuracy = f"{test['top1_accuracy']:.2%}".replace("%", " %")
    assert (
        f"| top1 accuracy | {accuracy}, 95 % interval {100 * low:.2f} % to {100 * high:.2f}" in text
    )
    assert "| images | 360 |" in text
    assert "Recipe `cifar10` (section 4.2), seed 7" in text
    assert "| parameters |" in text
    assert "No licence was chosen" in text
    assert "360 test images are few" in text
    assert "convatlas train resnet8_cifar --data digits --recipe cifar10" in text
    assert "No images are flipped." in text
    assert "\N{NO-BREAK SPACE}" not in text


def test_the_card_of_a_segmentation_speaks_of_pixels(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config |= {"source": "segmentation:cells"}
    (run / "config.json").write_text(json.dumps(config))
    (run / "test.json").write_text(json.dumps({"mean_iou": 0.5, "count": 1}))
    text = card_text(run)
    assert "one of them for every pixel, also for one that belongs to none" in text
    assert "- 1 test image is few.\n" in text
    assert "convatlas segment . IMAGE" in text
    assert "convatlas predict . IMAGE" in card_text(finished_run)


def test_hubs_read_the_head(finished_run):
    hub = pytest.importorskip("huggingface_hub", reason="needs the extra hub")
    test = json.loads((finished_run / "test.json").read_text())
    card = hub.ModelCard(card_text(finished_run, licence="apache-2.0"))
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "image-classification"
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.metric_type) == ("digits", "top1_accuracy")
    assert result.metric_value == test["top1_accuracy"]


def test_the_worst_classes_come_first(finished_run):
    test = json.loads((finished_run / "test.json").read_text())
    worst = min(test["per_class"], key=test["per_class"].get)
    table = card_text(finished_run).partition("knows least")[2]
    assert table.splitlines()[4].startswith(f"| {worst} |")


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"config\.json"):
        write_card(tmp_path)
    assert not list(tmp_path.iterdir())
