"""`simulate`: the discrete-event engine, `Deployment -> Timeline`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinysim.deploy.deployment import Deployment, deploy
from tinysim.errors import InputError
from tinysim.network.graph import Network
from tinysim.network.load import load_network
from tinysim.simulate.simulation import Progress, Simulation
from tinysim.simulate.soc import SocSpec
from tinysim.simulate.timeline import Timeline
from tinysim.simulate.workload import Sensor, System, Task, Traffic

if TYPE_CHECKING:
    from tinysim.deploy.target import Target
    from tinysim.device.spec import Device

__all__ = ["simulate", "simulate_system"]


def simulate(
    network: Network | Deployment | str | Path,
    device: str | Device | Target | None = None,
    runtime: str | None = None,
    *,
    soc: SocSpec | dict[str, Any] | None = None,
    traffic: Sequence[Traffic] = (),
    sensors: Sequence[Sensor] = (),
    every_burst: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> Timeline:
    """Simulate one inference, event by event. Without other masters it takes the cycles of `estimate`.

    Args:
        network: `Network`, path of a model file, name in the zoo, or a `Deployment` (then no device).
        device: name, path of a YAML file, `Device` or resolved `Target`.
        runtime: name of a runtime of the device; its first one if None.
        soc: parts of the system, or those that differ from the board's (see `SocSpec.from_target`).
        traffic: what DMA moves meanwhile.
        sensors: what else interrupts the core meanwhile.
        every_burst: an event for each burst also where nobody contends; same result, slower.
        seed: of everything random.
        progress: called now and then with tick and events; returning False stops.
        **options: clock_hz, code_in, weights_in, activations_in (see `resolve_target`).

    Raises:
        NetworkError, UnsupportedOperator, UnknownNetwork: the model cannot be read.
        UnknownDevice, UnknownRuntime, SpecError: the device or its parts cannot be resolved.
    """
    if isinstance(network, Deployment):
        if device is not None or runtime is not None or options:
            raise InputError("a deployment has its device and runtime; give none")
        deployment = network
    else:
        if device is None:
            raise InputError("simulate needs a device: a name, a YAML file, a Device or a Target")
        deployment = deploy(
            network if isinstance(network, Network) else load_network(network), device, runtime, **options
        )
    parts = (
        soc
        if isinstance(soc, SocSpec)
        else SocSpec.from_target(deployment.target, **(_own_parts(deployment) | (soc or {})))
    )
    task = Task.inference(deployment, clock_hz=parts.clock_hz)
    if task.name in [block.name for block in traffic] + [sensor.name for sensor in sensors]:
        task = replace(task, name=f"{task.name} inference")
    system = System(soc=parts, tasks=(task,), traffic=tuple(traffic), sensors=tuple(sensors), every_burst=every_burst)
    return simulate_system(system, seed=seed, progress=progress)


def _own_parts(deployment: Deployment) -> dict[str, Any]:
    """The accelerator that a deployment uses; powers are withheld where its energy is unknown."""
    if deployment.offload is None:
        return {}
    parts: dict[str, Any] = {"accelerator": {"name": deployment.offload.name}}
    energy = deployment.costs.energy_j
    if energy is None or np.isnan(energy).any():
        return parts | {"run_w": None}
    return parts if deployment.target.prices is not None else parts | {"run_w": 0.0}


def simulate_system(
    system: System, until_s: float | None = None, *, seed: int = 0, progress: Progress | None = None
) -> Timeline:
    """Simulate tasks, traffic and sensors until a time, or until the last job of the tasks that end.

    Raises:
        InputError: no end.
        InfeasibleError: no end, because endless work leaves no time for the rest.
    """
    return Simulation(system, seed=seed).run(until_s, progress=progress)
