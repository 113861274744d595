"""Recipes to be read: nothing left out, nothing said twice."""

from dataclasses import replace

import pytest

from convatlas.catalog import ARCHITECTURES
from convatlas.data.augment import Flip, PadCrop, PcaColor
from convatlas.recipe import SGD, CutMix, Mixup, Recipe, RMSProp, override
from convatlas.report.recipes import (
    Difference,
    Setting,
    differences,
    recipe_settings,
    recipes_page,
)
from convatlas.schedules import Cosine, Steps, Warmup
from convatlas.train.plan import find_recipes

RECIPE = Recipe(
    where="section 3",
    batch_size=64,
    epochs=10,
    optimizer=SGD(lr=0.1, momentum=0.9),
    schedule=Steps(epochs=(5, 7.5)),
    augment=(PadCrop(4), Flip()),
    network=(("dropout", 0.3),),
    sources=(("optimizer", "section 4"), ("schedule.epochs", "Table 1")),
    deviations=("None.",),
)


def test_settings_have_their_sections_and_leave_out_what_is_off():
    assert recipe_settings(RECIPE) == [
        Setting("batch_size", "64", "section 3"),
        Setting("epochs", "10", "section 3"),
        Setting("optimizer", "SGD", "section 4"),
        Setting("optimizer.lr", "0.1", "section 4"),
        Setting("optimizer.momentum", "0.9", "section 4"),
        Setting("schedule", "Steps", "section 3"),
        Setting("schedule.epochs", "5, 7.5", "Table 1"),
        Setting("schedule.factor", "0.1", "section 3"),
        Setting("network", "dropout=0.3", "section 3"),
        Setting("augment", "PadCrop(padding=4, border=black)", "section 3"),
        Setting("augment", "Flip()", "section 3"),
        Setting("loss", "cross_entropy", "section 3"),
    ]


def test_a_recipe_does_not_differ_from_itself_whatever_it_says():
    assert differences(RECIPE, replace(RECIPE, where="elsewhere", sources=(), deviations=())) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"epochs": 20}, [Difference("epochs", "10", "20")]),
        ({"optimizer": RMSProp(0.1, momentum=0.9)}, None),
        ({"augment": (Flip(),)}, [Difference("augment", "PadCrop(padding=4, border=black)", "-")]),
        (
            {"augment": (PadCrop(4), PcaColor(), Flip())},
            [Difference("augment", "-", "PcaColor(std=0.1)")],
        ),
        (
            {"mix": (Mixup(0.2), CutMix())},
            [Difference("mix", "-", "Mixup(alpha=0.2)"), Difference("mix", "-", "CutMix(alpha=1)")],
        ),
        ({"network": ()}, [Difference("network", "dropout=0.3", "-")]),
        ({"ema": 0.999}, [Difference("ema", "none", "0.999")]),
    ],
)
def test_only_what_differs_is_listed(changes, expected):
    rows = differences(RECIPE, replace(RECIPE, **changes))
    if expected is None:
        names = [row.name for row in rows]
        assert rows[0] == Difference("optimizer", "SGD", "RMSProp")
        assert "optimizer.lr" not in names
        assert Difference("optimizer.decay", "-", "0.9") in rows
        assert Difference("optimizer.nesterov", "no", "-") in rows
    else:
        assert rows == expected


def test_parts_of_parts_are_compared_by_their_names():
    other = replace(RECIPE, schedule=Warmup(1, Cosine(9)))
    assert Difference("schedule.then.epochs", "-", "9") in differences(RECIPE, other)
    assert Difference("schedule.epochs", "5, 7.5", "1") in differences(RECIPE, other)


def test_names_are_those_that_set_takes():
    for architecture in ARCHITECTURES:
        for recipe in find_recipes(architecture.name).values():
            for setting in recipe_settings(recipe):
                part = recipe
                for name in setting.name.split("."):
                    part = getattr(part, name)
                if setting.value == f"{part}":
                    assert override(recipe, {setting.name: part}) == recipe


def test_the_page_has_every_recipe_once():
    page = recipes_page()
    lines = page.splitlines()
    for architecture in ARCHITECTURES:
        start = lines.index(f"## {architecture.paper.title}")
        end = next(i for i in range(start + 1, len(lines)) if lines[i].startswith("## "))
        named = [line for line in lines[start:end] if line.startswith("| `")]
        recipes = find_recipes(architecture.name)
        own = [name for name in recipes if not name.startswith("modern")]
        assert [line.split("`")[1] for line in named] == own
        for name in own:
            assert all(f"- {text}" in lines[start:end] for text in recipes[name].deviations)
    assert all(line.count(" | ") == 7 for line in lines if line.startswith("| `"))
    assert page.count("For resnet, preact_resnet, wide_resnet, densenet, resnext:") == 1
