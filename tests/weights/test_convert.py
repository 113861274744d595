"""Weights of other libraries: the same function, or a refusal that says why."""

import itertools
import re
from collections.abc import Callable
from functools import cache, partial

import foreign_inceptions as inceptions
import foreign_nets as nets
import numpy as np
import pytest
import torch
from foreign_nets import CLASSES, Foreign
from torch import Tensor

from convatlas.catalog import build, build_meta, variants
from convatlas.data.loader import batches
from convatlas.data.sources import open_source
from convatlas.errors import InputError, UnknownNameError
from convatlas.weights.convert import convert, export_state_dict, published_preprocessing
from convatlas.weights.sources import SOURCES, find_map, their_keys

BASIC = {"bottleneck": False}
# our network -> (source, what the library computes, size of the test images)
NETWORKS: dict[str, tuple[str, Callable, int]] = {
    "resnet18": ("torchvision", partial(nets.resnet, blocks=(2, 2, 2, 2), **BASIC), 64),
    "resnet34": ("torchvision", partial(nets.resnet, blocks=(3, 4, 6, 3), **BASIC), 64),
    "resnet50_v1_5": ("torchvision", partial(nets.resnet, blocks=(3, 4, 6, 3)), 64),
    "resnet101_v1_5": ("torchvision", partial(nets.resnet, blocks=(3, 4, 23, 3)), 64),
    "resnet152_v1_5": ("torchvision", partial(nets.resnet, blocks=(3, 8, 36, 3)), 64),
    "wide_resnet50_2": (
        "torchvision",
        partial(nets.resnet, blocks=(3, 4, 6, 3), base_width=128),
        64,
    ),
    "resnext50_32x4d": (
        "torchvision",
        partial(nets.resnet, blocks=(3, 4, 6, 3), groups=32, base_width=4),
        64,
    ),
    "resnext101_64x4d": (
        "torchvision",
        partial(nets.resnet, blocks=(3, 4, 23, 3), groups=64, base_width=4),
        64,
    ),
    "alexnet_owt": ("torchvision", nets.alexnet, 224),
    "vgg11": ("torchvision", partial(nets.vgg, blocks=(1, 1, 2, 2, 2)), 224),
    "vgg13_bn": ("torchvision", partial(nets.vgg, blocks=(2, 2, 2, 2, 2), norm=True), 224),
    "vgg16": ("torchvision", partial(nets.vgg, blocks=(2, 2, 3, 3, 3)), 224),
    "vgg19_bn": ("torchvision", partial(nets.vgg, blocks=(2, 2, 4, 4, 4), norm=True), 224),
    "squeezenet1_0": ("torchvision", partial(nets.squeezenet, version="1_0"), 80),
    "squeezenet1_1": ("torchvision", partial(nets.squeezenet, version="1_1"), 80),
    "densenet121": ("torchvision", partial(nets.densenet, blocks=(6, 12, 24, 16)), 64),
    "densenet161": ("torchvision", partial(nets.densenet, blocks=(6, 12, 36, 24), growth=48), 64),
    "googlenet_torchvision": ("torchvision", nets.googlenet, 80),
    "inception_v3": ("torchvision", inceptions.inception_v3, 107),
    "inception_v4": ("timm", inceptions.inception_v4, 107),
    "inception_resnet_v2": ("timm", inceptions.inception_resnet_v2, 107),
    "efficientnet_b0": ("torchvision", nets.efficientnet, 64),
    "preact_resnet50": ("timm", nets.preact_resnet, 64),
}
QUICK = {"resnet18", "resnet50_v1_5", "squeezenet1_0", "squeezenet1_1", "densenet121"}
QUICK |= {"efficientnet_b0", "googlenet_torchvision", "preact_resnet50"}


