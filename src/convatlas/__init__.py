"""convatlas: every landmark convolutional network, faithful to its paper.

>>> import convatlas as ca
>>> model = ca.create("lenet5_modern")
>>> print(ca.analyze(model))

The names below load what they need when first used: importing convatlas does not import torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from convatlas.analysis.claims import check_claims
    from convatlas.analysis.diff import diff
    from convatlas.analysis.report import analyze
    from convatlas.catalog import find, variants
    from convatlas.engines.optimize import optimize
    from convatlas.transfer.fcn import to_fcn
    from convatlas.transfer.features import features
    from convatlas.weights.convert import convert
    from convatlas.weights.creation import create
    from convatlas.weights.store import load, save

_HOMES = {
    "analyze": "convatlas.analysis.report",
    "check_claims": "convatlas.analysis.claims",
    "convert": "convatlas.weights.convert",
    "create": "convatlas.weights.creation",
    "diff": "convatlas.analysis.diff",
    "features": "convatlas.transfer.features",
    "find": "convatlas.catalog",
    "load": "convatlas.weights.store",
    "optimize": "convatlas.engines.optimize",
    "save": "convatlas.weights.store",
    "to_fcn": "convatlas.transfer.fcn",
    "variants": "convatlas.catalog",
}

__all__ = [
    "__version__",
    "analyze",
    "check_claims",
    "convert",
    "create",
    "diff",
    "features",
    "find",
    "load",
    "optimize",
    "save",
    "to_fcn",
    "variants",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in, at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'convatlas' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
