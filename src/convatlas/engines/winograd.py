"""Fewer multiplications: 3x3 convolutions by Winograd's minimal filtering, where that is quicker.

The rest is as in the engine `packed`. Lavin & Gray 2016, https://arxiv.org/abs/1509.09308.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, cast

import torch
from torch import fx

from convatlas.engines.depthwise_conv import find_gates_and_norms
from convatlas.engines.eager import PreparedModule, channels_last, dtype_of
from convatlas.engines.engine import Order, Precision
from convatlas.engines.graph_in_place import write_in_place
from convatlas.engines.graph_pieces import CACHE_BYTES, Pieces, rewritten_in_pieces
from convatlas.engines.graph_steps import run_in_steps
from convatlas.engines.native_build import library, no_compiler, versions
from convatlas.engines.native_pool import find_pools
from convatlas.engines.packed import Packed
from convatlas.engines.winograd_choice import WinogradLayers
from convatlas.train.response_norm import find_response_norms

_CODES = ("winograd", "product", "grouped", "depthwise", "pool", "steps")  # of convatlas.native


class Winograd:
    """Layers by oneDNN's operations and by code of this package, built at its first use."""

    name: ClassVar[str] = "winograd"
    extra: ClassVar[str] = ""
    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "bfloat16")
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    quick: ClassVar[bool] = True

    def missing(self, precision: Precision) -> str:
        """Say that there is no compiler, or no torch with oneDNN."""
        reason = no_compiler()
        if reason:
            return f"the engine winograd is built at its first use, and {reason}"
        return Packed().missing(precision)

    def versions(self) -> dict[str, str]:
        """Torch, the code and its compiler."""
        codes = {code: versions(code) for code in _CODES}
        kept = {f"{code} {key}": one for code in codes for key, one in codes[code].items()}
        return {"torch": torch.__version__, **kept}

    def prepare(self, order: Order) -> PreparedModule:
        """Rewrite the network's graph, and give each convolution to what computes it quickest.

        Raises:
            EngineError: The code can't be built, or the network has no graph.
        """
        with ThreadPoolExecutor() as pool:
            list(pool.map(library, _CODES))
        layers = WinogradLayers()
        module, facts = rewritten_in_pieces(order, layers, CACHE_BYTES // 2)  # calls cost less
        graph = cast("fx.GraphModule", module.module if isinstance(module, Pieces) else module)
        norms = find_response_norms(graph)
        for one in norms:
            one.norm.forward = one
        facts["response_norms"] = len(norms)
        dtype = dtype_of(order.precision)
        facts["pools"] = find_pools(graph, dtype, layers.arena)
        if dtype == torch.float32:
            facts["gates_and_norms"] = find_gates_and_norms(graph, layers.arena)
        facts["written_in_place"] = write_in_place(graph)
        images = order.example[: facts["images_at_a_time"]].to(dtype)
        facts["in_steps"] = run_in_steps(graph, channels_last(images))
        facts["convolutions"] = layers.choices[facts["images_at_a_time"]]
        facts["threads"] = torch.get_num_threads()
        return PreparedModule(module, dtype, facts)
