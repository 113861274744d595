"""What protocols and ensembles answer, against networks whose answers are known."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import convatlas as ca
from convatlas.data.preprocess import Preprocessing
from convatlas.errors import InputError
from convatlas.evaluate.answers import Answerer
from convatlas.evaluate.evaluation import evaluate, evaluate_ensemble
from convatlas.evaluate.protocols import PROTOCOLS, Dense, TenCrop, find_protocol
from convatlas.evaluate.views import pictures

NAMES = ["cat", "dog", "owl"]
IMAGENET = Preprocessing((32, 32), (0.5,) * 3, (0.25,) * 3, resize_shorter=36)


class Pictures:
    """A split of colour images of several sizes, in memory."""

    def __init__(self, images: list[Image.Image], labels: list[int]) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, i: int) -> Image.Image:
        return self.images[i]

    def label(self, i: int) -> int:
        return self.labels[i]

    def name(self, i: int) -> str:
        return f"image {i}"


def random_picture(seed: int, height: int = 50, width: int = 70) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 7, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def random_split(count: int = 4) -> Pictures:
    images = [random_picture(i, 40 + 10 * i, 80 - 10 * i) for i in range(count)]
    return Pictures(images, [i % 3 for i in range(count)])


def resnet(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = ca.create("resnet8_cifar", num_classes=3).eval()
    with torch.no_grad():
        model.head.fc.weight.normal_(0, 1)
    return model


def shown_one_by_one(model: nn.Module, name: str, image: Image.Image) -> Tensor:
    """Give the logits for each view, run alone."""
    views = PROTOCOLS[name].views((image.height, image.width), IMAGENET)
    tensors = [IMAGENET.normalized(np.asarray(p)[None]) for p in pictures(image, views, IMAGENET)]
    with torch.no_grad():
        return torch.cat([model(tensor).double() for tensor in tensors])


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_constant_image_gets_the_answer_of_its_centre(name: str) -> None:
    """Every pixel is the network's mean: padding with zeros shows no border then."""
    preprocessing = Preprocessing((32, 32), (0.2,) * 3, (0.25,) * 3, resize_shorter=36)
    image = Image.new("RGB", (90, 60), (51, 51, 51))
    torch.manual_seed(0)
    model = ca.create("resnet8_cifar", num_classes=3).eval()
    centre = Answerer(model, preprocessing).of_picture(image)
    found = Answerer(model, preprocessing, PROTOCOLS[name]).of_picture(image)
    torch.testing.assert_close(found, centre, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["10crop", "144crop"])
def test_crops_average_softmax_outputs(name: str) -> None:
    model, image = resnet(), random_picture(0)
    mean = shown_one_by_one(model, name, image).softmax(dim=1).mean(dim=0)
    found = Answerer(model, IMAGENET, PROTOCOLS[name]).of_picture(image, batch_size=7)
    torch.testing.assert_close(found.exp(), mean, atol=1e-5, rtol=1e-4)


def test_dense_averages_logits_of_places_and_posteriors_of_mirrors() -> None:
    """Global average pooling does the first; the network takes images of any size by itself."""
    model, image = resnet(), random_picture(0)
    logits = shown_one_by_one(model, "dense", image)
    found = Answerer(model, IMAGENET, PROTOCOLS["dense"]).of_picture(image)
    torch.testing.assert_close(found.exp(), logits.softmax(1).mean(0), atol=1e-4, rtol=1e-3)


def test_multiscale_averages_scores() -> None:
    model, image = resnet(), random_picture(0)
    logits = shown_one_by_one(model, "multiscale", image)
    found = Answerer(model, IMAGENET, PROTOCOLS["multiscale"]).of_picture(image)
    torch.testing.assert_close(found.exp(), logits.mean(0).softmax(0), atol=1e-4, rtol=1e-3)


def test_dense_is_the_mean_of_shifted_windows() -> None:
    """LeNet-5 has no padding and a stride of 4, so each place of its map sees one window."""
    preprocessing = Preprocessing((32, 32), (0.5,), (0.25,), resize_shorter=40)
    torch.manual_seed(0)
    model = ca.create("lenet5_modern", num_classes=3).eval()
    image = random_picture(1, 40, 48).convert("L")
    pixels = np.asarray(image)
    means = []
    for side in (pixels, pixels[:, ::-1]):
        windows = [
            side[y : y + 32, x : x + 32, None] for y in range(0, 9, 4) for x in range(0, 17, 4)
        ]
        with torch.no_grad():
            means.append(model(preprocessing.normalized(np.stack(windows))).mean(dim=0))
    expected = torch.stack(means).double().softmax(dim=1).mean(dim=0)
    found = Answerer(model, preprocessing, Dense()).of_picture(image)
    torch.testing.assert_close(found.exp(), expected, atol=1e-5, rtol=1e-4)


