"""torchvision and timm beside the torch of convatlas, in an environment of their own.

    python3.11 -m venv peers
    peers/bin/pip install -c constraints.txt -e '.[fast]' huggingface_hub
    peers/bin/pip install --no-deps torchvision timm

torchvision's compiled operators fit one version of torch alone. Networks of layers need none of
them, so where they do not load it is enough to declare their names.
"""

import importlib
import re
import sys
import warnings
from types import ModuleType
from typing import Any

import torch
from torch import nn

_MISSING = re.compile(r"operator torchvision::(\w+) does not exist")


def torchvision_models() -> ModuleType:
    """Import torchvision's networks."""
    operators = torch.library.Library("torchvision", "FRAGMENT")
    with warnings.catch_warnings(action="ignore"):
        while True:
            try:
                return importlib.import_module("torchvision.models")
            except RuntimeError as error:
                missing = _MISSING.search(str(error))
                if missing is None:
                    raise
                operators.define(f"{missing[1]}(Tensor x) -> Tensor")
                for name in [name for name in sys.modules if name.startswith("torchvision")]:
                    del sys.modules[name]


def torchvision_network(name: str) -> nn.Module:
    """Build a network of torchvision with fresh weights and without side classifiers."""
    sides = {"aux_logits": False, "init_weights": True}
    options: dict[str, Any] = sides if name in ("googlenet", "inception_v3") else {}
    return getattr(torchvision_models(), name)(weights=None, **options)


def timm_network(name: str) -> nn.Module:
    """Build a network of timm with fresh weights."""
    torchvision_models()  # timm imports torchvision, whose operators may have to be declared first
    with warnings.catch_warnings(action="ignore"):
        timm = importlib.import_module("timm")
        return timm.create_model(name, pretrained=False)
