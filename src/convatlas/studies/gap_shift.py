"""Does a network recognise a digit that stands elsewhere? Flattening against global averaging.

Giacomo Boracchi 2023, "Famous CNN architectures and CNN visualization" (lecture), after Lin, Chen
and Yan 2013, "Network In Network", section 3.2: averages over all places are robust to
translations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from convatlas.catalog import build
from convatlas.data.splits import ArraySplit
from convatlas.recipe import Adam, Recipe
from convatlas.studies.charts import COLOURS, PERCENT, figure
from convatlas.studies.checks import at_most, exactly, near
from convatlas.studies.images import Pictures, Subset
from convatlas.studies.lab import Lab, Trained, training_settings
from convatlas.studies.study import Case, Chart, Check, Published, Results, Scale, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CANVAS, DIGIT = 64, 28  # pixels a side
CENTRE = (CANVAS - DIGIT) // 2
MOVES = (0, 2, 4, 6, 8, 12, 16, 18)  # pixels from the centre, the longer way
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
WHERE = "our own: the lecture prints results, but neither optimizer nor epochs nor shifts"
PARAMS = {"flatten": 388_298, "gap": 101_578}

_SUBSETS = {"small": Subset("mnist", 200, 10, 50), "paper": Subset("mnist", None, None, None)}
_RECIPES = {
    "small": {
        "flatten": Recipe(WHERE, 32, 3, Adam(1e-3)),
        "gap": Recipe(WHERE, 16, 10, Adam(3e-3)),
    },
    "paper": {
        "flatten": Recipe(WHERE, 64, 10, Adam(1e-3)),
        "gap": Recipe(WHERE, 32, 10, Adam(4e-3)),
    },
}


def cases(scale: Scale) -> list[Case]:
    """Give both networks, trained on digits in the centre."""
    subset = _SUBSETS[scale]
    found = []
    for name, recipe in _RECIPES[scale].items():
        make = partial(build, f"cnn_{name}")
        settings = training_settings(make, recipe, subset) | {"canvas": CANVAS, "moves": MOVES}
        measure = partial(_measure, make=make, recipe=recipe, subset=subset)
        found.append(Case(name, measure, settings))
    return found


def _measure(lab: Lab, *, make: Any, recipe: Recipe, subset: Subset) -> Mapping[str, Any]:
    digits = lab.pictures(subset)
    centred = _moved(digits, lambda count: np.zeros((count, 2), np.int64))
    trained = lab.train(make, recipe, centred)
    rng = np.random.default_rng([lab.seed, 1])
    anywhere = _moved(digits, lambda count: rng.integers(-CENTRE, CENTRE + 1, (count, 2)))
    by_distance = [_error_at(trained, digits, distance) for distance in MOVES]
    shifted = replace(trained, pictures=anywhere).test_error()
    return {**trained.measures(), "shifted_error": shifted, "error_by_distance": by_distance}


def _error_at(trained: Trained, digits: Pictures, distance: int) -> float:
    """Move all test digits so far, an eighth of them in each direction."""

    def offsets(count: int) -> np.ndarray:
        return distance * np.array(DIRECTIONS)[np.arange(count) % len(DIRECTIONS)]

    return replace(trained, pictures=_moved(digits, offsets)).test_error()


def _moved(digits: Pictures, offsets: Any) -> Pictures:
    """Put the digits on a black canvas: test digits by `offsets(count)`, others in the centre."""
    still = np.zeros((1, 2), np.int64)
    return replace(
        digits,
        card=replace(digits.card, image_size=(CANVAS, CANVAS)),
        train=_placed(digits.train, np.repeat(still, len(digits.train), 0)),
        val=_placed(digits.val, np.repeat(still, len(digits.val), 0)),
        test=_placed(digits.test, offsets(len(digits.test))),
    )


def _placed(split: ArraySplit, offsets: np.ndarray) -> ArraySplit:
    """Give (N, 64, 64): digit i is `offsets[i]` = (down, right) pixels off the centre."""
    canvas = np.zeros((len(split), CANVAS, CANVAS), np.uint8)
    for i, (down, right) in enumerate(offsets.tolist()):
        top, left = CENTRE + down, CENTRE + right
        canvas[i, top : top + DIGIT, left : left + DIGIT] = split.images[split.indices[i]]
    return replace(
        split, images=canvas, classes=split.classes[split.indices], indices=np.arange(len(split))
    )


def judge(results: Results) -> Sequence[Check]:
    """Both recognise centred digits; only the averaging network recognises moved ones."""
    loss = [
        shifted - centred
        for shifted, centred in zip(
            results.values("gap", "shifted_error"),
            results.values("gap", "test_error"),
            strict=True,
        )
    ]
    collapse = [1 - error for error in results.values("flatten", "shifted_error")]
    return [
        near(results, "gap", "flatten", within=5),
        at_most("flatten recognises at most 25 % of the moved digits", collapse, 0.25),
        at_most("gap loses at most 10 points where digits are moved", loss, 0.10),
        *(
            exactly(f"{name} has {count:,} parameters", results.values(name, "params"), count)
            for name, count in PARAMS.items()
        ),
    ]


def _draw(results: Results) -> "Figure":
    fig, axes = figure("Accuracy on digits that are moved from the centre")
    for i, name in enumerate(results.cases):
        curves = np.array(results.values(name, "error_by_distance"))
        accuracy = PERCENT * (1 - curves)
        axes.fill_between(MOVES, accuracy.min(0), accuracy.max(0), color=COLOURS[i], alpha=0.15)
        axes.plot(MOVES, accuracy.mean(0), "o-", color=COLOURS[i], label=name)
    axes.axhline(10, color=COLOURS[-1], linewidth=0.8, linestyle=":")
    axes.set_ylim(0, 102)
    axes.set_xticks(MOVES)
    axes.set_xlabel("pixels from the centre")
    axes.set_ylabel("accuracy, %")
    axes.legend(frameon=False)
    return fig


STUDY = Study(
    name="gap_shift",
    title="Shifted digits: flatten against global average pooling",
    source="Boracchi 2023 (lecture); Lin, Chen and Yan 2013, section 3.2",
    why="A flattened map keeps every place apart, so a dense layer learns where digits stood. An "
    "average over all places can't. Network in Network made this the head of nearly all networks "
    "that followed.",
    claim="Trained on centred digits, both recognise centred ones equally well; of digits moved "
    "elsewhere the flattening network recognises no more than guessing, the averaging one nearly "
    "as many as before.",
    published=(
        Published("flatten, centred", "99.36 %", "lecture"),
        Published("GAP, centred", "99.34 %", "lecture"),
        Published("flatten, shifted", "11.03 %", "lecture"),
        Published("GAP, shifted", "99.06 %", "lecture"),
    ),
    cases=cases,
    judge=judge,
    chart=Chart("Accuracy over the distance that test digits are moved, by network", _draw),
    shown={
        "test_error": "error, centred",
        "shifted_error": "error, moved anywhere",
        "params": "parameters",
        "macs": "MACs",
    },
    images="mnist",
    differs="2,000 training digits instead of 60,000, 500 test digits instead of 10,000.",
    revised="3,000 training digits became 2,000, in smaller batches for the averaging network, to "
    "save time; one seed had passed before, too.",
)
