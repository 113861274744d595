"""What layers inside a network give: maps of several scales for a detector or a segmentation."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from convatlas.errors import InputError, suggest, unknown


class _AllFound(BaseException):  # not an Exception: a forward may catch those
    """Ends the forward pass behind the last layer that was asked for."""


def features(model: nn.Module, x: Tensor, at: Sequence[str]) -> dict[str, Tensor]:
    """Run a network up to the last of some layers, and give what each of them gives.

    Nothing behind the last layer runs. The network keeps its mode, and gradients flow as in any
    forward pass: call `model.eval()` and use `torch.no_grad()` where the features are all you
    want. Where a layer runs more than once, its first output counts.

    Args:
        model: Any module; no hook of ours stays in it, whatever happens.
        x: What it takes, such as images (N, C, H, W).
        at: Dotted names of layers, such as `["stages.conv3_x", "stages.conv4_x"]`.

    Returns:
        The layers' outputs by name, in the order of `at`.

    Raises:
        UnknownNameError: (a KeyError) no such layer; the message lists near names.
        InputError: (a ValueError) no layer is named, or one does not run or gives no tensor.
    """
    model = getattr(model, "_orig_mod", model)  # the hooks of a compiled network would not be run
    layers = _layers(model, at)
    found: dict[str, Tensor] = {}
    handles = [
        layer.register_forward_hook(_holding(name, found, len(layers)))
        for name, layer in layers.items()
    ]
    try:
        model(x)
    except _AllFound:
        return {name: found[name] for name in layers}
    finally:
        for handle in handles:
            handle.remove()
    idle = next(name for name in layers if name not in found)
    raise InputError(
        f"layer {idle!r} does not run in the forward pass of {type(model).__name__}: it may only "
        "hold other layers, or be for training"
    )


def _layers(model: nn.Module, at: Sequence[str]) -> dict[str, nn.Module]:
    names = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    if isinstance(at, str) or not at:
        given = f"the string {at!r}" if at else "none"
        raise InputError(
            f"at lists the names of layers, such as ['{names[0] if names else 'conv1'}']; got "
            f"{given}{suggest(at, names) if isinstance(at, str) and at else ''}"
        )
    for name in at:
        if name not in names:
            raise unknown(f"layer of {type(model).__name__}", name, names)
    return {name: model.get_submodule(name) for name in at}


def _holding(
    name: str, found: dict[str, Tensor], count: int
) -> Callable[[nn.Module, Any, Any], Tensor | None]:
    """Make a hook that keeps a layer's output and ends the run when it was the last."""

    def hold(_module: nn.Module, _inputs: Any, output: Any) -> Tensor | None:
        if name in found:
            return None
        if not isinstance(output, Tensor):
            raise InputError(f"layer {name!r} gives {type(output).__name__}, not a tensor")
        found[name] = output
        if len(found) == count:
            raise _AllFound
        # what follows works on a copy: an activation in place would change the output kept here
        return output.clone()

    return hold
