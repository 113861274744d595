"""The same classifier on images of any size, and a clear word where that can't be."""

import copy

import pytest
import torch
from torch import Tensor, nn

import convatlas as ca
from convatlas.catalog import build_meta, find, variants
from convatlas.errors import InputError
from convatlas.transfer.fcn import to_fcn

# fully connected layers behind maps: name, options, native height and width, step of the map
DENSE = [
    ("lenet5", {}, 32, 4),
    ("lenet5_modern", {}, 32, 4),
    ("lenet_caffe", {}, 28, 4),
    ("alexnet", {"input_size": 99, "units": 16}, 99, 32),
    ("alexnet_towers", {"input_size": 99, "units": 16}, 99, 32),
    ("alexnet_bn", {"input_size": 99, "units": 16}, 99, 32),
    ("zfnet", {"input_size": 64, "units": 16}, 64, 32),
    ("cnn_flatten", {}, 64, 8),
    ("cnn_gap", {}, 64, 4),
    pytest.param("vgg11_bn", {"input_size": 64}, 64, 32, marks=pytest.mark.slow),
    pytest.param("alexnet_owt", {}, 224, 32, marks=pytest.mark.slow),
]
# global average pooling: name, an image larger than the native one
AVERAGED = [
    ("nin_cifar10", (40, 36)),
    ("resnet20_cifar", (48, 33)),
    ("squeezenet1_1", (64, 96)),
    ("mobilenet_v1_025", (96, 64)),
    ("densenet_bc100_k12_cifar", (36, 32)),
    pytest.param("efficientnet_b0", (96, 64), marks=pytest.mark.slow),
    pytest.param("googlenet", (96, 64), marks=pytest.mark.slow),
    pytest.param("preact_resnet50", (96, 64), marks=pytest.mark.slow),
]


def model_and_images(name: str, size: tuple[int, int], **options) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    model = ca.create(name, num_classes=5, **options).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics that differ from channel to channel
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model, torch.randn(2, model.in_channels, *size)


def assert_equal(one: Tensor, other: Tensor) -> None:
    assert one.shape == other.shape
    assert float((one - other).norm() / other.norm()) < 1e-5


@pytest.mark.parametrize(("name", "options", "size", "step"), DENSE)
def test_fully_connected_layers_become_convolutions(name, options, size, step):
    model, images = model_and_images(name, (size, size), **options)
    fcn = to_fcn(model)
    with torch.no_grad():
        assert_equal(fcn(images)[:, :, 0, 0], model(images))
        assert fcn(images).shape == (2, 5, 1, 1)
        larger = torch.randn(1, model.in_channels, size + 2 * step, size + step)
        assert fcn(larger).shape == (1, 5, 3, 2)
    assert not any(isinstance(layer, nn.Linear | nn.Flatten) for layer in fcn.modules())


@pytest.mark.parametrize(("name", "size"), AVERAGED)
def test_the_mean_of_the_map_is_the_logits(name, size):
    model, images = model_and_images(name, size)
    fcn = to_fcn(model)
    with torch.no_grad():
        logits = fcn(images)
        assert_equal(logits.mean((2, 3)), model(images))
    assert logits.dim() == 4
    assert min(logits.shape[2:]) > 1


def test_lenet5_reads_every_window_of_a_larger_image():
    model, _ = model_and_images("lenet5", (32, 32))
    image = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        logits = to_fcn(model)(image)
        assert logits.shape == (1, 5, 9, 9)
        for row, column in ((0, 0), (3, 7), (8, 8)):
            top, left = 4 * row, 4 * column  # the stride of LeNet-5; nothing in it is padded
            window = image[:, :, top : top + 32, left : left + 32]
            assert_equal(logits[:, :, row, column], model(window))


