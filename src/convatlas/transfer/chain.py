"""How a network runs: its parts one after the other, and what comes behind its maps."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.analysis.meta import MetaMode, images
from convatlas.errors import InputError

ADAPTIVE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a module, from one tensor to one."""

    name: str
    module: nn.Module
    input: Tensor
    output: Tensor


@dataclass(frozen=True, slots=True)
class Chain:
    """A network that is its parts in a row and flattens its maps once.

    Attributes:
        parts: Names of the children, in the order in which they run.
        pooling: The layer that averages the maps before they are flattened, if there is one.
        flatten: The layer that makes one row of the maps of an image.
        behind: The layers behind the pooling or the flattening, in the order in which they run.
    """

    parts: tuple[str, ...]
    pooling: Call | None
    flatten: Call
    behind: tuple[Call, ...]


def follow(twin: nn.Module, input_shape: tuple[int, int, int]) -> Chain:
    """Run a network once and see that it is such a chain.

    Args:
        twin: The network on the meta device, in eval mode.
        input_shape: Of one image: (channels, height, width).

    Raises:
        InputError: It takes no such image, or it is no such chain.
    """
    try:
        calls, x, output = _run(twin, input_shape)
    except RuntimeError as error:
        size, reason = "x".join(map(str, input_shape)), str(error).partition("\n")[0]
        raise InputError(f"it does not run on an image of {size}: {reason}") from error
    if output.dim() == 4:
        raise InputError("it gives maps already")
    children = {module: name for name, module in twin.named_children()}
    parts, reached = [], x
    for call in calls:
        if call.module in children and call.input is reached:
            reached = call.output
            parts.append(children[call.module])
    if reached is not output:
        raise InputError("its forward does more than run its parts one after the other")
    leaves = [call for call in calls if not any(True for _ in call.module.children())]
    at = [i for i, call in enumerate(leaves) if _flattens(call)]
    if len(at) != 1:
        raise InputError(f"{len(at)} of its layers flatten maps; one must")
    pooled = _find_pooling(leaves[: at[0]], leaves[at[0]])
    behind = leaves[pooled + 1 : at[0]] if pooled is not None else []
    return Chain(
        tuple(parts),
        None if pooled is None else leaves[pooled],
        leaves[at[0]],
        (*behind, *leaves[at[0] + 1 :]),
    )


def least_size(twin: nn.Module, input_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Find the least height and width that a network takes, by halving.

    Args:
        twin: The network on the meta device, in eval mode.
        input_shape: Of an image that it takes.
    """
    channels, height, width = input_shape

    def takes(less: int) -> bool:
        try:
            _run(twin, (channels, height - less, width - less))
        except (InputError, RuntimeError):
            return False
        return True

    taken, refused = 0, min(height, width)  # pixels less than the given height and width
    if takes(refused - 1):
        return height - refused + 1, width - refused + 1
    while refused - taken > 1:
        less = (taken + refused) // 2
        taken, refused = (less, refused) if takes(less) else (taken, less)
    return height - taken, width - taken


def map_shape(twin: nn.Module, input_shape: tuple[int, int, int]) -> tuple[int, ...]:
    """Give the shape of what a network on the meta device gives for one image."""
    return tuple(_run(twin, input_shape)[2].shape)


def _flattens(call: Call) -> bool:
    return isinstance(call.module, nn.Flatten) and (call.input.dim(), call.output.dim()) == (4, 2)


def _find_pooling(leaves: list[Call], flatten: Call) -> int | None:
    """Find the pooling whose output reaches the flattening through layers that only act."""
    reached = flatten.input
    for i, call in reversed(list(enumerate(leaves))):
        if call.output is not reached:
            return None
        if isinstance(call.module, ADAPTIVE):
            return i
        if call.input.shape != call.output.shape or any(True for _ in call.module.parameters()):
            return None
        reached = call.input
    return None


def _run(twin: nn.Module, input_shape: tuple[int, int, int]) -> tuple[list[Call], Tensor, Tensor]:
    """Give the calls of modules in the order in which they end, the image and the output."""
    calls: list[Call] = []
    names = {module: name for name, module in twin.named_modules()}

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if len(inputs) == 1 and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            calls.append(Call(names[module], module, inputs[0], output))

    x = images(twin, input_shape)
    handles = [module.register_forward_hook(note) for module, name in names.items() if name]
    try:
        with torch.no_grad(), torch.device("meta"), MetaMode():
            output = twin(x)
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(output, Tensor):
        raise InputError(f"it gives {type(output).__name__}, not logits")
    return calls, x, output
