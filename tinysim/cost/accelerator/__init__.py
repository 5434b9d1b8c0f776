"""Cost of neural-network accelerators: closed forms, vectorised over layers and over configurations.

`layer_cost` prices layers on any description of `device_specs/accelerators`; `ethos.estimate_vela` reproduces Vela's
estimate for Ethos-U; `systolic_cost` reproduces SCALE-Sim.
"""

from tinysim.cost.accelerator.layer_cost import LayerCost, NetworkCost, layer_cost, network_cost
from tinysim.cost.accelerator.machine import Machine, machine_of
from tinysim.cost.accelerator.spec import Accelerator, list_accelerators, load_accelerator
from tinysim.cost.accelerator.systolic import systolic_cost
from tinysim.cost.accelerator.work import columns_of, supported

__all__ = [
    "Accelerator",
    "LayerCost",
    "Machine",
    "NetworkCost",
    "columns_of",
    "layer_cost",
    "list_accelerators",
    "load_accelerator",
    "machine_of",
    "network_cost",
    "supported",
    "systolic_cost",
]
