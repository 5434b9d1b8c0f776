"""tinysim: what a neural network costs on a microcontroller.

Names are loaded when first used, so ``import tinysim`` is quick.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinysim.calibrate.board import Calibrated as Calibrated
    from tinysim.calibrate.board import calibrate as calibrate
    from tinysim.deploy.deployment import Deployment as Deployment
    from tinysim.deploy.deployment import deploy as deploy
    from tinysim.deploy.fit import fit_memory as fit_memory
    from tinysim.device.library import list_devices as list_devices
    from tinysim.device.library import list_runtimes as list_runtimes
    from tinysim.device.library import load_device as load_device
    from tinysim.device.spec import Device as Device
    from tinysim.estimate.comparison import Comparison as Comparison
    from tinysim.estimate.comparison import compare as compare
    from tinysim.estimate.counts import instruction_counts as instruction_counts
    from tinysim.estimate.engine import estimate as estimate
    from tinysim.estimate.result import Estimate as Estimate
    from tinysim.estimate.training import TrainingEstimate as TrainingEstimate
    from tinysim.estimate.training import estimate_training as estimate_training
    from tinysim.explore.cost_model import CostModel as CostModel
    from tinysim.explore.sweep import sweep as sweep
    from tinysim.network.graph import Network as Network
    from tinysim.network.load import list_networks as list_networks
    from tinysim.network.load import load_network as load_network
    from tinysim.network.table import LayerTable as LayerTable
    from tinysim.scenario.harvest import harvest_run as harvest_run
    from tinysim.scenario.life import battery_life as battery_life
    from tinysim.simulate.engine import simulate as simulate
    from tinysim.simulate.timeline import Timeline as Timeline

__version__ = "0.1.0"

_HOMES = {
    "Calibrated": "tinysim.calibrate.board",
    "Comparison": "tinysim.estimate.comparison",
    "CostModel": "tinysim.explore.cost_model",
    "Deployment": "tinysim.deploy.deployment",
    "Device": "tinysim.device.spec",
    "Estimate": "tinysim.estimate.result",
    "LayerTable": "tinysim.network.table",
    "Network": "tinysim.network.graph",
    "Timeline": "tinysim.simulate.timeline",
    "TrainingEstimate": "tinysim.estimate.training",
    "battery_life": "tinysim.scenario.life",
    "calibrate": "tinysim.calibrate.board",
    "compare": "tinysim.estimate.comparison",
    "deploy": "tinysim.deploy.deployment",
    "estimate": "tinysim.estimate.engine",
    "estimate_training": "tinysim.estimate.training",
    "fit_memory": "tinysim.deploy.fit",
    "harvest_run": "tinysim.scenario.harvest",
    "instruction_counts": "tinysim.estimate.counts",
    "list_devices": "tinysim.device.library",
    "list_networks": "tinysim.network.load",
    "list_runtimes": "tinysim.device.library",
    "load_device": "tinysim.device.library",
    "load_network": "tinysim.network.load",
    "simulate": "tinysim.simulate.engine",
    "sweep": "tinysim.explore.sweep",
}

__all__ = ["__version__", *sorted(_HOMES)]


class _Package(ModuleType):
    """Importing the folder `tinysim.estimate` must not hide the function `tinysim.estimate`."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tinysim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
