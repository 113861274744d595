"""Names become values, or one line says what is wrong, before anything is written."""

import json

import pytest

import convatlas as ca
from convatlas.errors import InputError, UnknownNameError
from convatlas.recipe import SGD, Adam, Recipe, override, to_dict
from convatlas.schedules import Constant, Cosine, Levels, OnPlateau, Steps, Warmup
from convatlas.train.plan import choose_recipe, find_recipes, make_plan


def test_a_plan_joins_network_images_and_recipe(pictures):
    plan = make_plan("lenet5_modern", pictures, recipe_name="digits", seed=5)
    config = plan.to_config()
    assert config["architecture"] == "lenet5_modern"
    assert config["num_classes"] == 3
    assert config["in_channels"] == 1  # the paper's, whatever the pictures are
    assert config["classes"] == ["bar", "dot", "ring"]
    assert config["images"] == {"train": 60, "val": 12, "test": 12}
    assert config["preprocessing"]["size"] == [32, 32]
    assert config["recipe"]["optimizer"]["kind"] in ("SGD", "Adam")
    assert config["seed"] == 5
    assert config["versions"]["convatlas"] == ca.__version__
    assert json.loads(json.dumps(config)) == config


def test_epochs_stretch_the_schedule_and_settings_come_after():
    recipe = Recipe("test", 4, 10, SGD(0.1), Warmup(2, Cosine(8)))
    assert recipe.lasting(20) == Recipe("test", 4, 20, SGD(0.1), Warmup(4, Cosine(16)))
    plan = make_plan(
        "lenet5_modern",
        "digits",
        epochs=7,
        changes={"optimizer.lr": 0.5, "augment": [], "batch_size": 8},
    )
    assert plan.recipe.epochs == 7
    assert plan.recipe.optimizer.lr == 0.5
    assert plan.recipe.augment == ()
    assert plan.recipe.batch_size == 8
    for epoch in range(8):
        original = find_recipes("lenet5")["digits"]
        moment = epoch * original.epochs / 7
        assert plan.recipe.schedule(epoch) == pytest.approx(original.schedule(moment))


@pytest.mark.parametrize(
    ("schedule", "twice"),
    [
        (Constant(), Constant()),
        (Steps((3, 5), 0.2), Steps((6, 10), 0.2)),
        (Levels((1, 2), (1.0, 0.5)), Levels((2, 4), (1.0, 0.5))),
        (Cosine(5, 0.1), Cosine(10, 0.1)),
        (Warmup(1, Steps((4,))), Warmup(2, Steps((8,)))),
        (OnPlateau(patience=3), OnPlateau(patience=3)),
    ],
)
def test_stretching(schedule, twice):
    assert schedule.stretched(2.0) == twice


