"""Every network of the catalog, without memory: its size, its shape, its gradients."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import nn

from convatlas.catalog import ARCHITECTURES, build_meta, find, variants
from convatlas.errors import InputError

# Trainable parameters with the paper's own classes, of builds that are independent of this code:
# nets written from the papers, torchvision 0.28 and timm 1.0.31; C3 of lenet5_dense_c3 by hand.
PARAMS = {
    "lenet5": 60_000,
    "lenet5_dense_c3": 60_900,
    "lenet5_modern": 61_706,
    "lenet_caffe": 431_080,
    "alexnet": 60_965_224,
    "alexnet_ungrouped": 62_378_344,
    "alexnet_bn": 60_966_600,
    "alexnet_owt": 61_100_840,
    "alexnet_towers": 60_965_224,
    "caffenet": 60_965_224,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16_1x1": 133_638_952,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "vgg11_lrn": 132_863_336,
    "googlenet_naive": 97_526_008,
    "bn_inception_slim": 11_194_984,
    "inception_resnet_v2_paper": 32_433_928,
    "unet_padded": 31_030_658,
    "unet_release": 31_100_354,
    "resnet18": 11_689_512,
    "plain18": 11_515_688,
    "resnet34": 21_797_672,
    "plain34": 21_623_848,
    "resnet50": 25_557_032,
    "resnet50_v1_5": 25_557_032,
    "resnet101": 44_549_160,
    "resnet101_v1_5": 44_549_160,
    "resnet152": 60_192_808,
    "resnet152_v1_5": 60_192_808,
    "resnet20_cifar": 269_722,
    "plain20_cifar": 269_722,
    "resnet32_cifar": 464_154,
    "plain32_cifar": 464_154,
    "resnet44_cifar": 658_586,
    "plain44_cifar": 658_586,
    "resnet56_cifar": 853_018,
    "plain56_cifar": 853_018,
    "resnet110_cifar": 1_727_962,
    "resnet1202_cifar": 19_421_274,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_0_bypass": 1_248_424,
    "squeezenet1_0_complex_bypass": 1_589_672,
    "squeezenet1_0_caffe": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "preact_resnet50": 25_549_352,
    "preact_resnet101": 44_541_480,
    "preact_resnet152": 60_185_128,
    "preact_resnet200": 64_666_152,
    "preact_resnet110_cifar": 1_727_962,
    "preact_resnet164_cifar": 1_703_258,
    "preact_resnet1001_cifar": 10_327_706,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
    "wide_resnet16_8_cifar": 10_961_370,
    "wide_resnet40_4_cifar": 8_949_210,
    "wide_resnet28_10_cifar": 36_479_194,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x4d": 44_177_704,
    "resnext101_64x4d": 83_455_272,
    "resnext101_32x8d": 88_791_336,
    "resnext29_8x64d_cifar": 34_426_698,
    "resnext29_16x64d_cifar": 68_155_210,
    "densenet121": 7_978_856,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "densenet264": 33_337_704,
    "densenet161": 28_681_000,
    "densenet40_k12_cifar": 1_019_722,
    "densenet100_k12_cifar": 6_979_642,
    "densenet100_k24_cifar": 27_249_082,
    "densenet_bc100_k12_cifar": 769_162,
    "densenet_bc250_k24_cifar": 15_324_406,
    "densenet_bc190_k40_cifar": 25_624_430,
    "mobilenet_v1": 4_231_976,
    "mobilenet_v1_075": 2_585_560,
    "mobilenet_v1_050": 1_331_592,
    "mobilenet_v1_025": 470_072,
    "mobilenet_v1_full_convolutions": 29_294_088,
    "mobilenet_v1_shallow": 2_887_976,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704,
    "efficientnet_b7": 66_347_960,
    "zfnet": 62_357_608,
    "nin_cifar10": 966_986,
    "nin_imagenet": 7_595_176,
    "nin_mnist": 349_674,
    "cnn_flatten": 388_298,
    "cnn_gap": 101_578,
    "googlenet": 6_998_552,
    "bn_inception": 11_285_224,
    "inception_v3": 23_834_568,
    "inception_v4": 42_679_816,
    "inception_resnet_v1": 22_756_328,
    "inception_resnet_v2": 55_843_464,
    "unet": 31_030_658,
    "googlenet_torchvision": 6_624_904,
}


def deep(name: str) -> bool:
    """Whether a network is only more of the same: past 60 layers (in its name), and past b1."""
    number = re.search(r"\d+", name)
    return (number is not None and int(number[0]) > 60) or bool(re.search("_b[2-7]$", name))


def walk(names: list[str]) -> list:
    return [pytest.param(n, marks=[pytest.mark.slow] if deep(n) else []) for n in names]


every_variant = pytest.mark.parametrize("name", walk(variants()))


@cache
def meta(name: str) -> nn.Module:
    """The network of the paper, without memory, in eval mode; the tests leave it as it is."""
    return build_meta(name).eval()


def test_the_first_network_of_every_paper_is_counted():
    firsts = {next(iter(architecture.variants)) for architecture in ARCHITECTURES}
    assert sorted(firsts - set(PARAMS)) == []  # add what an independent build counts


@pytest.mark.parametrize("name", walk([name for name in variants() if name in PARAMS]))
def test_the_parameters_are_those_of_independent_builds(name):
    assert sum(p.numel() for p in meta(name).parameters()) == PARAMS[name]


@dataclass
class Step:
    """What one training step without memory tells of a network."""

    logits: torch.Size
    without_gradient: list[str]
    calls: Counter[str]  # of each activation
    activations: dict[str, nn.Module]


@cache
def step(name: str) -> Step:
    """Train on two images with other classes and channels than the paper's, on the meta device."""
    model = build_meta(name, num_classes=7, in_channels=2)
    activations = {
        layer: module
        for layer, module in model.named_modules(remove_duplicate=False)
        if type(module).__module__ == "torch.nn.modules.activation"
    }
    calls = Counter()
    for layer, module in activations.items():
        module.register_forward_hook(lambda *_, layer=layer: calls.update([layer]))
    logits = model(torch.empty(2, 2, *find(name)[1].input_shape[1:], device="meta"))
    logits.sum().backward()
    unused = [key for key, p in model.named_parameters() if p.grad is None]
    return Step(logits.shape, unused, calls, activations)


