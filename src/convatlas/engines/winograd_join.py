"""Convolutions of dense blocks that write their maps where those of the block lie."""

from torch import Tensor, fx, nn

from convatlas.engines.graph_join import Append
from convatlas.engines.graph_trace import only_user, replace
from convatlas.engines.winograd_conv import WinogradConv


class Into(nn.Module):
    """A convolution that writes to some channels of a wide tensor, which is changed."""

    def __init__(self, layer: WinogradConv, start: int) -> None:
        super().__init__()
        self.layer, self.start = layer, start

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        """(N, channels, H, W), (N, in, H, W) -> the first."""
        self.layer(x, out=y.narrow(1, self.start, self.layer.maps))
        return y


def write_in_place(module: fx.GraphModule) -> int:
    """Let convolutions write what would only be copied; give how many do."""
    count = 0
    for node in list(module.graph.nodes):
        join = _layer(module, node)
        if not isinstance(join, Append) or len(node.args) != 2:
            continue
        wide, part = node.all_input_nodes
        layer = _layer(module, part)
        if isinstance(layer, WinogradConv) and len(part.args) == 1 and only_user(part) is node:
            given = (wide, part.all_input_nodes[0])
            replace(module, node, Into(layer, join.start), given, str(part.target))
            count += 1
    module.delete_all_unused_submodules()
    module.recompile()
    return count


def _layer(module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return module.get_submodule(str(node.target)) if node.op == "call_module" else None
