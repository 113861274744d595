"""The learning rate of each step: the optimizer's, times the schedule's factor."""

from typing import Any

from convatlas.recipe import Recipe
from convatlas.schedules import OnPlateau, Schedule, Warmup


def rate_at(recipe: Recipe, epoch: float, records: list[dict[str, Any]]) -> float:
    """Give the learning rate at a moment of a run.

    Args:
        recipe: Its optimizer's rate is multiplied by its schedule.
        epoch: 2.5 is the middle of the third epoch.
        records: Of the epochs that are done; a plateau schedule looks at them.
    """
    rate = recipe.optimizer.lr * recipe.schedule(epoch)
    plateau = _plateau(recipe.schedule)
    if plateau is None:
        return rate
    errors = [1 - record[f"{plateau.watch}_accuracy"] for record in records]
    return rate * plateau.factor ** plateau.drops(errors)


def _plateau(schedule: Schedule) -> OnPlateau | None:
    while isinstance(schedule, Warmup):
        schedule = schedule.then
    return schedule if isinstance(schedule, OnPlateau) else None
