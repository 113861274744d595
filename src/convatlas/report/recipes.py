"""Recipes to be read: each value with its section, and what tells two recipes apart."""

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, NamedTuple

from convatlas import catalog
from convatlas.card import Architecture
from convatlas.recipe import Recipe
from convatlas.recipes import modern
from convatlas.train.finetuning import FINETUNE, FINETUNE_NAME
from convatlas.train.plan import find_recipes

_TEXTS = ("where", "sources", "deviations")
_ALWAYS = ("schedule", "augment", "loss")  # said also where they are the default
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of a recipe.

    Attributes:
        name: Its dotted name, as `--set` takes it; each augmentation has a row of its own.
        value: As a person reads it; for a part with fields, what kind it is.
        source: The section that says so.
    """

    name: str
    value: str
    source: str


class Difference(NamedTuple):
    """A value that two recipes do not share; a recipe that lacks it has "-"."""

    name: str
    first: str
    second: str


def recipe_settings(recipe: Recipe) -> list[Setting]:
    """Give the values of a recipe in the order of its fields, without those that it leaves out."""
    rows = []
    for field in fields(recipe):
        value, default = getattr(recipe, field.name), field.default
        given = default is MISSING or value != default or field.name in _ALWAYS
        if field.name not in _TEXTS and given:
            said = _flat(field.name, value, unsaid=False)
            rows += [Setting(name, text, recipe.source(name)) for name, text in said]
    return rows


def differences(first: Recipe, second: Recipe) -> list[Difference]:
    """Give the values that differ, in the order of the fields.

    Lists, such as augmentations, are aligned: what both have in the same order is not listed.
    """
    rows = []
    for field in fields(Recipe):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if field.name in _TEXTS or one == other:
            continue
        if isinstance(one, tuple):
            rows += _aligned(field.name, _parts(one), _parts(other))
        else:
            known = [dict(_flat(field.name, value)) for value in (one, other)]
            rows += [
                Difference(name, *(each.get(name, NOTHING) for each in known))
                for name in dict.fromkeys(itertools.chain(*known))
                if known[0].get(name) != known[1].get(name)
            ]
    return rows


def recipes_page() -> str:
    """Every recipe of every architecture as a page of the documentation, in Markdown."""
    parts = [
        "# Every recipe\n\n"
        "How each paper trained its networks, and what its recipes do otherwise. "
        "`convatlas recipe NAME` prints every value with its section, and the difference of two; "
        "what a field means: [training](training.md#recipes). Here, of optimizers, schedules and "
        "augmentations, only what is not their default is named. This page is made by "
        "`make tables`.\n"
    ]
    for architecture in catalog.ARCHITECTURES:
        named = modern.RECIPES.get(architecture.name, {})
        recipes = find_recipes(architecture.name).items()
        own = {name: recipe for name, recipe in recipes if name not in named}
        parts.append(_head(architecture) + recipes_table(own))
    return "\n".join([*parts, _modern_section()])


def _head(architecture: Architecture) -> str:
    paper = architecture.paper
    page = f"[The page of the paper](architectures/{architecture.name}.md)"
    return f"## {paper.title}\n\n{paper.authors}, {paper.year}. {page}.\n\n"


def _modern_section() -> str:
    """Each modern recipe once, and whose it is."""
    whose: dict[tuple[str, Recipe], list[str]] = {}
    for architecture, recipes in modern.RECIPES.items():
        for name, recipe in recipes.items():
            whose.setdefault((name, recipe), []).append(architecture)
    parts = [
        "## Modern recipes\n\n"
        "Tricks of later years, the same for all, to compare networks under one training "
        "(`--recipe modern`). No paper of a network trained so.\n"
    ]
    for (name, recipe), architectures in whose.items():
        parts.append(f"For {', '.join(architectures)}:\n\n" + recipes_table({name: recipe}))
    parts.append(
        "For every network that begins with weights that have learnt (`--weights`):\n\n"
        + recipes_table({FINETUNE_NAME: FINETUNE})
    )
    return "\n".join(parts)


def recipes_table(recipes: Mapping[str, Recipe]) -> str:
    """Give a row for each recipe, by name, and below them what they do otherwise, in Markdown."""
    rows = [
        "| recipe | optimizer | batch | epochs | schedule | augmentation | more | source |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, recipe in recipes.items():
        cells = (
            f"`{name}`",
            _short(recipe.optimizer),
            f"{recipe.batch_size:,}",
            f"{recipe.epochs:,}",
            _short(recipe.schedule),
            ", ".join(map(_short, recipe.augment)) or "none",
            "; ".join(_more(recipe)),
            recipe.where,
        )
        rows.append(f"| {' | '.join(cells)} |")
    notes = dict.fromkeys(text for recipe in recipes.values() for text in recipe.deviations)
    listed = "".join(f"- {text}\n" for text in notes)
    return "\n".join(rows) + "\n" + (f"\n{listed}" if notes else "")


def _more(recipe: Recipe) -> Iterator[str]:
    """Give the fields that have no column of their own, where a recipe sets them."""
    columns = ("batch_size", "epochs", "optimizer", "schedule", "augment", *_TEXTS)
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        if field.name not in columns and value != field.default:
            yield f"{field.name.replace('_', ' ')} {_text(value)}"


def _flat(name: str, value: Any, *, unsaid: bool = True) -> Iterator[tuple[str, str]]:
    """Give a value by dotted names: a part with fields first as its kind, then field by field.

    Without `unsaid`, fields of parts that are off by default and stay so are left out.
    """
    if is_dataclass(value):
        yield name, type(value).__name__
        for field in fields(value):
            part = getattr(value, field.name)
            told = part and field.name != "form"  # torch's own is no paper's
            if unsaid or told or part != field.default:
                yield from _flat(f"{name}.{field.name}", part, unsaid=unsaid)
    elif isinstance(value, tuple) and value:
        for text in _parts(value):
            yield name, text
    else:
        yield name, _text(value)


def _parts(values: tuple[Any, ...]) -> list[str]:
    """Write numbers in one text, and parts and pairs in one each."""
    if any(is_dataclass(value) for value in values):
        return [_whole(value) for value in values]
    if any(isinstance(value, tuple) for value in values):
        return [f"{name}={_text(value)}" for name, value in values]
    return [_text(values)] if values else []


def _whole(part: Any) -> str:
    """Write a part with all its fields in one line: PadCrop(padding=4, border=black)."""
    said = (f"{field.name}={_inner(getattr(part, field.name))}" for field in fields(part))
    return f"{type(part).__name__}({', '.join(said)})"


def _short(part: Any) -> str:
    """Write a part with the fields that are not its defaults: PadCrop(border=mirror)."""
    said, needed = [], sum(field.default is MISSING for field in fields(part))
    for field in fields(part):
        value = getattr(part, field.name)
        if field.default is MISSING:
            said.append(_text(value) if needed == 1 else _inner(value))
        elif value != field.default:
            said.append(f"{field.name}={_inner(value)}")
    return f"{type(part).__name__}({', '.join(said)})" if said else type(part).__name__


def _inner(value: Any) -> str:
    return f"({_text(value)})" if isinstance(value, tuple) else _text(value)


def _text(value: Any) -> str:
    if is_dataclass(value):
        return _short(value)
    if isinstance(value, tuple):
        return ", ".join(map(_inner, value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _aligned(name: str, first: Sequence[str], second: Sequence[str]) -> Iterator[Difference]:
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
    for kind, start, end, begin, stop in matcher.get_opcodes():
        if kind != "equal":
            pairs = itertools.zip_longest(first[start:end], second[begin:stop], fillvalue=NOTHING)
            yield from (Difference(name, *pair) for pair in pairs)