@pytest.mark.parametrize(
    ("network", "source", "chosen"),
    [
        ("resnet50", "digits", "imagenet"),
        ("resnet50", "folder:pictures", "imagenet"),
        ("resnet20_cifar", "digits", "cifar10"),
        ("resnet62_cifar", "cifar10", "cifar10"),
        ("resnet18", "cifar10", "cifar10"),
        ("resnet110_cifar", "cifar10", "cifar10_110"),
        ("resnet110_cifar", "folder:pictures", "cifar10_110"),
        ("resnet110_cifar", "digits", "cifar10_110"),
        ("resnet18", "cifar100", "cifar10"),
        ("densenet264", "folder:pictures", "imagenet_264"),
        ("densenet40_k12_cifar", "svhn", "svhn"),
        ("wide_resnet28_10_cifar", "cifar10", "cifar10"),
        ("nin_cifar10", "folder:pictures", "cifar10"),
        ("googlenet", "modern", "imagenet"),
        ("efficientnet_b0", "folder:pictures", "imagenet"),
        ("efficientnet_b3", "folder:pictures", "imagenet_b3"),
        ("lenet5_modern", "mnist", "mnist_modern"),
        ("lenet5", "mnist", "mnist"),
        ("lenet5_modern", "digits", "digits"),
        ("lenet5_modern", "folder:pictures", "mnist_modern"),
        ("wide_resnet50_2", "folder:pictures", "imagenet"),
        ("wide_resnet28_10_cifar", "folder:pictures", "cifar10"),
    ],
)
def test_the_recipe_that_nobody_chose(network, source, chosen):
    assert choose_recipe(network, source) == chosen


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "lenet5_moderm"}, "did you mean: lenet5_modern"),
        ({"source_text": "digit"}, "did you mean: digits"),
        ({"recipe_name": "digit"}, "no recipe of lenet5 named 'digit'; did you mean: digits"),
        ({"changes": {"optimizer.rl": 1}}, "no recipe field named 'optimizer.rl'"),
        ({"changes": {"loss": "crossentropy"}}, "did you mean: cross_entropy"),
    ],
)
def test_unknown_names_name_the_nearest(arguments, message):
    arguments = {"name": "lenet5_modern", "source_text": "digits"} | arguments
    with pytest.raises(UnknownNameError) as caught:
        make_plan(**arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed must be"),
        ({"epochs": 0}, "epochs must be a whole number"),
        ({"changes": {"batch_size": 0}}, "batch_size must be"),
        ({"changes": {"batch_size": 1.5}}, "batch_size takes a whole number"),
        ({"changes": {"optimizer.lr": 0}}, "optimizer.lr must be a positive number"),
        ({"changes": {"optimizer.lr": "fast"}}, "optimizer.lr takes a number"),
        ({"changes": {"optimizer": 1}}, "optimizer has parts; set one of them: optimizer.lr"),
        ({"changes": {"ema": 1}}, "ema must be between 0 and 1"),
        ({"changes": {"label_smoothing": -0.1}}, "label_smoothing must be in"),
        ({"changes": {"augment": ["Flip"]}}, "augment takes"),
        ({"changes": {"loss": "lenet5_map", "label_smoothing": 0.1}}, "takes no label_smoothing"),
        ({"changes": {"tile": 64}}, "tile is of segmentation"),
    ],
)
def test_impossible_values_are_named(arguments, message):
    with pytest.raises(InputError) as caught:
        make_plan("lenet5_modern", "digits", **arguments)
    assert message in str(caught.value)


def test_null_goes_where_nothing_is_allowed():
    recipe = Recipe("test", 4, 10, SGD(0.1), resize_shorter=256, ema=0.9)
    changed = override(recipe, {"resize_shorter": None, "ema": None})
    assert (changed.resize_shorter, changed.ema) == (None, None)
    assert override(changed, {"ema": 0.5}).ema == 0.5
    with pytest.raises(InputError, match="epochs takes a whole number"):
        override(recipe, {"epochs": None})


def test_a_recipe_as_json():
    recipe = Recipe("section 3", 4, 10, Adam(0.1), Warmup(1, Steps((3,))))
    told = to_dict(recipe)
    assert told["kind"] == "Recipe"
    assert told["optimizer"] == {
        "kind": "Adam",
        "lr": 0.1,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weight_decay": 0.0,
    }
    assert told["schedule"]["then"] == {"kind": "Steps", "epochs": [3], "factor": 0.1}
    assert told["augment"] == []


def test_an_empty_split_is_refused(tmp_path, pictures, monkeypatch):
    import convatlas.train.plan as plan_module

    source = plan_module.open_source(pictures)
    empty = source.train.part(__import__("numpy").arange(0))
    monkeypatch.setattr(
        plan_module,
        "open_source",
        lambda *_, **__: type(source)(source.card, source.train, empty, source.test),
    )
    with pytest.raises(InputError, match="has no images in its val split"):
        make_plan("lenet5_modern", pictures)


def test_networks_without_a_recipe():
    with pytest.raises(InputError, match="no recipe for nothing yet"):
        find_recipes("nothing")
