"""Which parameters learn alike: those of one group have one rate and one weight decay."""

from typing import Any

from torch import nn

from convatlas.recipe import Recipe, Spared


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Sort the parameters by what the recipe says of their kind.

    Args:
        model: Each of its parameters is in one group.
        recipe: `undecayed` and `bias_rate` tell kinds apart.

    Returns:
        Groups as torch's optimizers take them; "rate" is the group's share of the learning rate,
        and "weight_decay" is there where it is none.
    """
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    seen = set[int]()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:
                continue  # shared by two layers
            seen.add(id(parameter))
            kinds = _kinds(module, name)
            rate = recipe.bias_rate if "biases" in kinds else 1.0
            spared = bool(kinds & set(recipe.undecayed))
            group = groups.setdefault((rate, spared), {"params": [], "rate": rate})
            group["params"].append(parameter)
            if spared:
                group["weight_decay"] = 0.0
    return list(groups.values())


def _kinds(module: nn.Module, name: str) -> set[Spared]:
    kinds = set[Spared]()
    if name == "bias":
        kinds.add("biases")
    if hasattr(module, "running_mean") or isinstance(module, (nn.LayerNorm, nn.GroupNorm)):
        kinds.add("norms")
    if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1 and name != "bias":
        kinds.add("depthwise")
    return kinds
