"""The command that a report gives: typed in again, it asks for the same run."""

import shlex

import pytest

from convatlas.cli import train, train_options
from convatlas.recipe import to_dict
from convatlas.report.tables import reproduce
from convatlas.train.distributed import ALONE
from convatlas.train.finetuning import FINETUNE, FRESH, Start
from convatlas.train.options import RunOptions
from convatlas.train.plan import make_plan


@pytest.fixture(scope="module")
def config():
    return make_plan("lenet5_modern", "digits").to_config()


def asked(command):
    """What the command line makes of a command."""
    words = shlex.split(command)
    assert words[:2] == ["convatlas", "train"]
    return train.command.make_context("train", words[2:]).params


@pytest.mark.parametrize(
    "start", [FRESH, Start("runs/a b", ("stem", "stages.conv2_x"), 0.8), Start(freeze=("stem",))]
)
@pytest.mark.parametrize(
    "options",
    [
        RunOptions(track=()),
        RunOptions(precision="bf16", micro_batch=7, deterministic=True),
        RunOptions(sync_norm=True, shard=True),
    ],
)
def test_it_says_how_the_run_began_and_was_computed(config, start, options):
    parts = {"start": start.to_config(), "options": options.to_config(threads=1)}
    given = asked(reproduce({**config, **parts}))
    assert train_options.start(given) == start
    assert train_options.run_options(given, ALONE).to_config(threads=1) == parts["options"]
    assert (given["name"], given["source_text"], given["seed"]) == ("lenet5_modern", "digits", 0)


def test_changes_of_the_recipe_for_finetuning_are_told(config):
    tuned = {**config, "recipe_name": "finetune", "recipe": to_dict(FINETUNE.lasting(7))}
    given = asked(reproduce(tuned))
    assert (given["recipe_name"], given["epochs"], given["settings"]) == ("finetune", 7, ())
