"""An evaluation equals a literal count over numpy arrays, and leaves the network as it was."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from convatlas.data.preprocess import Preprocessing
from convatlas.errors import InputError
from convatlas.evaluate.evaluation import Evaluation, evaluate


class Listed:
    """A split of grey images in memory."""

    def __init__(self, images: np.ndarray, labels: list[int]) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, i: int) -> Image.Image:
        return Image.fromarray(self.images[i])

    def label(self, i: int) -> int:
        return self.labels[i]

    def name(self, i: int) -> str:
        return f"image {i}"


def random_split(count: int, classes: int, seed: int = 0) -> Listed:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 4, 5), dtype=np.uint8)
    return Listed(images, rng.integers(0, classes, count).tolist())


PREPROCESSING = Preprocessing(size=(4, 5), mean=(0.5,), std=(0.25,))


def network(classes: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(20, classes))


def names(classes: int) -> list[str]:
    return [f"class {i}" for i in range(classes)]


@pytest.mark.parametrize("classes", [2, 4, 5, 12])
@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_it_equals_a_literal_reference(classes: int, batch_size: int) -> None:
    split, model = random_split(41, classes), network(classes)
    found = evaluate(model, split, PREPROCESSING, names(classes), batch_size=batch_size)

    weight = model[2].weight.detach().numpy().astype(np.float64)
    bias = model[2].bias.detach().numpy().astype(np.float64)
    pixels = (split.images.reshape(41, 20) / 255 - 0.5) / 0.25
    logits = pixels @ weight.T + bias
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exp / exp.sum(axis=1, keepdims=True)
    labels = np.array(split.labels)
    order = np.argsort(-logits, axis=1)

    assert found.count == 41
    assert found.top1_accuracy == np.mean(order[:, 0] == labels)
    in_five = [label in order[i, : min(5, classes)] for i, label in enumerate(labels)]
    assert found.top5_accuracy == np.mean(in_five)
    own = probabilities[np.arange(41), labels]
    target = np.eye(classes)[labels]
    assert found.brier == pytest.approx(((probabilities - target) ** 2).sum(axis=1).mean())
    assert found.loss == pytest.approx(-np.log(own).mean(), rel=1e-5)
    for i in range(classes):
        of_class = labels == i
        assert found.per_class[f"class {i}"] == np.mean(order[of_class, 0] == i)
        assert found.confusion[i] == [int((order[of_class, 0] == j).sum()) for j in range(classes)]
    for i, prediction in enumerate(found.predictions):
        assert (prediction.index, prediction.name) == (i, f"image {i}")
        assert (prediction.label, prediction.predicted) == (labels[i], order[i, 0])
        assert prediction.probability == pytest.approx(probabilities[i].max(), rel=1e-5)
        assert prediction.loss == pytest.approx(-math.log(own[i]), rel=1e-5)
        assert prediction.top == tuple(order[i, : min(5, classes)])
        best = sorted(probabilities[i], reverse=True)[:5]
        assert prediction.top_probabilities == pytest.approx(best, rel=1e-5)


def test_fewer_than_five_classes_are_always_in_the_top_five() -> None:
    found = evaluate(network(3), random_split(20, 3), PREPROCESSING, names(3))
    assert found.top5_accuracy == 1.0


def test_modes_are_restored_module_by_module() -> None:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(20), nn.Dropout(0.5), nn.Linear(20, 3))
    model.train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, random_split(9, 3), PREPROCESSING, names(3))
    assert [module.training for module in model] == [True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_modes_are_restored_after_an_error() -> None:
    class Broken(nn.Module):
        def forward(self, _x: Tensor) -> Tensor:
            raise RuntimeError("no forward")

    model = Broken().train()
    with pytest.raises(RuntimeError, match="no forward"):
        evaluate(model, random_split(2, 2), PREPROCESSING, names(2))
    assert model.training


def test_progress_counts_batches() -> None:
    seen: list[tuple[int, int]] = []
    evaluate(
        network(2),
        random_split(10, 2),
        PREPROCESSING,
        names(2),
        batch_size=4,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_network_in_half_precision_gets_its_own_type() -> None:
    found = evaluate(network(3).bfloat16(), random_split(12, 3), PREPROCESSING, names(3))
    assert found.count == 12


@pytest.mark.parametrize(
    ("labels", "classes", "outputs", "message"),
    [
        ([], 2, 2, "a split without images"),
        ([0, 2], 2, 2, "a label of the split is 2; with 2 classes they go from 0 to 1"),
        ([0, -1], 2, 2, "a label of the split is -1"),
        ([0, 1], 2, 3, r"gives \(2, 3\) for 2 images; 2 classes need \(2, 2\)"),
    ],
)
def test_what_doesnt_fit_says_why(
    labels: list[int], classes: int, outputs: int, message: str
) -> None:
    split = Listed(np.zeros((len(labels), 4, 5), np.uint8), labels)
    with pytest.raises(InputError, match=message):
        evaluate(network(outputs), split, PREPROCESSING, names(classes))


def test_broken_weights_are_no_result() -> None:
    model = network(2)
    with torch.no_grad():
        model[2].bias[0] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        evaluate(model, random_split(3, 2), PREPROCESSING, names(2))


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(network(4), random_split(200, 4), PREPROCESSING, names(4))


def test_mistakes_are_the_worst_and_wrong(evaluation: Evaluation) -> None:
    mistakes = evaluation.mistakes()
    assert len(mistakes) == 24
    assert all(p.predicted != p.label and p.rank > 0 for p in mistakes)
    losses = [p.loss for p in mistakes]
    assert losses == sorted(losses, reverse=True)
    wrong = sorted((p.loss for p in evaluation.predictions if p.rank), reverse=True)
    assert losses == wrong[:24]
    assert evaluation.mistakes(3) == mistakes[:3]


def test_examples_are_the_first_right_ones(evaluation: Evaluation) -> None:
    for example in evaluation.examples():
        right = [
            p.index for p in evaluation.predictions if p.rank == 0 and p.label == example.label
        ]
        assert example.index == right[0]
    assert [p.label for p in evaluation.examples()] == [0, 1, 2, 3]


def test_to_dict_is_json_without_the_predictions(evaluation: Evaluation) -> None:
    document = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert "predictions" not in document
    assert {"top1_accuracy", "top5_accuracy", "loss", "count", "per_class"} <= set(document)
    assert document["class_scores"]["class 1"]["recall"] == document["per_class"]["class 1"]
    assert sum(bin_["count"] for bin_ in document["calibration"]) == 200
    assert document["mistakes"][0]["index"] == evaluation.mistakes()[0].index
    assert sum(map(sum, document["confusion"])) == document["count"] == 200


def test_classes_of_one_name_are_told_apart() -> None:
    """ImageNet has two cranes."""
    found = evaluate(network(3), random_split(30, 3), PREPROCESSING, ["crane", "cat", "crane"])
    assert list(found.per_class) == ["crane (0)", "cat", "crane (2)"]


def test_a_class_without_images_has_no_accuracy() -> None:
    found = evaluate(network(3), random_split(10, 2), PREPROCESSING, names(3))
    assert found.per_class["class 2"] is None
