"""A study that takes a second: does a network that learns longer err less on its images?"""

from torch import nn

from convatlas.recipe import SGD, Recipe
from convatlas.studies.charts import dots
from convatlas.studies.checks import less_error
from convatlas.studies.images import Subset
from convatlas.studies.lab import training_case
from convatlas.studies.study import Chart, Published, Study

SUBSET = Subset("digits", train=8, val=2, test=4)
EPOCHS = {"short": 1, "long": 4}


def make() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def cases(scale):
    return [
        training_case(name, make, Recipe("a test", 20, epochs, SGD(0.1)), SUBSET)
        for name, epochs in EPOCHS.items()
    ]


def judge(results):
    return [less_error(results, "long", "short", by=2, metric="train_error")]


STUDY = Study(
    name="tiny",
    title="Longer against shorter",
    source="a test",
    why="To try the room of studies.",
    claim="The one that learns longer errs less.",
    published=(Published("long", "1 %", "Table 1"),),
    cases=cases,
    judge=judge,
    chart=Chart("Training error by case", dots("Training error", "train_error")),
    shown={"train_error": "training error", "params": "parameters"},
    images="digits",
    if_failed="It never does.",
)