def relative_error(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


@cache
def run_there(name: str) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Draw weights by their names; give these, images, and the logits."""
    _, forward, size = NETWORKS[name]
    net = Foreign()
    images = torch.randn(2, 3, size, size, generator=net.random)
    with torch.no_grad():
        return net.tensors, images, forward(net, images)


def loaded(name: str, tensors: dict[str, Tensor], **overrides) -> torch.nn.Module:
    """Build our network without drawing weights for it."""
    classes = list(tensors.values())[-1].shape[0]
    model = build_meta(name, num_classes=classes, **overrides)
    model.load_state_dict(tensors, assign=True)
    return model.eval()


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in NETWORKS]
)
def test_the_network_computes_what_theirs_does(name):
    tensors, images, logits = run_there(name)
    model = loaded(name, convert(tensors, name, NETWORKS[name][0]))
    with torch.no_grad():
        assert relative_error(model(images), logits) < 1e-5


@pytest.mark.parametrize("name", ["vgg13_bn", "alexnet_owt", "vgg16", "vgg19_bn"])
def test_the_tensors_of_a_large_network_keep_their_order(name):
    """Both libraries list the tensors of a chain of layers in the order of the forward pass."""
    source, forward, size = NETWORKS[name]
    net = Foreign("meta")
    forward(net, torch.empty(1, 3, size, size, device="meta"))
    numbered = {
        key: torch.tensor(float(i)).expand(tensor.shape) if tensor.dim() else torch.tensor(i)
        for i, (key, tensor) in enumerate(net.tensors.items())
    }
    converted = convert(numbered, name, source)
    assert [float(t.flatten()[0]) for t in converted.values()] == list(range(len(numbered)))
    assert list(converted) == list(build_meta(name).state_dict())


def test_timm_has_convolutions_in_the_head_of_vgg():
    net = Foreign("meta")
    nets.vgg(net, torch.empty(1, 3, 224, 224, device="meta"), [1, 1, 2, 2, 2], timm=True)
    assert net.tensors["pre_logits.fc1.weight"].shape == (4096, 512, 7, 7)
    shapes = {key: tensor.shape for key, tensor in convert(net.tensors, "vgg11", "timm").items()}
    theirs = Foreign("meta")
    nets.vgg(theirs, torch.empty(1, 3, 224, 224, device="meta"), [1, 1, 2, 2, 2])
    assert shapes == {k: t.shape for k, t in convert(theirs.tensors, "vgg11").items()}


@pytest.mark.slow
def test_vgg_with_convolutions_computes_what_timm_does():
    net = Foreign()
    images = torch.randn(1, 3, 224, 224, generator=net.random)
    with torch.no_grad():
        logits = nets.vgg(net, images, [1, 1, 2, 2, 2], timm=True)
        model = loaded("vgg11", convert(net.tensors, "vgg11", "timm"))
        assert relative_error(model(images), logits) < 1e-5


def test_timm_and_torchvision_name_the_same_efficientnet():
    tensors, _, _ = run_there("efficientnet_b0")
    layers = list(dict.fromkeys(key.rpartition(".")[0] for key in tensors))
    names = dict(zip(layers, nets.timm_efficientnet_keys(), strict=True))
    renamed = {}
    for key, tensor in tensors.items():
        layer, _, kind = key.rpartition(".")
        renamed[f"{names[layer]}.{kind}"] = tensor
    ours = convert(renamed, "efficientnet_b0", "timm")
    for key, tensor in convert(tensors, "efficientnet_b0").items():
        assert torch.equal(ours[key], tensor), key


class TestBack:
    @pytest.mark.parametrize("name", ["squeezenet1_0", "densenet121", "preact_resnet50"])
    def test_exporting_gives_the_tensors_that_were_converted(self, name):
        tensors, _, _ = run_there(name)
        source = NETWORKS[name][0]
        exported = export_state_dict(loaded(name, convert(tensors, name, source)), source)
        assert exported.keys() == tensors.keys()
        for key, tensor in exported.items():
            assert torch.equal(tensor, tensors[key]), key

    def test_another_eps_is_undone(self):
        tensors, _, _ = run_there("efficientnet_b0")
        model = loaded("efficientnet_b0", convert(tensors, "efficientnet_b0"))
        exported = export_state_dict(model, "torchvision")
        assert not torch.equal(model.stem.conv.norm.weight, tensors["features.0.1.weight"])
        for key, tensor in exported.items():
            torch.testing.assert_close(tensor, tensors[key], rtol=1e-6, atol=0)

    def test_the_model_stays_as_it_is(self):
        model = build("lenet_caffe")
        before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        exported = export_state_dict(model, "caffe")
        assert list(exported) == [
            f"{n}.{i}" for n in ("conv1", "conv2", "ip1", "ip2") for i in (0, 1)
        ]
        exported["conv1.0"].clone().zero_()
        assert all(torch.equal(before[k], t) for k, t in model.state_dict().items())

    def test_what_has_no_counterpart_is_refused(self):
        for model, message in (
            (build_meta("resnet50"), "load it into resnet50_v1_5"),
            (build_meta("lenet5"), "torchvision has no network"),
            (torch.nn.Linear(1, 1), "Linear"),
        ):
            with pytest.raises(InputError, match=message):
                export_state_dict(model)


class TestRealWeights:
    def test_squeezenet_gives_the_published_logits(self, data_root):
        folder = data_root / "weights" / "squeezenet1.1-imagenet"
        images, logits = (
            torch.from_numpy(np.load(folder / f"test_vector_0_{what}_0.npy"))
            for what in ("input", "output")
        )
        tensors = dict(np.load(folder / "squeezenet1.1.npz"))
        model = loaded("squeezenet1_1", convert(tensors, "squeezenet1_1", "gluon"))
        with torch.no_grad():
            assert relative_error(model(images), logits.reshape(1, -1)) < 1e-5

    def test_resnet20_with_zeros_on_both_sides_keeps_its_function(self, data_root):
        tensors = dict(np.load(data_root / "weights/resnet-cifar10/resnet20-12fca82f.npz"))
        model = loaded("resnet20_cifar", convert(tensors, "resnet20_cifar", "akamaster"))
        images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        theirs = {key: torch.from_numpy(array) for key, array in tensors.items()}
        with torch.no_grad():
            assert relative_error(model(images), nets.cifar_resnet(theirs, images)) < 1e-5
        exported = export_state_dict(model, "akamaster")
        assert all(torch.equal(exported[key], theirs[key]) for key in theirs)

    def test_caffes_lenet_reads_digits(self, data_root):
        tensors = dict(np.load(data_root / "weights/lenet-mnist-caffe/lenet_iter_10000.npz"))
        model = loaded("lenet_caffe", convert(tensors, "lenet_caffe", "caffe"))
        preprocessing = published_preprocessing("lenet_caffe", "caffe")
        test = open_source("mnist", root=data_root / "mnist").test
        right = count = 0
        for images, labels, *_ in itertools.islice(batches(test, preprocessing, 500), 4):
            with torch.no_grad():
                right += int((model(images).argmax(1) == labels).sum())
            count += len(labels)
        assert right / count > 0.98  # 99.14 % of all 10,000


class TestFormsOfAFile:
    @pytest.fixture
    def tensors(self):
        return run_there("squeezenet1_0")[0]

    def test_the_prefix_of_a_parallel_wrapper_is_dropped(self, tensors):
        wrapped = {f"module.{key}": tensor for key, tensor in tensors.items()}
        assert convert(wrapped, "squeezenet1_0").keys() == convert(tensors, "squeezenet1_0").keys()

    def test_arrays_will_do(self, tensors):
        arrays = {key: tensor.numpy() for key, tensor in tensors.items()}
        converted = convert(arrays, "squeezenet1_0")
        assert torch.equal(converted["stem.conv1.weight"], tensors["features.0.weight"])

    def test_files_without_counters_and_with_old_names(self):
        tensors, _, _ = run_there("densenet121")
        old = {
            re.sub(r"(layer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): tensor
            for key, tensor in tensors.items()
            if "num_batches" not in key
        }
        assert "features.denseblock1.denselayer1.norm.1.weight" in old
        today = convert(tensors, "densenet121")
        for key, tensor in convert(old, "densenet121").items():
            assert torch.equal(tensor, today[key]) or "num_batches" in key

    def test_classes_and_channels_are_those_of_the_weights(self):
        net = Foreign()
        nets.resnet(net, torch.zeros(1, 5, 32, 32), (2, 2, 2, 2), **BASIC)
        model = build_meta("resnet18", num_classes=CLASSES, in_channels=5)
        model.load_state_dict(convert(net.tensors, "resnet18"), assign=True)

    def test_caffe_sees_blue_first_and_once_wrote_four_axes(self):
        model = build_meta("caffenet", num_classes=3)
        keys = their_keys(model, *find_map("caffenet", "caffe"))
        shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
        given = {
            keys[key]: torch.zeros(()).expand((1,) * (4 - len(shape)) + tuple(shape))
            for key, shape in shapes.items()
        }
        blue = torch.arange(3.0).reshape(1, 3, 1, 1).expand(96, 3, 11, 11)
        converted = convert(given | {"conv1.0": blue}, "caffenet", "caffe")
        assert converted["stages.conv1.weight"][7, :, 4, 2].tolist() == [2, 1, 0]
        assert {key: tensor.shape for key, tensor in converted.items()} == shapes

    def test_side_classifiers_are_left_out_or_taken_along(self):
        net = build_meta("googlenet_torchvision", sides=True)
        keys = their_keys(net, *find_map("googlenet_torchvision", "torchvision"))
        given = {
            keys[key]: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)
            for key, tensor in net.state_dict().items()
        }
        assert "aux2.fc1.weight" in given
        plain = convert(given, "googlenet_torchvision")
        both = convert(given, "googlenet_torchvision", sides=True)
        assert both.keys() - plain.keys() == {key for key in keys if key.startswith("sides.")}


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_every_network_of_a_source_names_every_tensor_once(source):
    found = 0
    for name in variants():
        try:
            library, key_map = find_map(name, source)
        except InputError:
            continue
        keys = their_keys(build_meta(name, **key_map.overrides), library, key_map)
        assert len(set(keys.values())) == len(keys), name
        found += 1
    assert found >= 2


# our network, the source, fields, what the message must say
REFUSED = [
    ("resnet50", "torchvision", {}, "stride on the 3x3 convolutions: load it into resnet50_v1_5"),
    ("resnet101", "timm", {}, "load it into resnet101_v1_5"),
    ("resnet152", "torchvision", {}, "load it into resnet152_v1_5"),
    ("resnet50", "caffe", {}, "pads its first pooling at the far edge only"),
    ("alexnet", "torchvision", {}, "load it into alexnet_owt"),
    ("alexnet_ungrouped", "torchvision", {}, "load it into alexnet_owt"),
    ("alexnet", "caffe", {}, "lrn_alpha=2e-05, lrn_k=1.0"),
    ("googlenet", "torchvision", {}, "load it into googlenet_torchvision"),
    ("vgg11_lrn", "torchvision", {}, "load it into vgg11"),
    ("squeezenet1_0_caffe", "torchvision", {}, "does not pad conv10: load it into squeezenet1_0"),
    ("squeezenet1_0_bypass", "torchvision", {}, "has no bypass"),
    ("squeezenet1_0", "caffe", {}, "load it into squeezenet1_0_caffe"),
    ("squeezenet1_0", "torchvision", {"conv10_padding": 1}, "with conv10_padding=1"),
    ("resnet18", "torchvision", {"shortcut": "A"}, "with shortcut='A'"),
    ("mobilenet_v1", "timm", {}, "ReLU6"),
    ("plain20_cifar", "akamaster", {}, "load it into resnet20_cifar"),
    ("resnet20_cifar", "torchvision", {}, "akamaster has one"),
    ("densenet264", "torchvision", {}, "did you mean: densenet201"),
    ("zfnet", "torchvision", {}, "has no network that computes the same"),
]


class TestRefusals:
    @pytest.mark.parametrize(("name", "source", "overrides", "message"), REFUSED)
    def test_another_function_is_refused_by_name(self, name, source, overrides, message):
        with pytest.raises(InputError) as caught:
            convert({}, name, source, **overrides)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_what_does_not_fit_is_listed_by_their_names(self):
        tensors = dict(run_there("squeezenet1_0")[0])
        del tensors["features.0.bias"]
        tensors |= {"extra": torch.zeros(1), "features.3.squeeze.weight": torch.zeros(16, 9, 1, 1)}
        with pytest.raises(ValueError, match="missing") as caught:
            convert(tensors, "squeezenet1_0")
        message = str(caught.value)
        assert "missing: features.0.bias" in message
        assert "unexpected: extra" in message
        assert "features.3.squeeze.weight (16, 9, 1, 1) for (16, 96, 1, 1)" in message
        assert "torchvision's squeezenet1_0" in message

    def test_the_names_of_another_source_are_recognised(self):
        tensors = run_there("efficientnet_b0")[0]
        with pytest.raises(InputError, match='these are the names of source="torchvision"'):
            convert(tensors, "efficientnet_b0", "timm")

    def test_unknown_names_come_with_the_nearest(self):
        with pytest.raises(UnknownNameError, match="did you mean: resnet50"):
            convert({}, "resnet5O")
        with pytest.raises(UnknownNameError, match="did you mean: torchvision"):
            convert({}, "resnet18", "torch_vision")
        with pytest.raises(InputError, match="has no option 'depth'"):
            convert({}, "resnet18", depth=3)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ([1], "not list"),
            ({"state_dict": {}, "epoch": 3}, "'state_dict' is dict, not a tensor: give what is"),
            ({"epoch": 3}, "'epoch' is int, not a tensor"),
            ({}, "missing: features.0.weight"),
        ],
    )
    def test_what_is_no_state_dict_is_refused(self, given, message):
        with pytest.raises(InputError, match=message):
            convert(given, "squeezenet1_0")

    def test_pooling_before_batch_norm_needs_scales_that_are_not_negative(self):
        tensors = dict(run_there("preact_resnet50")[0])
        scales = tensors["stages.0.blocks.0.norm1.weight"].clone()
        scales[3:5] *= -1
        with pytest.raises(InputError, match="have 2 such channels"):
            convert(tensors | {"stages.0.blocks.0.norm1.weight": scales}, "preact_resnet50", "timm")
