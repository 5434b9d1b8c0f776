"""A core under a scheduler: the most urgent ready job runs; others wait, and so does the core when there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

import simpy

from tinysim.simulate.layout import Layout
from tinysim.simulate.ledger import Entry
from tinysim.simulate.npu import Npu
from tinysim.simulate.port import Master, Port
from tinysim.simulate.records import Track
from tinysim.simulate.soc import SocSpec
from tinysim.simulate.stream import Pause, Stream, run_stream
from tinysim.simulate.ticks import RESCHEDULE, Env, Events, fire
from tinysim.simulate.work import NpuWork, Work

__all__ = ["INTERRUPT", "Core", "Job", "Step", "core_process"]

#: Priority of interrupts, above every task.
INTERRUPT = 1 << 30


class Step(NamedTuple):
    """A stretch of a job on a core."""

    name: str
    kind: str
    layout: Layout
    power_w: float | None = None
    """power of the core meanwhile; that of a running core if None"""


class Job:
    """One release of a task, or an interrupt."""

    __slots__ = ("entry", "label", "on_end", "place", "position", "prepare", "priority", "steps", "stream")

    def __init__(
        self, label: str, steps: tuple[Step | NpuWork, ...], priority: int, on_end: Callable[[], object],
        entry: Entry | None = None, prepare: Callable[[], tuple[Step | NpuWork, ...]] | None = None,
    ) -> None:  # fmt: skip
        """`prepare` makes the steps when the job starts, where they depend on that time."""
        self.prepare = prepare
        self.label, self.steps, self.priority, self.on_end, self.entry = label, steps, priority, on_end, entry
        self.position = 0
        self.stream: Stream | None = None
        self.place: int | None = None


class Core:
    """Ready jobs of one core, and the one that runs."""

    def __init__(
        self, env: Env, soc: SocSpec, master: Master, track: Track, ports: dict[str, Port],
        npu: Npu | None, *, every_burst: bool,
    ) -> None:  # fmt: skip
        self.env, self.soc, self.master, self.track, self.ports = env, soc, master, track, ports
        self.npu, self.every_burst = npu, every_burst
        self.watts = soc.run_w or 0.0
        self.ready: list[tuple[int, int, Job]] = []
        self.running: Job | None = None
        self.last: Job | None = None
        self.resting = False
        self.pause = Pause()
        self._places = count()
        self._check_due = False
        self.process = env.process(core_process(env, self))

    def add(self, job: Job, *, interrupted: bool = False) -> None:
        """Make a job ready. Who runs is settled at the end of the tick, when all releases are in.

        A cooperative task that was `interrupted` inside a layer goes on before any other task.
        """
        if job.place is None:
            job.place = next(self._places)
        keeps = interrupted and self.soc.scheduler == "cooperative"
        heappush(self.ready, (-(INTERRUPT - 1 if keeps else job.priority), job.place, job))
        if not self._check_due:
            self._check_due = True
            event = self.env.event()
            event.callbacks.append(self._check)
            fire(self.env, event, RESCHEDULE)

    def _check(self, _: simpy.Event) -> None:
        self._check_due = False
        if self.resting:
            self.process.interrupt()
        elif self.overtaken() and (self.soc.scheduler == "preemptive" or self.ready[0][2].priority == INTERRUPT):
            if self.pause.open:
                self.process.interrupt()
            else:
                self.pause.asked = True

    def overtaken(self) -> bool:
        """Whether a ready job is more urgent than the one that runs."""
        return self.running is not None and bool(self.ready) and -self.ready[0][0] > self.running.priority

    def steps(self, works: Sequence[Work | NpuWork]) -> tuple[Step | NpuWork, ...]:
        """Works laid out on this core's ports; a command stream is followed by its interrupt."""
        back = Work("accelerator interrupt", self.soc.interrupt_cycles, kind="interrupt")
        found: list[Step | NpuWork] = []
        for work in works:
            if isinstance(work, NpuWork):
                found.append(work)
            own = back if isinstance(work, NpuWork) else work
            uses = [(self.ports[use.memory], use.cycles, use.n_bytes) for use in own.uses]
            layout = Layout(own.cycles, uses, burst_bytes=self.soc.core_burst_bytes)
            found.append(Step(own.name, own.kind, layout, own.power_w))
        return tuple(found)


def core_process(env: Env, core: Core) -> Events:
    """Run the most urgent ready job until it ends, is overtaken or goes to the accelerator; rest if there is none."""
    while True:
        if core.ready:
            job = heappop(core.ready)[2]
            core.running, core.pause = job, Pause()
            if job.priority != INTERRUPT:  # an interrupt borrows the stack of whoever runs
                if core.soc.switch_cycles and core.last is not None and core.last is not job:
                    core.track.begin(env.now, "switch", "switch", job=job.label, watts=core.watts)
                    yield env.timeout(core.soc.switch_cycles)
                    core.track.end(env.now)
                core.last = job
            yield from _execute(env, core, job)
            core.running = None
        else:
            yield from _rest(env, core)


def _execute(env: Env, core: Core, job: Job) -> Events:
    if job.entry is not None and job.entry.start is None:
        job.entry.start = env.now
    if job.prepare is not None:
        job.steps, job.prepare = job.prepare(), None
    while job.position < len(job.steps):
        step = job.steps[job.position]
        if isinstance(step, NpuWork):
            job.position += 1
            assert core.npu is not None, "a system checks that its accelerator exists"
            core.npu.submit(job, step, core)
            return
        if job.stream is None:
            job.stream = Stream(core.master, step.layout)
        watts = core.watts if step.power_w is None else step.power_w
        core.track.begin(env.now, step.name, step.kind, job=job.label, stream=job.stream, watts=watts)
        ended = yield from run_stream(env, job.stream, core.pause, every_burst=core.every_burst)
        core.track.end(env.now)
        if ended:
            job.position, job.stream = job.position + 1, None
        if not ended or (job.position < len(job.steps) and core.soc.scheduler == "cooperative" and core.overtaken()):
            core.add(job, interrupted=not ended)
            return
    job.on_end()


def _rest(env: Env, core: Core) -> Events:
    """Wait for an interrupt; fall asleep after a while if there is a sleep state; wake up."""
    sleep, soc, track = core.soc.sleep, core.soc, core.track
    wait = 0 if sleep is None else soc.ticks(sleep.after_s)
    core.resting = True
    try:
        if sleep is None or wait:
            track.begin(env.now, "idle", "idle", watts=soc.idle_w)
            yield env.event() if sleep is None else env.timeout(wait)
            track.end(env.now)
        assert sleep is not None, "without a sleep state only an interrupt ends the wait"
        track.begin(env.now, sleep.name, "sleep", watts=sleep.power_w)
        yield env.event()
    except simpy.Interrupt:
        pass
    core.resting = False
    asleep = track.kind == "sleep" and env.now > track.start
    track.end(env.now)
    if asleep and sleep is not None and sleep.wake_s:
        track.begin(env.now, "wake up", "wake", watts=core.watts)
        yield env.timeout(soc.ticks(sleep.wake_s))
        track.end(env.now)
