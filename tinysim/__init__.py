"""tinysim: what a neural network costs on a microcontroller.

Names are loaded when first used, so ``import tinysim`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinysim.network.graph import Network as Network
    from tinysim.network.table import LayerTable as LayerTable

__version__ = "0.1.0"

_HOMES = {
    "LayerTable": "tinysim.network.table",
    "Network": "tinysim.network.graph",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tinysim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