def test_at_the_native_size_dense_is_the_centre_and_its_mirror() -> None:
    model, image = resnet(), random_picture(0, 32, 32)
    native = Preprocessing((32, 32), (0.5,) * 3, (0.25,) * 3, resize_shorter=32)
    centre = Answerer(model, native)
    both = torch.stack(
        [
            centre.of_picture(shown).exp()
            for shown in (image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        ]
    )
    found = Answerer(model, native, Dense((32,))).of_picture(image).exp()
    torch.testing.assert_close(found, both.mean(dim=0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_split_gets_the_answers_of_its_pictures(name: str) -> None:
    model, split = resnet(), random_split()
    found = evaluate(model, split, IMAGENET, NAMES, protocol=PROTOCOLS[name])
    answerer = Answerer(model, IMAGENET, PROTOCOLS[name])
    for i, prediction in enumerate(found.predictions):
        own = answerer.of_picture(split.image(i))
        assert (prediction.index, prediction.predicted) == (i, int(own.argmax()))
        assert prediction.loss == pytest.approx(-float(own[split.label(i)]), rel=1e-3, abs=1e-4)


def test_workers_change_nothing() -> None:
    split = random_split()
    alone, helped = (
        evaluate(resnet(), split, IMAGENET, NAMES, protocol=TenCrop(), workers=workers)
        for workers in (0, 2)
    )
    assert alone == helped


def test_progress_counts_images_where_each_has_many_views() -> None:
    seen: list[tuple[int, int]] = []
    evaluate(
        resnet(),
        random_split(3),
        IMAGENET,
        NAMES,
        protocol=TenCrop(),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_channels_last_and_bf16_are_other_roundings_alone() -> None:
    split = random_split()
    model = resnet()
    plain = evaluate(model, split, IMAGENET, NAMES)
    last = evaluate(model.to(memory_format=torch.channels_last), split, IMAGENET, NAMES)
    half = evaluate(model, split, IMAGENET, NAMES, precision="bf16")
    assert last.loss == pytest.approx(plain.loss, rel=1e-4)
    assert half.loss == pytest.approx(plain.loss, rel=0.1)
    assert half.loss != plain.loss
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_the_network_stays_as_it_was() -> None:
    model = resnet().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    evaluate(model, random_split(2), IMAGENET, NAMES, protocol=PROTOCOLS["dense"])
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_network_that_gives_maps_has_no_dense_form() -> None:
    unet = ca.create("unet_padded", in_channels=3)
    with pytest.raises(InputError, match="gives maps already"):
        evaluate(unet, random_split(1), IMAGENET, NAMES, protocol=Dense())
    with pytest.raises(InputError, match="144crop"):
        find_protocol("center", (3,))


class TestEnsemble:
    def members(self) -> list[Answerer]:
        other = Preprocessing((24, 24), (0.4,) * 3, (0.2,) * 3)
        return [
            Answerer(resnet(0), IMAGENET),
            Answerer(resnet(1), IMAGENET, TenCrop()),
            Answerer(resnet(2), other),
        ]

    def test_it_is_the_mean_of_what_each_sees_its_own_way(self) -> None:
        split, members = random_split(), self.members()
        # one view at a time, so that all three give one image a step
        found = evaluate_ensemble(members, split, NAMES, batch_size=1)
        for i, prediction in enumerate(found.together.predictions):
            own = torch.stack([m.of_picture(split.image(i)).exp() for m in members])
            mean = own.mean(dim=0)
            assert prediction.predicted == int(mean.argmax())
            assert prediction.probability == pytest.approx(float(mean.max()), rel=1e-3)
            for member, probabilities in zip(found.members, own, strict=True):
                assert member.predictions[i].predicted == int(probabilities.argmax())

    def test_members_are_told_of_alone_and_in_pairs(self) -> None:
        split = random_split()
        found = evaluate_ensemble(self.members(), split, NAMES, batch_size=1)
        alone = evaluate(resnet(0), split, IMAGENET, NAMES)
        assert found.members[0].top1_accuracy == alone.top1_accuracy
        document = found.to_dict()
        assert [entry["members"] for entry in document["pairs"]] == [[0, 1], [0, 2], [1, 2]]
        accuracies = [member["top1_accuracy"] for member in document["members"]]
        assert document["spread"]["mean"] == pytest.approx(np.mean(accuracies))

    def test_one_network_is_itself(self) -> None:
        split = random_split()
        found = evaluate_ensemble([Answerer(resnet(), IMAGENET)], split, NAMES)
        assert found.together.loss == pytest.approx(found.members[0].loss, rel=1e-12)
        assert found.comparisons == {}
        with pytest.raises(InputError, match="at least one"):
            evaluate_ensemble([], split, NAMES)

    def test_members_go_through_the_images_side_by_side(self) -> None:
        with pytest.raises(InputError, match="in as many steps"):
            evaluate_ensemble(self.members(), random_split(), NAMES)
