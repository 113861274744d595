"""`convatlas recipe`: one recipe with its sections, two by their differences."""

import json

import pytest

from convatlas.cli import main
from convatlas.recipe import to_dict
from convatlas.train.plan import find_recipes


@pytest.fixture
def run(capsys):
    def call(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["recipe", *args])
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return call


def row(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"{name} "))


def test_one_recipe_with_the_section_of_each_value(run):
    code, out, err = run("googlenet")
    assert (code, err) == (0, "")
    assert out.startswith("googlenet, recipe imagenet: section 6\n")
    assert row(out, "optimizer.momentum").split()[1:] == ["0.9", "section", "6"]
    assert "solver.prototxt" in row(out, "batch_size")
    assert "AreaCrop(area=(0.08, 1)" in row(out, "augment")
    assert "- Test images are one centre crop; section 7 averages 144." in out
    assert out.endswith("Other recipes (--recipe): caffe_quick, modern, finetune\n")


def test_another_recipe_than_a_run_would_choose(run):
    code, out, _ = run("googlenet", "--recipe", "caffe_quick")
    assert code == 0
    assert row(out, "schedule").split()[1] == "Polynomial"
    assert row(out, "bias_rate").split()[1] == "2"


def test_the_recipe_of_networks_that_have_learnt_already(run):
    code, out, _ = run("vgg16", "--recipe", "finetune")
    assert code == 0
    assert "own" in row(out, "epochs")


def test_two_networks_by_what_differs(run):
    code, out, _ = run("vgg16", "densenet121")
    assert code == 0
    assert out.splitlines()[0].split() == ["field", "vgg16", "imagenet", "densenet121", "imagenet"]
    assert row(out, "epochs").split() == ["epochs", "74", "90"]
    assert not any(line.startswith("batch_size") for line in out.splitlines())


def test_two_recipes_of_one_network(run):
    _, out, _ = run("resnet50", "resnet50", "--recipe", "imagenet", "--recipe", "modern")
    assert row(out, "ema").split() == ["ema", "none", "0.9999"]
    _, out, _ = run("resnet50", "resnet50")
    assert out == "The two recipes are the same.\n"
    _, out, _ = run("resnet50", "densenet121", "--recipe", "modern")  # one for both
    assert out == "The two recipes are the same.\n"


def test_json_of_one_and_of_two(run):
    _, out, _ = run("resnet20_cifar", "--json")
    told = json.loads(out)
    assert told["recipe_name"] == "cifar10"
    assert told["recipe"] == json.loads(json.dumps(to_dict(find_recipes("resnet")["cifar10"])))
    assert {"name": "batch_size", "value": "128", "source": "section 4.2"} in told["settings"]
    _, out, _ = run("resnet20_cifar", "resnet50", "--json")
    told = json.loads(out)
    assert told["second"]["network"] == "resnet50"
    assert {"name": "batch_size", "first": "128", "second": "256"} in told["differences"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("resnet5O",), "no variant named 'resnet5O'; did you mean: resnet50"),
        (("resnet50", "--recipe", "modrn"), "no recipe of resnet named 'modrn'; did you mean: mod"),
        (("resnet50", "vgg16", "vgg19"), "one or two networks, not 3"),
        (("resnet50", "--recipe", "imagenet", "--recipe", "modern"), "2 recipes for 1 network"),
        ((), "Missing argument"),
    ],
)
def test_mistakes_are_one_line(run, args, message):
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
