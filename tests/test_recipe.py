"""Recipes: data that can be changed by dotted name, and every recipe of the papers."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convatlas.catalog import ARCHITECTURES
from convatlas.data.augment import Flip, PadCrop
from convatlas.errors import InputError, UnknownNameError
from convatlas.recipe import SGD, Adam, Recipe, RMSProp, override, to_dict
from convatlas.recipes import modern
from convatlas.schedules import (
    Constant,
    Cosine,
    Exponential,
    Levels,
    OnPlateau,
    Polynomial,
    Steps,
    Warmup,
)
from convatlas.train.plan import find_recipes

RECIPE = Recipe(
    where="section 0",
    batch_size=128,
    epochs=90,
    optimizer=SGD(lr=0.1, momentum=0.9),
    schedule=Warmup(epochs=5, then=Steps(epochs=(30, 60))),
    augment=(PadCrop(4), Flip()),
)

PAPERS = {
    f"{architecture.name}-{name}": recipe
    for architecture in ARCHITECTURES
    for name, recipe in find_recipes(architecture.name).items()
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"epochs": 2}, replace(RECIPE, epochs=2)),
        ({"optimizer.lr": 0.5}, replace(RECIPE, optimizer=SGD(lr=0.5, momentum=0.9))),
        ({"optimizer.lr": 1}, replace(RECIPE, optimizer=SGD(lr=1.0, momentum=0.9))),
        ({"optimizer.nesterov": True}, replace(RECIPE, optimizer=SGD(0.1, 0.9, nesterov=True))),
        ({"schedule.epochs": 2.5}, replace(RECIPE, schedule=Warmup(2.5, Steps((30, 60))))),
        (
            {"schedule.then.epochs": [10, 20.5]},
            replace(RECIPE, schedule=Warmup(5, Steps((10, 20.5)))),
        ),
        ({"augment": []}, replace(RECIPE, augment=())),
        ({"ema": 0.999}, replace(RECIPE, ema=0.999)),
        ({"network": [["dropout", 0.3]]}, replace(RECIPE, network=(("dropout", 0.3),))),
        ({"undecayed": ["norms"]}, replace(RECIPE, undecayed=("norms",))),
        ({"ema": None}, RECIPE),
        ({"resize_shorter": 256}, replace(RECIPE, resize_shorter=256)),
        ({"epochs": 3, "batch_size": 7}, replace(RECIPE, epochs=3, batch_size=7)),
        ({}, RECIPE),
    ],
)
def test_fields_are_replaced_by_dotted_name(changes, expected):
    before = repr(RECIPE)
    assert override(RECIPE, changes) == expected
    assert repr(RECIPE) == before


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("epoch", "epochs"),
        ("batchsize", "batch_size"),
        ("optimizer.momentun", "optimizer.momentum"),
        ("schedule.then.epoch", "schedule.then.epochs"),
    ],
)
def test_a_misspelt_field_is_an_error_with_near_ones(name, near):
    with pytest.raises(UnknownNameError, match=f"no recipe field named '{name}'.*{near}"):
        override(RECIPE, {name: 1})


@pytest.mark.parametrize(
    "name", ["", ".", "epochs.", "epochs.more", ".epochs", "augment.0.padding"]
)
def test_paths_that_lead_nowhere_are_errors(name):
    with pytest.raises(UnknownNameError, match="no recipe field named"):
        override(RECIPE, {name: 1})


def test_a_field_with_parts_is_not_replaced_whole():
    with pytest.raises(InputError, match=r"optimizer has parts.*optimizer.lr, optimizer.momentum"):
        override(RECIPE, {"optimizer": "adam"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "two"),
        ("epochs", 2.0),
        ("epochs", True),
        ("epochs", None),
        ("epochs", 0),
        ("batch_size", -1),
        ("optimizer.lr", "fast"),
        ("optimizer.lr", 0),
        ("optimizer.lr", math.inf),
        ("optimizer.lr", math.nan),
        ("optimizer.nesterov", 1),
        ("label_smoothing", 1.0),
        ("ema", 1.0),
        ("schedule.epochs", -1),
        ("schedule.then.epochs", ["ten"]),
        ("augment", ["flip"]),
        ("where", 3),
    ],
)
def test_values_that_cannot_train_are_refused(name, value):
    with pytest.raises(InputError, match=name.rpartition(".")[2]):
        override(RECIPE, {name: value})


def test_strings_are_no_augmentation_even_where_there_was_none():
    with pytest.raises(InputError, match="augment takes"):
        override(replace(RECIPE, augment=()), {"augment": ["flip"]})
    with pytest.raises(InputError, match="augment takes augmentations"):
        replace(RECIPE, augment=("flip",))


def test_a_part_without_fields_has_nothing_to_set():
    with pytest.raises(InputError, match=r"schedule has no parts to set \(it is Constant\(\)\)"):
        override(replace(RECIPE, schedule=Constant()), {"schedule": 3})


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_a_longer_run_keeps_the_shape_of_the_schedule(epochs, asked):
    recipe = replace(RECIPE, epochs=epochs, schedule=Cosine(epochs))
    longer = recipe.lasting(asked)
    assert longer.epochs == asked
    for part in (0.0, 0.25, 0.5, 1.0):
        assert longer.schedule(part * asked) == pytest.approx(recipe.schedule(part * epochs))
    assert replace(longer, epochs=epochs, schedule=recipe.schedule) == recipe


@pytest.mark.parametrize("epochs", [0, -3, 2.5, "ten"])
def test_a_run_lasts_a_whole_number_of_epochs(epochs):
    with pytest.raises(InputError, match="whole number of at least 1"):
        RECIPE.lasting(epochs)


def test_a_recipe_is_told_in_json_with_the_kinds_of_its_parts():
    told = json.loads(json.dumps(to_dict(RECIPE)))
    assert told["kind"] == "Recipe"
    assert told["optimizer"] == {
        "kind": "SGD",
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "nesterov": False,
        "form": "torch",
    }
    assert told["schedule"]["then"] == {"kind": "Steps", "epochs": [30, 60], "factor": 0.1}
    assert told["augment"] == [
        {"kind": "PadCrop", "padding": 4, "border": "black"},
        {"kind": "Flip"},
    ]


@pytest.mark.parametrize("optimizer", [Adam(lr=1e-3), RMSProp(lr=1e-2)])
def test_other_optimizers_can_be_changed_too(optimizer):
    recipe = override(replace(RECIPE, optimizer=optimizer), {"optimizer.eps": 1e-3})
    assert recipe.optimizer == replace(optimizer, eps=1e-3)


@pytest.mark.parametrize("name", PAPERS)
def test_recipes_of_the_papers_are_whole(name):
    recipe = PAPERS[name]
    assert recipe.where
    assert hash(recipe) == hash(replace(recipe))
    assert json.loads(json.dumps(to_dict(recipe)))["kind"] == "Recipe"
    assert all(0 <= recipe.schedule(epoch) < math.inf for epoch in range(recipe.epochs))
    assert recipe.schedule(recipe.epochs / 2) > 0
    assert all(text.endswith(".") for text in recipe.deviations)


def part(recipe, name):
    """The value of a dotted name; a name that there is none of is an AttributeError."""
    for field in name.split("."):
        recipe = getattr(recipe, field)
    return recipe


@pytest.mark.parametrize("name", PAPERS)
def test_sources_are_of_fields_that_the_recipe_sets(name):
    recipe = PAPERS[name]
    for field, source in recipe.sources:
        assert part(recipe, field) not in (None, (), False), field
        assert source


@pytest.mark.parametrize("name", PAPERS)
def test_what_a_recipe_changes_of_the_network_is_there(name):
    architecture = next(each for each in ARCHITECTURES if each.name == name.partition("-")[0])
    specs = [variant.spec for variant in architecture.variants.values()]
    for field, value in PAPERS[name].network:
        fitting = [spec for spec in specs if hasattr(spec, field)]
        assert fitting
        assert any(getattr(spec, field) != value for spec in fitting)
    assert not PAPERS[name].sides or any(hasattr(spec, "sides") for spec in specs)


def test_the_nearest_source_is_the_one_of_a_field():
    recipe = replace(
        RECIPE,
        sources=(("optimizer", "section 1"), ("optimizer.lr", "section 2"), ("augment", "3")),
    )
    assert recipe.source("epochs") == "section 0"
    assert recipe.source("optimizer") == "section 1"
    assert recipe.source("optimizer.momentum") == "section 1"
    assert recipe.source("optimizer.lr") == "section 2"
    again = replace(recipe, sources=(*recipe.sources, ("optimizer.lr", "section 4")))
    assert again.source("optimizer.lr") == "section 4"


def test_every_family_of_imagenet_and_cifar_has_a_modern_recipe():
    with_imagenet = {
        architecture.name
        for architecture in ARCHITECTURES
        if any(variant.num_classes == 1000 for variant in architecture.variants.values())
    }
    with_cifar = {
        architecture.name
        for architecture in ARCHITECTURES
        if any("cifar" in name for name in architecture.variants)
    }
    assert {name for name, found in modern.RECIPES.items() if "modern" in found} == with_imagenet
    found = {name for name, recipes in modern.RECIPES.items() if "modern_cifar10" in recipes}
    assert found == with_cifar


def test_modern_recipes_have_all_the_tricks():
    for recipes in modern.RECIPES.values():
        for name, recipe in recipes.items():
            assert isinstance(recipe.schedule.then, Cosine)
            assert recipe.schedule(recipe.epochs) == pytest.approx(0)
            assert {type(op).__name__ for op in recipe.mix} == {"Mixup", "CutMix"}
            assert "RandAugment" in {type(op).__name__ for op in recipe.augment}
            assert recipe.label_smoothing == 0.1
            assert recipe.ema is not None
            assert name not in ("imagenet", "cifar10")


def learning_rate(recipe: Recipe, epoch: float) -> float:
    return recipe.optimizer.lr * recipe.schedule(epoch)


def test_vgg_is_trained_as_section_3_1_says():
    recipe = PAPERS["vgg-imagenet"]
    assert recipe.batch_size == 256
    assert recipe.epochs == 74
    assert recipe.optimizer == SGD(lr=0.01, momentum=0.9, weight_decay=5e-4, form="caffe")
    assert recipe.schedule == OnPlateau(factor=0.1, max_drops=3)
    assert recipe.epochs * 1_281_167 / 256 == pytest.approx(370_000, rel=0.01)


def test_resnet_is_trained_as_section_3_4_says():
    recipe = PAPERS["resnet-imagenet"]
    assert recipe.batch_size == 256
    assert recipe.optimizer == SGD(lr=0.1, momentum=0.9, weight_decay=1e-4)
    assert recipe.epochs * 1_281_167 / 256 == pytest.approx(600_000, rel=0.01)


def test_resnet_is_trained_on_cifar_as_section_4_2_says():
    recipe, steps = PAPERS["resnet-cifar10"], math.ceil(45_000 / 128)
    assert recipe.batch_size == 128
    assert recipe.optimizer == SGD(lr=0.1, momentum=0.9, weight_decay=1e-4)
    assert recipe.epochs * steps == pytest.approx(64_000, rel=0.002)
    iterations = [0, 31_999, 32_000, 47_999, 48_000, 63_999]
    rates = [learning_rate(recipe, iteration / steps) for iteration in iterations]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_resnet110_is_warmed_up_for_400_iterations():
    recipe, steps = PAPERS["resnet-cifar10_110"], math.ceil(45_000 / 128)
    assert isinstance(recipe.schedule, Levels)
    iterations = [0, 399, 400, 31_999, 32_000, 47_999, 48_000, 63_999]
    rates = [learning_rate(recipe, iteration / steps) for iteration in iterations]
    assert rates == pytest.approx([0.01, 0.01, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_googlenet_falls_by_4_percent_every_8_epochs():
    recipe = PAPERS["googlenet-imagenet"]
    assert recipe.schedule == Exponential(0.96, every=8)
    assert recipe.sides
    assert recipe.epochs * 1_281_167 / 32 == pytest.approx(10_000_000, rel=0.002)
    assert learning_rate(recipe, 8) == pytest.approx(0.0096)


def test_inception_v3_is_trained_as_sections_7_and_8_say():
    recipe = PAPERS["inception_v3-imagenet"]
    assert recipe.optimizer == RMSProp(
        lr=0.045, decay=0.9, eps=1.0, weight_decay=4e-5, form="tensorflow"
    )
    assert recipe.schedule == Exponential(0.94, every=2)
    assert (recipe.clip_norm, recipe.label_smoothing, recipe.sides) == (2.0, 0.1, True)


def test_squeezenet_falls_in_a_straight_line():
    recipe = PAPERS["squeezenet-imagenet"]
    assert recipe.schedule == Polynomial(68)
    assert recipe.batch_size * 170_000 / 1_281_167 == pytest.approx(68, abs=0.5)
    assert learning_rate(recipe, 34) == pytest.approx(0.02)


def test_efficientnet_counts_its_steps_from_the_start_of_the_warm_up():
    recipe = PAPERS["efficientnet-imagenet"]
    for epoch in (5, 7.3, 100, 349.9):
        assert learning_rate(recipe, epoch) == pytest.approx(0.256 * 0.97 ** (epoch // 2.4))
    assert learning_rate(recipe, 2.5) == pytest.approx(0.128)
    assert PAPERS["efficientnet-imagenet_b7"].resize_shorter == 632


def test_in_caffe_biases_do_not_decay_and_learn_twice_as_fast():
    for name in ("alexnet-caffe", "googlenet-caffe_quick", "nin-cifar10"):
        assert (PAPERS[name].undecayed, PAPERS[name].bias_rate) == (("biases",), 2.0)