@every_variant
def test_logits_are_as_many_as_the_classes(name):
    assert step(name).logits[:2] == (2, 7)  # a segmentation has a height and a width behind


@every_variant
def test_every_parameter_takes_part(name):
    assert step(name).without_gradient == []


@every_variant
def test_activations_are_modules_of_their_own_and_keep_their_input(name):
    activations = step(name).activations
    assert all(step(name).calls[layer] == 1 for layer in activations)
    assert len({id(module) for module in activations.values()}) == len(activations)
    assert not any(getattr(module, "inplace", False) for module in activations.values())


@every_variant
def test_the_layer_of_activation_maps_has_maps(name):
    model, found = meta(name), []
    layer = model.get_submodule(model.cam_layer)
    with layer.register_forward_hook(lambda *at: found.append(at[2])):
        model(torch.empty(1, *find(name)[1].input_shape, device="meta"))
    (maps,) = found
    assert maps.dim() == 4
    assert min(maps.shape[2:]) > 1


@every_variant
def test_what_is_no_batch_of_images_is_refused(name):
    model, (channels, height, width) = meta(name), find(name)[1].input_shape
    for shape, message in [
        ((channels, height, width), f"{channels}, H, W"),
        ((1, channels + 1, height, width), f"in_channels={channels + 1}"),
        ((1, channels, 0, 0), "0x0"),
    ]:
        with pytest.raises(InputError, match=message):
            model(torch.empty(shape, device="meta"))
    with pytest.raises(InputError, match="int64"):
        model(torch.empty(1, channels, height, width, dtype=torch.int64, device="meta"))


@pytest.mark.parametrize(
    "name", [name for name in variants() if hasattr(find(name)[0].net, "forward_with_sides")]
)
def test_every_parameter_takes_part_with_side_classifiers(name):
    model = build_meta(name, num_classes=7, sides=True)
    logits, sides = model.forward_with_sides(
        torch.empty(2, *find(name)[1].input_shape, device="meta")
    )
    (logits.sum() + sum(side.logits.sum() for side in sides)).backward()
    assert [key for key, p in model.named_parameters() if p.grad is None] == []
