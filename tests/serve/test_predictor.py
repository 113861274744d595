"""A predictor answers like the network it holds; an ensemble like the mean of its members."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

import convatlas as ca
from convatlas.data.preprocess import Preprocessing
from convatlas.errors import FileError, InputError
from convatlas.serve.predictor import Ensemble, Predictor

CLASSES = ["cat", "dog", "owl", "fox", "hen", "eel"]


def metadata(size: tuple[int, int] = (6, 5), **changes: Any) -> dict[str, Any]:
    preprocessing = Preprocessing(size=size, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    return {
        "architecture": "net",
        "num_classes": len(CLASSES),
        "classes": CLASSES,
        "preprocessing": preprocessing.to_dict(),
    } | changes


def network(seed: int = 0, inputs: int = 90, classes: int = 6) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(inputs, classes))


def picture(seed: int = 0, size: tuple[int, int] = (9, 11)) -> Image.Image:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (*size, 3), dtype=torch.uint8, generator=generator)
    return Image.fromarray(pixels.numpy())


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    model = network()
    predictor = Predictor(model, metadata())
    image = Preprocessing.from_dict(metadata()["preprocessing"])(picture())
    logits = model[2](image.flatten()).double()
    found = predictor.probabilities(picture())
    torch.testing.assert_close(found, logits.softmax(dim=0))
    assert float(found.sum()) == pytest.approx(1.0)


def test_the_best_guess_comes_first() -> None:
    predictor = Predictor(network(), metadata())
    probabilities = predictor.probabilities(picture())
    guesses = predictor.predict(picture())
    assert len(guesses) == 5
    order = probabilities.argsort(descending=True).tolist()
    assert [guess.label for guess in guesses] == order[:5]
    assert [guess.name for guess in guesses] == [CLASSES[i] for i in order[:5]]
    assert [guess.probability for guess in guesses] == [float(probabilities[i]) for i in order[:5]]


@pytest.mark.parametrize(("top", "count"), [(1, 1), (3, 3), (6, 6), (50, 6)])
def test_top_is_cut_to_the_classes(top: int, count: int) -> None:
    assert len(Predictor(network(), metadata()).predict(picture(), top)) == count


def test_top_is_at_least_one() -> None:
    with pytest.raises(InputError, match="can't give the top 0"):
        Predictor(network(), metadata()).predict(picture(), 0)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK", "LA"])
def test_every_colour_mode_is_taken(mode: str) -> None:
    predictor = Predictor(network(), metadata())
    assert predictor.predict(picture().convert("RGB").convert(mode))


def test_the_network_is_put_in_evaluation_mode() -> None:
    predictor = Predictor(network().train(), metadata())
    assert not predictor.model.training
    assert torch.equal(predictor.probabilities(picture()), predictor.probabilities(picture()))


def test_an_ensemble_is_the_mean_each_with_its_own_preprocessing() -> None:
    members = [
        Predictor(network(1), metadata()),
        Predictor(network(2, inputs=3 * 8 * 8), metadata(size=(8, 8))),
        Predictor(network(3), metadata()),
    ]
    ensemble = Ensemble(members)
    mean = sum(member.probabilities(picture()) for member in members) / 3
    torch.testing.assert_close(ensemble.probabilities(picture()), mean)
    best = ensemble.predict(picture(), 1)[0]
    assert (best.label, best.probability) == (int(mean.argmax()), pytest.approx(float(mean.max())))


def test_an_ensemble_of_one_is_its_member() -> None:
    member = Predictor(network(), metadata())
    assert Ensemble([member]).predict(picture()) == member.predict(picture())


def test_members_must_agree_on_the_classes() -> None:
    other = metadata(classes=["cat", "dog", "elk", "fox", "hen", "eel"], architecture="other")
    with pytest.raises(InputError, match="class 2 is 'owl' in net and 'elk' in other"):
        Ensemble([Predictor(network(), metadata()), Predictor(network(), other)])
    fewer = metadata(classes=["cat", "dog"], num_classes=2, architecture="small")
    with pytest.raises(InputError, match="net has 6, small has 2"):
        Ensemble([Predictor(network(), metadata()), Predictor(network(classes=2), fewer)])
    with pytest.raises(InputError, match="at least one"):
        Ensemble([])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["cat"]}, "names 1 classes of 6"),
        ({"preprocessing": {"size": [6, 5]}}, "preprocessing needs a mean"),
        ({"preprocessing": None}, "doesn't tell how images are prepared"),
    ],
)
def test_metadata_that_tell_too_little_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Predictor(network(), metadata(**changes))


def test_classes_without_names_are_numbered() -> None:
    guesses = Predictor(network(), metadata(classes=None)).predict(picture())
    assert [guess.name for guess in guesses] == [str(guess.label) for guess in guesses]


def test_a_network_with_other_outputs_says_so() -> None:
    with pytest.raises(InputError, match=r"gives \(4,\) for an image; 6 class names"):
        Predictor(network(classes=4), metadata()).predict(picture())


def test_broken_weights_are_no_answer() -> None:
    model = network()
    with torch.no_grad():
        model[2].bias.fill_(float("nan"))
    with pytest.raises(InputError, match="not finite"):
        Predictor(model, metadata()).predict(picture())


def test_a_saved_network_predicts_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ca.create("resnet8_cifar", num_classes=6)
    kept = metadata(size=(16, 16))
    ca.save(model, tmp_path / "model.safetensors", kept)
    expected = Predictor(model, kept | {"architecture": "resnet8_cifar"}).predict(picture())
    for path in (tmp_path, tmp_path / "model.safetensors"):
        predictor = Predictor.load(path)
        assert predictor.name == "resnet8_cifar"
        assert predictor.predict(picture()) == expected


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nothing"):
        Predictor.load(tmp_path / "nothing.safetensors")
