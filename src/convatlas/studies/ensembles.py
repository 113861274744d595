"""How much do several networks know together? The mean of the answers of one to seven.

Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional Neural
Networks", Table 2. Simonyan and Zisserman 2014, 1409.1556, Table 6. Szegedy et al. 2014, 1409.4842,
Table 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from convatlas.analysis.report import analyze
from convatlas.catalog import build
from convatlas.data.splits import Split
from convatlas.evaluate.answers import Answerer
from convatlas.recipes.alexnet import RECIPES
from convatlas.studies.charts import COLOURS, PERCENT, figure
from convatlas.studies.images import load_source
from convatlas.studies.lab import Lab, Trained, training_settings
from convatlas.studies.small_nets import imagenet, small_images, small_recipe, small_vgg
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORKS = 7
CASE = "seven networks"
MARGIN = 0.01  # that seven are better than one
EACH, EPOCHS = 200, 10  # training images of a class


def cases(scale: Scale) -> list[Case]:
    """Give seven trainings of one network, which differ in their seeds alone."""
    if scale == "paper":
        make, recipe, images = partial(build, "alexnet"), RECIPES["imagenet"], imagenet(227)
    else:
        make, recipe, images = small_vgg, small_recipe(EPOCHS), small_images(EACH)
    settings = training_settings(make, recipe, images) | {"networks": NETWORKS}
    return [Case(CASE, partial(_measure, make=make, recipe=recipe, subset=images), settings)]


def _measure(lab: Lab, *, make: Any, recipe: Any, subset: Any) -> Mapping[str, Any]:
    pictures, answers = load_source(subset, lab.choice), list[torch.Tensor]()
    for i in range(NETWORKS):
        member = replace(lab, seed=NETWORKS * lab.seed + i)
        trained = member.train(make, recipe, pictures, called=f"network{i + 1}")
        answers.append(_probabilities(trained, pictures.test))
    labels = torch.tensor(pictures.test.labels)
    alone = [_error(answer, labels) for answer in answers]
    by_number = [_mean_error(answers, labels, count) for count in range(1, NETWORKS + 1)]
    cost = analyze(trained.model, (pictures.card.channels, *trained.task.preprocessing.size))
    return {
        "test_error": by_number[-1],
        "single_error": by_number[0],
        "best_error": min(alone),
        "worst_error": max(alone),
        "error_by_number": by_number,
        "params": cost.params,
        "macs": cost.macs,
    }


def _probabilities(trained: Trained, split: Split) -> torch.Tensor:
    """Give what a network says of each test image: (N, classes)."""
    answerer = Answerer(trained.model, trained.task.preprocessing)
    parts = [part.log_probabilities for part in answerer.through(split, 256, 0)]
    return torch.cat(parts).exp()


def _mean_error(answers: Sequence[torch.Tensor], labels: torch.Tensor, count: int) -> float:
    """Give the mean error of all groups of `count` networks, so that no order counts."""
    groups = combinations(answers, count)
    return float(np.mean([_error(torch.stack(group).mean(0), labels) for group in groups]))


def _error(probabilities: torch.Tensor, labels: torch.Tensor) -> float:
    return (probabilities.argmax(1) != labels).double().mean().item()


def judge(results: Results) -> Sequence[Check]:
    """Seven are better than one, and each further one helps less."""
    one, best, seven = (
        np.array(results.values(CASE, name))
        for name in ("single_error", "best_error", "test_error")
    )
    curves = np.array(results.values(CASE, "error_by_number"))
    gains = -np.diff(curves, axis=1)
    return [
        Check("seven have at least 1 point less error than one", _floats(one - seven), MARGIN),
        Check("seven have less error than the best of them", _floats(best - seven), 1e-9),
        Check("the second helps more than the seventh", _floats(gains[:, 0] - gains[:, -1]), 1e-9),
    ]


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(values.tolist())


def _draw(results: Results) -> "Figure":
    fig, axes = figure("Mean of the probabilities of several networks")
    curves = PERCENT * np.array(results.values(CASE, "error_by_number"))
    numbers = np.arange(1, NETWORKS + 1)
    axes.fill_between(numbers, curves.min(0), curves.max(0), color=COLOURS[0], alpha=0.15)
    axes.plot(numbers, curves.mean(0), "o-", color=COLOURS[0], label="mean of all groups")
    best = PERCENT * results.mean(CASE, "best_error")
    axes.axhline(best, color=COLOURS[4], linestyle="--", linewidth=1.2, label="best of the seven")
    axes.set_xlabel("networks")
    axes.set_ylabel("test error, %")
    axes.legend(frameon=False, fontsize=8)
    return fig


STUDY = Study(
    name="ensembles",
    title="Ensembles: one to seven networks",
    source="Krizhevsky et al. 2012, Table 2; Szegedy et al. 2014, Table 3",
    why="Networks that differ only in their first weights and in the order of the images make "
    "different mistakes. The mean of their answers keeps what most agree on. All winners of the "
    "ImageNet challenge were ensembles, which is why single networks can't be compared with them.",
    claim="The mean of seven networks errs less than each of them alone, and each further network "
    "helps less than the one before.",
    published=(
        Published("AlexNet, one, top-5", "18.2 %", "AlexNet, Table 2"),
        Published("AlexNet, five, top-5", "16.4 %", "AlexNet, Table 2"),
        Published("AlexNet, seven with other training, top-5", "15.4 %", "AlexNet, Table 2"),
        Published("GoogLeNet, one, one crop, top-5", "10.07 %", "GoogLeNet, Table 3"),
        Published("GoogLeNet, seven, one crop, top-5", "8.09 %", "GoogLeNet, Table 3"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart("Test error over the number of networks whose answers are averaged", _draw),
    shown={
        "single_error": "one network, mean",
        "best_error": "best of seven",
        "test_error": "seven together",
        "params": "parameters of one",
    },
    paper_images="imagenet",
    differs=f"A VGG of five layers on CIFAR-10 images of 16x16 pixels, {10 * EACH:,} of them, "
    f"{EPOCHS} epochs; the paper's seven networks differed in their training images, too.",
)
