"""`convatlas recipe`: how a network was trained, value by value, or how two differ."""

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from convatlas.recipe import Recipe


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME [NAME]")
@click.option(
    "--recipe",
    "recipe_names",
    multiple=True,
    metavar="RECIPE",
    help="Another one than a run would choose; given twice, one for each NAME.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the recipes as JSON.")
def command(names: tuple[str, ...], recipe_names: tuple[str, ...], as_json: bool) -> None:
    """Show how a network was trained, each value with its section, or how two recipes differ.

    To compare two recipes of one network, name it twice.

    \b
    Example: convatlas recipe googlenet
             convatlas recipe resnet50 densenet121
             convatlas recipe resnet50 resnet50 --recipe imagenet --recipe modern
    """  # noqa: D301
    from convatlas.errors import InputError

    if len(names) > 2:
        raise InputError(f"recipe takes one or two networks, not {len(names)}: {', '.join(names)}")
    if len(recipe_names) > max(1, len(names)):
        raise InputError(f"there are {len(recipe_names)} recipes for {len(names)} network")
    wanted = (*recipe_names, *(recipe_names[-1:] or (None,)) * 2)
    chosen = [_chosen(name, recipe) for name, recipe in zip(names, wanted, strict=False)]
    if as_json:
        click.echo(json.dumps(_as_json(chosen), indent=2, ensure_ascii=False))
    elif len(chosen) == 1:
        _print_one(*chosen[0])
    else:
        _print_two(chosen)


def _chosen(name: str, recipe_name: str | None) -> tuple[str, str, "Recipe"]:
    from convatlas.catalog import find
    from convatlas.errors import unknown
    from convatlas.train.finetuning import FINETUNE, FINETUNE_NAME
    from convatlas.train.plan import choose_recipe, find_recipes

    architecture, _ = find(name)
    recipes = {**find_recipes(architecture.name), FINETUNE_NAME: FINETUNE}
    if recipe_name is None:
        recipe_name = choose_recipe(name, "folder:images")
    if recipe_name not in recipes:
        raise unknown(f"recipe of {architecture.name}", recipe_name, recipes)
    return name, recipe_name, recipes[recipe_name]


def _as_json(chosen: list[tuple[str, str, "Recipe"]]) -> Any:
    from dataclasses import asdict

    from convatlas.recipe import to_dict
    from convatlas.report.recipes import differences, recipe_settings

    told = [
        {
            "network": name,
            "recipe_name": recipe_name,
            "recipe": to_dict(recipe),
            "settings": [asdict(setting) for setting in recipe_settings(recipe)],
        }
        for name, recipe_name, recipe in chosen
    ]
    if len(chosen) == 1:
        return told[0]
    rows = [row._asdict() for row in differences(chosen[0][2], chosen[1][2])]
    return {"first": told[0], "second": told[1], "differences": rows}


def _print_one(name: str, recipe_name: str, recipe: "Recipe") -> None:
    from convatlas.catalog import find
    from convatlas.cli.tables import print_table
    from convatlas.report.recipes import recipe_settings
    from convatlas.train.finetuning import FINETUNE_NAME
    from convatlas.train.plan import find_recipes

    architecture, _ = find(name)
    click.echo(f"{name}, recipe {recipe_name}: {recipe.where}")
    click.echo(
        f"{architecture.paper.title}, {architecture.paper.authors}, {architecture.paper.year}\n"
    )
    rows = [(setting.name, setting.value, setting.source) for setting in recipe_settings(recipe)]
    print_table(("field", "value", "source"), rows, wrapped=("value",))
    if recipe.deviations:
        click.echo("\nWhat it does otherwise:")
        for text in recipe.deviations:
            click.echo(f"- {text}")
    known = (*find_recipes(architecture.name), FINETUNE_NAME)
    others = ", ".join(other for other in known if other != recipe_name)
    click.echo(f"\nOther recipes (--recipe): {others}")


def _print_two(chosen: list[tuple[str, str, "Recipe"]]) -> None:
    from convatlas.cli.tables import print_table
    from convatlas.report.recipes import differences

    rows = differences(chosen[0][2], chosen[1][2])
    if not rows:
        click.echo("The two recipes are the same.")
        return
    titles = [f"{name} {recipe_name}" for name, recipe_name, _ in chosen]
    print_table(("field", *titles), rows, wrapped=titles)
