"""Every network of the catalog: its size, its shape, its gradients, and what torch does with it."""

import copy
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from convatlas.catalog import ARCHITECTURES, build, build_meta, find, variants
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


# One or more of each family, on images as small as they take: name -> options, height and width.
SMALL = {
    "lenet5": ({}, 32),
    "lenet5_modern": ({}, 32),
    "alexnet": ({"input_size": 67}, 67),
    "alexnet_towers": ({"input_size": 67}, 67),
    "vgg11_lrn": ({"input_size": 32}, 32),
    "vgg11_bn": ({"input_size": 32}, 32),
    "resnet20_cifar": ({}, 32),
    "plain20_cifar": ({}, 32),
    "resnet18": ({}, 64),
    "resnet50": ({}, 64),
    "inception_v3": ({}, 107),
    "inception_v4": ({}, 107),
    "inception_resnet_v1": ({}, 107),
    "unet": ({"width": 4}, 188),
}
SLOW = {"lenet5_modern", "alexnet_towers", "vgg11_bn", "plain20_cifar", "resnet18", "resnet50"}
SLOW |= {"inception_v3", "inception_v4", "inception_resnet_v1"}


def small_names() -> list:
    """Those above, and the first network of each family that is not there."""
    covered = {find(name)[0].name for name in SMALL}
    others = [next(iter(a.variants)) for a in ARCHITECTURES if a.name not in covered]
    slow = SLOW | set(others)
    names = [name for name in [*SMALL, *others] if name in variants()]
    return [pytest.param(n, marks=[pytest.mark.slow] if n in slow else []) for n in names]


some_of_each_family = pytest.mark.parametrize("name", small_names())


@cache
def small(name: str) -> tuple[nn.Module, Tensor]:
    """A network in eval mode and three images; the tests leave both as they are."""
    options, size = SMALL.get(name, ({}, find(name)[1].input_shape[1]))
    torch.manual_seed(0)
    model = build(name, num_classes=7, **options).eval()
    return model, torch.randn(3, model.in_channels, size, size)


@cache
def eager(name: str) -> Tensor:
    model, images = small(name)
    with torch.inference_mode():
        return model(images).clone()


def assert_near(logits: Tensor, expected: Tensor) -> None:
    """Compare by the largest of `expected`: a small logit can be the difference of large ones."""
    scale = expected.abs().max().item()
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5 * scale)


@some_of_each_family
def test_evaluating_twice_gives_the_same(name):
    model, images = small(name)
    assert eager(name).isfinite().all()
    with torch.inference_mode():
        assert torch.equal(model(images), eager(name))


@some_of_each_family
def test_images_of_a_batch_do_not_see_each_other_in_eval_mode(name):
    model, images = small(name)
    with torch.inference_mode():
        assert_near(model(images[:1]), eager(name)[:1])


@some_of_each_family
def test_a_step_of_training_changes_the_logits_and_its_copy_keeps_them(name):
    model, images = small(name)
    trained = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.01)
    logits = trained(images)
    labels = torch.tensor([0, 3, 6]).view(3, *[1] * len(logits.shape[2:]))  # of images or pixels
    nn.functional.cross_entropy(logits, labels.expand(3, *logits.shape[2:])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained.parameters())
    optimizer.step()
    with torch.inference_mode():
        assert not torch.equal(trained.eval()(images), eager(name))
        assert torch.equal(model(images), eager(name))


@some_of_each_family
def test_a_state_dict_makes_another_network_the_same(name):
    model, images = small(name)
    other = build(name, num_classes=7, **SMALL.get(name, ({}, 0))[0]).eval()
    other.load_state_dict(model.state_dict())
    with torch.inference_mode():
        assert torch.equal(other(images), eager(name))


@some_of_each_family
def test_the_layout_of_the_memory_does_not_matter(name):
    model, images = small(name)
    model = copy.deepcopy(model).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        logits = model(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(logits, eager(name), rtol=1e-3, atol=1e-5)


@some_of_each_family
def test_autocast_comes_near_the_full_precision(name):
    model, images = small(name)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = model(images).float()
    error = (logits - eager(name)).norm() / eager(name).norm()
    assert 0 < error < 0.1


@some_of_each_family
def test_the_exported_program_gives_the_same_for_any_batch(name):
    model, images = small(name)
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(model, (images,), dynamic_shapes=(batch,)).module()
    with torch.inference_mode():
        torch.testing.assert_close(program(images), eager(name))
        two = program(images[:2])
    assert_near(two, eager(name)[:2])


@some_of_each_family
def test_the_compiler_takes_the_whole_network(name):
    model, images = small(name)
    torch.compiler.reset()  # the compiler counts how often it sees the same forward
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with torch.inference_mode():
        torch.testing.assert_close(compiled(images), eager(name))