@pytest.mark.parametrize("name", ["vgg11", "vgg16", "vgg16_bn"])
def test_vgg_has_a_place_for_each_32_pixels(name):
    fcn = to_fcn(build_meta(name).eval())
    for height, width in ((224, 224), (256, 320), (384, 512)):
        logits = fcn(torch.empty(1, 3, height, width, device="meta"))
        assert logits.shape == (1, 1000, height // 32 - 6, width // 32 - 6)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in variants() if "1202" not in name])
def test_every_classifier_of_the_catalog_is_taken(name):
    model, (channels, height, width) = build_meta(name), find(name)[1].input_shape
    if name.startswith("unet"):
        with pytest.raises(InputError, match=f"{name} can't be made .* it gives maps already"):
            to_fcn(model)
        return
    fcn = to_fcn(model)
    logits = fcn(torch.empty(1, channels, 2 * height, 2 * width, device="meta"))
    assert logits.dim() == 4
    assert min(logits.shape[2:]) > 1
    with pytest.raises(InputError, match=f"{name} takes images of at least"):
        fcn(torch.empty(1, channels, *(side - 1 for side in fcn.limits.smallest), device="meta"))


class TestTheCopy:
    def test_the_model_stays_as_it_is_and_shares_nothing(self):
        model, images = model_and_images("lenet5", (32, 32))
        model.train()
        model.stages.eval()
        before = copy.deepcopy(model.state_dict())
        random = torch.get_rng_state()
        fcn = to_fcn(model)
        assert torch.equal(torch.get_rng_state(), random)
        assert fcn.training
        assert not fcn.stages.training
        with torch.no_grad():
            for parameter in fcn.parameters():
                parameter.zero_()
        assert model(images).shape == (2, 5)
        assert all(torch.equal(before[key], t) for key, t in model.state_dict().items())
        assert not any(module._forward_hooks for module in model.modules())

    def test_it_trains(self):
        model, _ = model_and_images("lenet5_modern", (32, 32))
        model.stages.requires_grad_(False)
        fcn = to_fcn(model)
        fcn(torch.randn(1, 1, 40, 40)).sum().backward()
        trained = {name for name, p in fcn.named_parameters() if p.grad is not None}
        assert trained == {
            f"head.{layer}.{kind}" for layer in ("F6", "OUTPUT") for kind in ("weight", "bias")
        }

    def test_the_layers_keep_their_names(self):
        model, images = model_and_images("resnet20_cifar", (32, 32))
        fcn = to_fcn(model)
        assert set(fcn.state_dict()) == set(model.state_dict())
        maps = ca.features(fcn, images, at=["stages.stage2"])["stages.stage2"]
        assert torch.equal(maps, ca.features(model, images, at=["stages.stage2"])["stages.stage2"])

    def test_it_can_be_compiled_and_exported(self):
        model, _ = model_and_images("lenet5", (32, 32))
        fcn, image = to_fcn(model), torch.randn(1, 1, 48, 40)
        torch.compiler.reset()
        compiled = torch.compile(fcn, fullgraph=True, backend="eager")
        exported = torch.export.export(fcn, (image,)).module()
        with torch.no_grad():
            for form in (compiled, exported):
                torch.testing.assert_close(form(image), fcn(image))

    def test_other_precisions(self):
        model, _ = model_and_images("lenet5_modern", (32, 32))
        fcn = to_fcn(model.to(torch.bfloat16))
        assert fcn(torch.zeros(1, 1, 32, 32, dtype=torch.bfloat16)).dtype == torch.bfloat16


class Row(nn.Sequential):
    """A classifier of one's own: parts in a row."""

    def __init__(self, *head: nn.Module) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), *head)


class Sum(nn.Module):
    """Parts that are not in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.one(x) + self.two(x))


class Softmax(nn.Module):
    """A head that does more with its rows than run its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten, self.fc = nn.Flatten(), nn.Linear(3 * 8 * 8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.flatten(x)).softmax(-1)


class TestOwnClassifiers:
    def test_any_layer_behind_the_maps_is_taken_place_by_place(self):
        torch.manual_seed(0)
        norm = nn.BatchNorm1d(5)
        norm.running_mean.normal_()
        model = Row(
            nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 6 * 6, 5), norm, nn.Tanh(), nn.Linear(5, 2)
        ).eval()
        fcn = to_fcn(model, (3, 8, 8))
        image = torch.randn(2, 3, 10, 9)
        with torch.no_grad():
            logits = fcn(image)
            assert logits.shape == (2, 2, 3, 2)
            assert_equal(logits[:, :, 2, 1], model(image[:, :, 2:10, 1:9]))

    def test_more_than_a_linear_layer_behind_the_pooling_gets_windows(self):
        torch.manual_seed(0)
        model = Row(
            nn.AdaptiveAvgPool2d(1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4, 5),
            nn.ReLU(),
            nn.Linear(5, 2),
        ).eval()
        fcn = to_fcn(model, (3, 8, 6))
        image = torch.randn(1, 3, 9, 9)
        with torch.no_grad():
            assert_equal(fcn(image)[:, :, 1, 3], model(image[:, :, 1:9, 3:9]))
        with pytest.raises(InputError, match="Row takes images of at least 8x6"):
            fcn(torch.zeros(1, 3, 7, 6))

    @pytest.mark.parametrize(
        ("model", "message"),
        [
            (Sum(), "Sum can't be made fully convolutional: its forward does more than run"),
            (Row(), "it gives maps already"),
            (Row(nn.Flatten(2), nn.Flatten(), nn.Linear(144, 2)), "0 of its layers flatten maps"),
            (Row(nn.AdaptiveAvgPool2d(2), nn.Flatten()), r"1 makes \(2, 2\) of maps of any size"),
            (Row(nn.AdaptiveMaxPool2d(1), nn.Flatten()), r"1 makes \(1, 1\) of maps of any size"),
            (Row(nn.Flatten(), nn.BatchNorm1d(144)), "2 takes the rows of whole maps"),
            (nn.Sequential(Softmax()), "compute something else than its forward"),
        ],
    )
    def test_what_cannot_be_is_refused_by_name(self, model, message):
        with pytest.raises(InputError, match=message):
            to_fcn(model, (3, 8, 8))

    def test_the_native_size_must_be_known_and_fit(self):
        model = Row(nn.Flatten(), nn.Linear(144, 2))
        with pytest.raises(InputError, match=r"give input_shape, \(3, 224, 224\)"):
            to_fcn(model)
        with pytest.raises(InputError, match=r"\(channels, height, width\), not \(8, 8\)"):
            to_fcn(model, (8, 8))
        with pytest.raises(InputError, match=r"Row can't .* does not run on an image of 3x9x9"):
            to_fcn(model, (3, 9, 9))


def test_images_that_are_too_small_are_refused():
    model, _ = model_and_images("lenet5", (32, 32))
    with pytest.raises(
        InputError, match=r"lenet5 takes images of at least 32x32, the least for head\.F6"
    ):
        to_fcn(model)(torch.zeros(1, 1, 31, 40))


def test_a_segmentation_network_gives_maps_already():
    with pytest.raises(InputError, match=r"unet can't be made .* it gives maps already"):
        to_fcn(build_meta("unet"))
