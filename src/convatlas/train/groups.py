"""Which parameters learn alike: those of one group have one rate and one weight decay."""

from typing import Any

from torch import nn

from convatlas.recipe import Recipe, Spared
from convatlas.train.finetuning import depths


def parameter_groups(
    model: nn.Module, recipe: Recipe, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Sort the parameters by what the recipe says of their kind, and by their depth.

    Args:
        model: Each of its parameters that may change is in one group.
        recipe: `undecayed` and `bias_rate` tell kinds apart.
        layer_decay: Share of the rate that each stage has of that of the one behind it; see
            `convatlas.train.finetuning.depths`.

    Returns:
        Groups as torch's optimizers take them; "rate" is the group's share of the learning rate,
        and "weight_decay" is there where it is none.
    """
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    seen = set[int]()
    depth = depths(model) if layer_decay != 1 else {}
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen or not parameter.requires_grad:
                continue  # shared by two layers, or frozen
            seen.add(id(parameter))
            kinds = _kinds(module, name)
            rate = recipe.bias_rate if "biases" in kinds else 1.0
            rate *= layer_decay ** depth.get(f"{path}.{name}", 0)
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
