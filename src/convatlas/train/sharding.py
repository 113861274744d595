"""Weights spread over processes, each with a part: torch's FSDP2 (Zhao et al. 2023, 2304.11277).

For networks whose weights, gradients and optimizer don't fit into each process. A layer's weights
are gathered when it computes and dropped afterwards.
"""

from copy import deepcopy

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method


def shard(model: nn.Module) -> None:
    """Spread the parameters of a network over all processes, in place.

    Each block of a stage is gathered by itself, what remains at once. The parameters become
    others: make optimizers afterwards.
    """
    mesh = init_device_mesh(next(model.parameters()).device.type, (dist.get_world_size(),))
    for block in _blocks(model):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    if hasattr(model, "forward_with_sides"):
        register_fsdp_forward_method(model, "forward_with_sides")


def skeleton(model: nn.Module) -> nn.Module:
    """Copy a network without the memory of its parameters, for `whole`."""
    weights = {id(old): nn.Parameter(old.detach().to("meta")) for old in model.parameters()}
    return deepcopy(model, memo=weights)


def whole(model: nn.Module, bones: nn.Module) -> nn.Module:
    """Gather the weights that `shard` has spread; all processes must call it.

    Args:
        model: A sharded network.
        bones: Its `skeleton` from before.

    Returns:
        A copy that any process can use alone.
    """
    copy = deepcopy(bones)
    gathered = {name: gathered_tensor(tensor) for name, tensor in model.state_dict().items()}
    copy.load_state_dict(gathered, assign=True)
    return copy


def gathered_tensor(tensor: Tensor) -> Tensor:
    """Give all of a tensor of which each process has a part; others as they are."""
    # only torch's DTensor has it, and to import that one takes a third of a second
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def _blocks(model: nn.Module) -> list[nn.Module]:
    """Find the blocks of the stages, or the stages where they have none."""
    found = []
    for stage in getattr(model, "stages", nn.Sequential()).children():
        inner = list(stage.children()) if isinstance(stage, nn.Sequential) else [stage]
        found += [block for block in inner if next(block.parameters(), None) is not None]
    return found
