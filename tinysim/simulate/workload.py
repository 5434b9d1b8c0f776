"""What happens on a system on chip: tasks with priorities and deadlines, DMA traffic, sensors with FIFOs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinysim.errors import InfeasibleError, InputError, SpecError, nearest
from tinysim.simulate.soc import SocSpec
from tinysim.simulate.work import NpuWork, Use, Work, inference_works

if TYPE_CHECKING:
    from tinysim.deploy.deployment import Deployment

__all__ = ["Sensor", "System", "Task", "Traffic"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """Jobs of one kind on one core.

    Released once at `offset_s`; every `period_s` if given (`count` times, or for ever if None); or only by a sensor
    that names the task (`count=0`).
    """

    name: str
    works: tuple[Work | NpuWork, ...]
    priority: int = 0
    """larger is more urgent"""
    period_s: float | None = None
    offset_s: float = 0.0
    deadline_s: float | None = None
    """from release to end; None for no deadline"""
    jitter_s: float = 0.0
    """each release is late by a uniform random time up to this"""
    count: int | None = None
    core: int = 0
    backlog: int = 1
    """jobs that may wait behind the one under way; a further one is dropped"""

    def __post_init__(self) -> None:
        _positive(self, "period_s", "deadline_s")
        _not_negative(self, "offset_s", "jitter_s", "backlog", "count")
        if self.period_s is not None and self.jitter_s > self.period_s:
            raise InputError(f"task {self.name}: jitter_s {self.jitter_s:g} exceeds period_s {self.period_s:g}")

    @classmethod
    def inference(cls, deployment: Deployment, *, clock_hz: float | None = None, **fields: Any) -> Task:
        """A task that runs one inference per job. fields: those of `Task`; `name` is the network's by default."""
        return cls(**{"name": deployment.network.name, "works": inference_works(deployment, clock_hz)} | fields)

    @property
    def releases(self) -> int | None:
        """Releases by the clock; None for no end."""
        return 1 if self.period_s is None and self.count is None else self.count

    @property
    def cycles(self) -> int:
        """Ticks of one job on its core without contention."""
        return sum(work.cycles for work in self.works if isinstance(work, Work))


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Blocks that DMA moves: once at `offset_s`, or every `period_s`."""

    name: str
    n_bytes: int
    source: str | None = None
    """memory read; None for a peripheral"""
    target: str | None = None
    """memory written; None for a peripheral"""
    period_s: float | None = None
    offset_s: float = 0.0
    backlog: int = 1
    """blocks that may wait behind the one under way; a further one is dropped"""

    def __post_init__(self) -> None:
        _positive(self, "n_bytes", "period_s")
        _not_negative(self, "offset_s", "backlog")


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """Samples into a FIFO. At the watermark it asks for service: a routine empties it, or DMA takes that many out."""

    name: str
    rate_hz: float
    """samples per second"""
    sample_bytes: int = 2
    fifo_samples: int | None = None
    """depth; None for one that never overflows"""
    watermark: int = 1
    """samples at which the FIFO asks for service"""
    target: str | None = None
    """memory that the samples go to; None if they stay in the core"""
    by_dma: bool = False
    """served by DMA instead of an interrupt routine"""
    cycles_per_sample: int = 4
    """ticks of the routine per sample"""
    core: int = 0
    priority: int | None = None
    """of the routine; None for an interrupt, which no task delays"""
    feeds: str | None = None
    """task released whenever `window` more samples were taken out"""
    window: int = 1

    def __post_init__(self) -> None:
        _positive(self, "rate_hz", "sample_bytes", "fifo_samples", "watermark", "window")
        _not_negative(self, "cycles_per_sample")
        if self.fifo_samples is not None and self.watermark > self.fifo_samples:
            raise InputError(
                f"sensor {self.name}: watermark {self.watermark} lies above fifo_samples {self.fifo_samples}; "
                "it would never ask for service"
            )

    def service(self, soc: SocSpec, samples: int) -> Work:
        """The routine that takes samples out: one store each."""
        copy = samples * self.cycles_per_sample
        uses = () if self.target is None else (Use(self.target, min(copy, samples), samples * self.sample_bytes),)
        return Work(f"{self.name} interrupt", soc.interrupt_cycles + copy, uses, kind="interrupt")


@dataclass(frozen=True, kw_only=True)
class System:
    """A system on chip and everything that happens on it."""

    soc: SocSpec
    tasks: tuple[Task, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    sensors: tuple[Sensor, ...] = ()
    every_burst: bool = False
    """simulate each burst with events, also without contention; same result, slower"""

    def __post_init__(self) -> None:
        soc, clients = self.soc, [(task.name, task.core) for task in self.tasks]
        clients += [(sensor.name, sensor.core) for sensor in self.sensors]
        names = [name for name, _ in clients] + [block.name for block in self.traffic]
        if len(set(names)) != len(names):
            raise SpecError(f"tasks, traffic and sensors need different names, got {', '.join(names)}")
        for name, core in clients:
            if not 0 <= core < soc.cores:
                raise SpecError(f"{name}: core {core} does not exist; accepted: 0 to {soc.cores - 1}")
        for name in self._memories():
            soc.memory(name)
        if (self.traffic or any(s.by_dma for s in self.sensors)) and not soc.dma_channels:
            raise SpecError("traffic needs DMA, but dma_channels is 0")
        if soc.accelerator is None and any(isinstance(w, NpuWork) for t in self.tasks for w in t.works):
            raise SpecError("a task uses an accelerator, but the system has none; give soc.accelerator")
        tasks = [task.name for task in self.tasks]
        for sensor in self.sensors:
            if sensor.feeds is not None and sensor.feeds not in tasks:
                raise SpecError(
                    f"sensor {sensor.name}: feeds unknown task {sensor.feeds!r}; {nearest(sensor.feeds, tasks)}"
                )

    def _memories(self) -> set[str]:
        uses = [u for t in self.tasks for w in t.works if isinstance(w, Work) for u in w.uses]
        uses += [u for t in self.tasks for w in t.works if isinstance(w, NpuWork) for la in w.layers for u in la.moves]
        ends = [m for t in self.traffic for m in (t.source, t.target)] + [s.target for s in self.sensors]
        return {use.memory for use in uses} | {name for name in ends if name is not None}

    def load(self, core: int) -> float:
        """Share of a core's time that periodic tasks and interrupts take without contention [1]."""
        soc, share = self.soc, 0.0
        for task in self.tasks:
            if task.core == core and task.period_s is not None and task.count is None:
                share += task.cycles / (task.period_s * soc.clock_hz)
        for sensor in self.sensors:
            if sensor.core == core and not sensor.by_dma:
                share += sensor.service(soc, sensor.watermark).cycles * sensor.rate_hz / sensor.watermark / soc.clock_hz
        return share

    def check_ends(self) -> None:
        """Check that a run without a time limit has an end.

        Raises:
            InputError: no task has a last job.
            InfeasibleError: endless work leaves no time for the tasks that end.
        """
        ending = [task for task in self.tasks if task.releases]
        if not ending:
            raise InputError("nothing here has an end: give until_s, or a task with a count")
        for task in ending:
            load = self.load(task.core)
            if load >= 1.0:
                raise InfeasibleError(
                    f"task {task.name} may never end: periodic work takes {load:.0%} of core {task.core}; give until_s"
                )


def _positive(part: Any, *names: str) -> None:
    for name in names:
        value = getattr(part, name)
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"{type(part).__name__.lower()} {part.name}: {name} must be positive, got {value!r}")


def _not_negative(part: Any, *names: str) -> None:
    for name in names:
        value = getattr(part, name)
        if value is not None and not 0 <= value < float("inf"):
            raise InputError(f"{type(part).__name__.lower()} {part.name}: {name} must be 0 or more, got {value!r}")
