"""The catalog: find a network by its name, build it, and say what is wrong with a name."""

import gc
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import convatlas as ca
from convatlas.catalog import (
    ARCHITECTURES,
    build,
    build_meta,
    find,
    input_shape_of,
    variants,
)
from convatlas.errors import InputError, UnknownNameError


def test_papers_stand_in_order_of_publication():
    years = [architecture.paper.year for architecture in ARCHITECTURES]
    assert years == sorted(years)


def test_every_name_is_listed_once():
    assert len(set(variants())) == len(variants())
    assert ca.variants() == variants()


def test_every_listed_network_is_found_with_its_paper():
    for name in variants():
        architecture, variant = find(name)
        assert architecture.variants[name] is variant
        assert architecture in ARCHITECTURES
        assert architecture.paper.url.startswith("https://") or not architecture.paper.url
        assert ca.find(name) == (architecture, variant)


def test_a_formula_reads_the_names_of_its_own_paper_alone():
    for name in variants():
        owner, variant = find(name)
        for architecture in ARCHITECTURES:
            reading = architecture.parse and architecture.parse(name)
            assert reading is None or (architecture is owner and reading.spec == variant.spec)


@pytest.mark.parametrize("name", ["resnet26_cifar", "plain62_cifar", "resnet302_cifar"])
def test_names_given_by_a_formula_are_found_and_built(name):
    architecture, variant = find(name)
    assert architecture.name == "resnet"
    assert name not in variants()
    assert variant.input_shape == (3, 32, 32)
    assert build_meta(name).created_as["name"] == name


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet5O", "resnet50"),
        ("resnet-50", "resnet50"),
        ("ResNet18", "resnet18"),
        ("vgg-16", "vgg16"),
        ("vgg16bn", "vgg16_bn"),
        ("resnet21_cifar", "resnet20_cifar"),
        ("", "there are:"),
        ("transformer", "there are:"),
    ],
)
def test_unknown_names_are_errors_that_name_near_ones(name, near):
    for look_up in (find, build):
        with pytest.raises(UnknownNameError, match=f"no variant named '{name}'.*{near}") as caught:
            look_up(name)
        assert isinstance(caught.value, KeyError)
        assert "\n" not in str(caught.value)


def test_a_network_is_built_for_the_classes_and_channels_of_its_paper():
    model = build_meta("resnet18")
    assert model.training
    assert model.head.fc.out_features == 1000
    assert model.stem.conv1.conv.in_channels == 3
    assert model.created_as == {
        "name": "resnet18",
        "num_classes": 1000,
        "in_channels": 3,
        "overrides": {},
    }


def test_what_was_asked_for_is_built_and_remembered():
    model = build_meta("resnet18", num_classes=7, in_channels=1, shortcut="A")
    assert model.head.fc.out_features == 7
    assert model.stem.conv1.conv.in_channels == 1
    assert not [name for name, _ in model.named_parameters() if "shortcut" in name]
    assert model.created_as == {
        "name": "resnet18",
        "num_classes": 7,
        "in_channels": 1,
        "overrides": {"shortcut": "A"},
    }


def test_overrides_leave_the_catalog_as_it_is():
    build_meta("resnet18", shortcut="C")
    assert find("resnet18")[1].spec.shortcut == "B"


def test_whole_numbers_of_numpy_are_counts_and_fit_into_json():
    labels = np.array([0, 4, 2])
    model = build_meta("resnet20_cifar", num_classes=labels.max() + 1)
    assert model.head.fc.out_features == 5
    assert json.loads(json.dumps(model.created_as))["num_classes"] == 5


@pytest.mark.parametrize("value", [0, -1, 2.0, "10", True, float("nan"), [10]])
@pytest.mark.parametrize("label", ["num_classes", "in_channels"])
def test_counts_that_are_none_are_refused(label, value):
    with pytest.raises(InputError, match=f"{label} must be a whole number of at least 1, not"):
        build_meta("resnet20_cifar", **{label: value})


@pytest.mark.parametrize(
    ("option", "near"),
    [("shortcuts", "shortcut"), ("widht", "widths"), ("zzz", "there are: block")],
)
def test_an_unknown_option_is_an_error_that_names_near_ones(option, near):
    with pytest.raises(InputError, match=f"resnet18 has no option '{option}'.*{near}"):
        build("resnet18", **{option: 1})


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("blocks", "2222", "resnet18: blocks takes a tuple of whole numbers, such as"),
        ("blocks", (2, 2.5, 2, 2), "resnet18: blocks takes a tuple of whole numbers, such as"),
        ("expansion", "4", "resnet18: expansion takes a whole number, such as 1; got '4'"),
        ("shortcut", "D", "resnet18: shortcut takes 'A', 'B', 'C' or None; got 'D'"),
        ("widths", (64, 128, 256, -512), "blocks and widths have one number of at least 1"),
        ("expansion", 0, "expansion must be at least 1, not 0"),
    ],
)
def test_a_value_that_does_not_fit_its_option_is_refused(option, value, told):
    with pytest.raises(InputError, match=re.escape(told)):
        build_meta("resnet18", **{option: value})


def test_overrides_are_remembered_as_the_spec_holds_them():
    model = build_meta("resnet18", blocks=[1, 1, 1, np.int64(1)])
    assert model.created_as["overrides"] == {"blocks": (1, 1, 1, 1)}
    assert json.loads(json.dumps(model.created_as))["overrides"] == {"blocks": [1, 1, 1, 1]}


@pytest.mark.parametrize("name", [None, 50, ["resnet50"]])
def test_a_name_that_is_no_text_is_refused(name):
    with pytest.raises(InputError, match="a network is found by its name, such as 'resnet50'"):
        find(name)


def test_meta_networks_take_no_memory():
    model = build_meta("resnet152")
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert {b.device.type for b in model.buffers()} == {"meta"}


def test_the_same_seed_draws_the_same_weights():
    models = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        models.append(nn.utils.parameters_to_vector(build("resnet20_cifar").parameters()))
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


def test_building_on_meta_draws_nothing_and_takes_no_random_numbers():
    code = """
import sys, torch
from convatlas.catalog import build

before = torch.get_rng_state()
with torch.device("meta"):
    for name in ("alexnet", "lenet5", "inception_v3", "resnet20_cifar"):
        build(name)
print(torch.equal(before, torch.get_rng_state()), "torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_of_garbage_is_as_before(enabled):
    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        build_meta("lenet5")
        with pytest.raises(UnknownNameError):
            build_meta("lenet5", act="sine")  # fails while it is built
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()


def test_a_changed_input_size_is_the_size_of_the_images():
    assert input_shape_of("vgg11") == (3, 224, 224)
    assert input_shape_of("vgg11", input_size=64) == (3, 64, 64)
    assert input_shape_of("alexnet", input_size=None) == (3, 227, 227)
    report = ca.analyze(build_meta("vgg11", input_size=64))
    assert report.input_shape == (3, 64, 64)
    with pytest.raises(InputError, match="input_size"):
        input_shape_of("resnet18", input_size=64)
