"""A core under a scheduler: the most urgent ready job runs; others wait, and so does the core when there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

import simpy

from tinysim.simulate.layout import Layout
from tinysim.simulate.ledger import Entry
from tinysim.simulate.npu import Npu
from tinysim.simulate.port import Master, Port
from tinysim.simulate.records import Track
from tinysim.simulate.soc import SocSpec
from tinysim.simulate.stream import Course, Stream
from tinysim.simulate.ticks import RESCHEDULE, After, Env, Timer
from tinysim.simulate.work import NpuWork, Work

__all__ = ["INTERRUPT", "Core", "Job", "Step"]

#: Priority of interrupts, above every task.
INTERRUPT = 1 << 30


class Step(NamedTuple):
    """A stretch of a job on a core."""

    name: str
    kind: str
    layout: Layout
    power_w: float
    """power of the core meanwhile"""


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
        self.place = -1


class Core:
    """Ready jobs of one core, and the one that runs. Who runs is settled at the end of a tick, when all is in."""

    __slots__ = (
        "_between", "_check_due", "_course", "_places", "_preempts", "_settler", "_sleep_ticks", "_spare", "_timer",
        "env", "last", "master", "npu", "ports", "ready", "resting", "running", "soc", "track", "watts",
    )  # fmt: skip

    def __init__(
        self, env: Env, soc: SocSpec, master: Master, track: Track, ports: dict[str, Port],
        npu: Npu | None, *, every_burst: bool, alone: bool,
    ) -> None:  # fmt: skip
        """`alone`: there is no other master on the bus."""
        self.env, self.soc, self.master, self.track, self.ports = env, soc, master, track, ports
        self.npu = npu
        self.watts = soc.run_w or 0.0
        self.ready: list[tuple[int, int, Job]] = []
        self.running: Job | None = None
        self.last: Job | None = None
        self.resting = False
        self._preempts = soc.scheduler == "preemptive"
        self._course = Course(env, self._ended, every_burst=every_burst, alone=alone)
        self._between = False
        self._timer: After | None = None
        self._places = 0
        self._check_due = False
        self._settler = Timer(env, self._check, RESCHEDULE)
        self._spare: Stream | None = None
        """of the step before, to be used again"""
        self._sleep_ticks = 0 if soc.sleep is None else soc.ticks(soc.sleep.after_s)
        self._rest()

    def add(self, job: Job, *, interrupted: bool = False) -> None:
        """Make a job ready.

        A cooperative task that was `interrupted` inside a layer goes on before any other task.
        """
        if job.place < 0:
            job.place = self._places
            self._places += 1
        urgency = INTERRUPT - 1 if interrupted and not self._preempts else job.priority
        heappush(self.ready, (-urgency, job.place, job))
        if not self._check_due:
            self._settle()

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
            if layout.total:  # what takes no time leaves nothing behind
                found.append(Step(own.name, own.kind, layout, self.watts if own.power_w is None else own.power_w))
        return tuple(found)

    # ------------------------------------------------------------ who runs

    def _settle(self) -> None:
        self._check_due = True
        self._settler.start(0)

    def _check(self, _: simpy.Event) -> None:
        """The tick's releases and ends are in: start, go on, or stop."""
        self._check_due = False
        job = self.running
        if job is None:
            if not self.resting:
                if self._timer is None:  # neither waking up nor changing tasks
                    self._choose()
            elif self.ready:
                self._wake()
        elif self._between:
            self._between = False
            if self._overtaken(job):
                self._put_back(job, interrupted=False)
            else:
                self._proceed(job)
        elif self._overtaken(job) and (self._preempts or self.ready[0][2].priority == INTERRUPT):
            self._course.stop()

    def _overtaken(self, job: Job) -> bool:
        ready = self.ready
        return bool(ready) and -ready[0][0] > job.priority

    def _put_back(self, job: Job, *, interrupted: bool) -> None:
        self.running = None
        self.add(job, interrupted=interrupted)

    def _choose(self) -> None:
        """Run the most urgent ready job; rest if there is none."""
        if not self.ready:
            self._rest()
            return
        job = heappop(self.ready)[2]
        if job.priority != INTERRUPT:  # an interrupt borrows the stack of whoever runs
            changed = self.last is not None and self.last is not job
            self.last = job
            if changed and self.soc.switch_cycles:
                self.track.begin(self.env.tick, "switch", "switch", job=job.label, watts=self.watts)
                self._timer = After(self.env, self.soc.switch_cycles, lambda _: self._switched(job))
                return
        self._start(job)

    def _switched(self, job: Job) -> None:
        self.track.end(self.env.tick)
        self._timer = None
        self._start(job)
        if self.ready and not self._check_due:  # released meanwhile, perhaps more urgent
            self._settle()

    # ------------------------------------------------------------ a job

    def _start(self, job: Job) -> None:
        self.running = job
        if job.entry is not None and job.entry.start is None:
            job.entry.start = self.env.tick
        if job.prepare is not None:
            job.steps, job.prepare = job.prepare(), None
        self._proceed(job)

    def _proceed(self, job: Job) -> None:
        """Begin the next step that takes time; end the job if there is none."""
        while job.position < len(job.steps):
            step = job.steps[job.position]
            if isinstance(step, NpuWork):
                job.position += 1
                self.running = None
                assert self.npu is not None, "a system checks that its accelerator exists"
                self.npu.submit(job, step, self)
                break
            stream = job.stream
            if stream is None:
                spare, self._spare = self._spare, None
                stream = Stream(self.master, step.layout) if spare is None else spare.renew(step.layout)
                job.stream = stream
            self.track.begin(self.env.tick, step.name, step.kind, job.label, stream, step.power_w)
            self._course.begin(stream)
            return
        else:
            self.running = None
            job.on_end()
        if not self._check_due:
            self._settle()

    def _ended(self) -> None:
        """The step has ended, or was stopped."""
        self.track.end(self.env.tick)
        job = self.running
        assert job is not None, "only a running job has a course"
        stream = job.stream
        assert stream is not None, "a course follows the job's stream"
        if stream.done < stream.total:
            self._put_back(job, interrupted=True)
            return
        job.position, job.stream, self._spare = job.position + 1, None, stream
        if (not self._preempts or (self.ready and self._overtaken(job))) and job.position < len(job.steps):
            self._between = True  # who goes on is settled at the end of the tick
            if not self._check_due:
                self._settle()
        else:
            self._proceed(job)

    # ------------------------------------------------------------ none

    def _rest(self) -> None:
        """Wait for a job; fall asleep after a while if there is a sleep state."""
        sleep, now, wait = self.soc.sleep, self.env.tick, self._sleep_ticks
        self.resting = True
        if sleep is not None and not wait:
            self.track.begin(now, sleep.name, "sleep", watts=sleep.power_w)
            return
        self.track.begin(now, "idle", "idle", watts=self.soc.idle_w)
        if sleep is not None:
            self._timer = After(self.env, wait, self._fall_asleep)

    def _fall_asleep(self, event: After) -> None:
        if event is self._timer:
            self._timer, sleep, now = None, self.soc.sleep, self.env.tick
            assert sleep is not None, "only a sleep state sets this timer"
            self.track.end(now)
            self.track.begin(now, sleep.name, "sleep", watts=sleep.power_w)

    def _wake(self) -> None:
        sleep, track, now = self.soc.sleep, self.track, self.env.tick
        self.resting, self._timer = False, None
        asleep = track.kind == "sleep" and now > track.start
        track.end(now)
        if asleep and sleep is not None and sleep.wake_s:
            track.begin(now, "wake up", "wake", watts=self.watts)
            self._timer = After(self.env, self.soc.ticks(sleep.wake_s), self._awake)
        else:
            self._choose()

    def _awake(self, _: simpy.Event) -> None:
        self.track.end(self.env.tick)
        self._timer = None
        if not self._check_due:
            self._settle()
