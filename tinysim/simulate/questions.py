"""Questions that closed forms cannot answer, each as one function over simulated runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinysim.deploy.deployment import Deployment
from tinysim.errors import InputError, nearest
from tinysim.simulate.engine import simulate, simulate_system
from tinysim.simulate.soc import SocSpec
from tinysim.simulate.workload import System, Traffic

__all__ = ["ContentionCost", "contention_cost", "deadline_miss_rates", "fifo_samples_without_loss", "second_bank_gain"]


@dataclass(frozen=True)
class ContentionCost:
    """What others on the bus cost an inference."""

    alone_cycles: int
    """without traffic: the closed form's cycles"""
    shared_cycles: int
    """with traffic"""
    dma_waited_cycles: int
    """what the traffic waited meanwhile"""

    @property
    def slowdown(self) -> float:
        """Shared over alone [1]."""
        return self.shared_cycles / self.alone_cycles


def deadline_miss_rates(system: System, until_s: float, *, seed: int = 0) -> dict[str, float]:
    """Share of jobs that miss their deadline, by task that has one, when tasks share cores.

    Raises:
        InputError: no task has a deadline.
    """
    due = [task.name for task in system.tasks if task.deadline_s is not None]
    if not due:
        raise InputError("no task has a deadline_s")
    timeline = simulate_system(system, until_s, seed=seed)
    return {name: timeline.miss_rate(name) for name in due if name in timeline.tasks}


def contention_cost(deployment: Deployment, traffic: Sequence[Traffic], **soc: Any) -> ContentionCost:
    """Cycles that DMA traffic adds to an inference. soc: parts that differ from the board's (`SocSpec.from_target`)."""
    parts = SocSpec.from_target(deployment.target, **soc)
    alone, shared = simulate(deployment, soc=parts), simulate(deployment, soc=parts, traffic=traffic)
    dma = [name for name in shared.resources if name.startswith("dma")]
    return ContentionCost(alone.cycles, shared.cycles, sum(shared.waited_cycles(name) for name in dma))


def second_bank_gain(
    deployment: Deployment, traffic: Sequence[Traffic], *, memory: str, banks: int = 2, **soc: Any
) -> tuple[ContentionCost, ContentionCost]:
    """Contention with one bank of a memory, and with several: the core's data in the first, DMA's in the last."""
    one = contention_cost(deployment, traffic, **soc | {"banks": {memory: 1}})
    return one, contention_cost(deployment, traffic, **soc | {"banks": {memory: banks}})


def fifo_samples_without_loss(system: System, sensor: str, until_s: float, *, seed: int = 0) -> int:
    """Smallest depth of a sensor's FIFO that loses nothing in a run: the peak level of one that never overflows.

    Raises:
        InputError: no such sensor.
    """
    names = [part.name for part in system.sensors]
    if sensor not in names:
        raise InputError(f"no sensor {sensor!r}; {nearest(sensor, names)}")
    endless = tuple(replace(part, fifo_samples=None) if part.name == sensor else part for part in system.sensors)
    timeline = simulate_system(replace(system, sensors=endless), until_s, seed=seed)
    return next(fifo.peak for fifo in timeline.fifos if fifo.sensor == sensor)
