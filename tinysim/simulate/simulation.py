"""`Simulation`: a system built from processes, run in pieces, stopped and resumed."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

from tinysim.errors import InputError
from tinysim.simulate.core import Core, Job
from tinysim.simulate.io import Dma, Fifo, Transfer, sensor_process
from tinysim.simulate.npu import Npu
from tinysim.simulate.port import Master, Port
from tinysim.simulate.records import JobRecord, PortRecord, Span, Track
from tinysim.simulate.ticks import Env, Events, environment
from tinysim.simulate.timeline import Timeline
from tinysim.simulate.work import NpuWork, Work
from tinysim.simulate.workload import Sensor, System, Task, Traffic

__all__ = ["Simulation"]

#: Called now and then with the tick and the events so far; returning False stops the run.
Progress = Callable[[int, int], bool | None]

_INTERRUPT = 1 << 30  # above every task
_EVENTS_PER_REPORT = 1 << 14


class Simulation:
    """One run of a system. The same system and seed give the same ticks, always."""

    def __init__(self, system: System, *, seed: int = 0) -> None:
        soc = system.soc
        self.system, self.seed, self.events = system, seed, 0
        self.env = env = environment()
        self._spans: list[Span] = []
        self._jobs: list[JobRecord] = []
        self._unfinished: dict[str, Job] = {}
        self._moving: dict[str, tuple[str, int, int, int | None]] = {}
        self._pending: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._area = self._area_tick = 0
        self._tracks: list[Track] = []
        self._left = sum(task.releases or 0 for task in system.tasks)

        masters = self._masters()
        last_bank, first_bank = self._ports(len(masters))
        self.fifos = [Fifo(sensor, soc.clock_hz) for sensor in system.sensors]
        npu = None
        if soc.accelerator is not None:
            spec, memories = soc.accelerator, {memory.name: memory for memory in soc.memories}
            fetchers = {name: self._track(f"{spec.name} fetch {name}") for name in memories}
            ours = {name: masters[f"{spec.name} fetch {name}"] for name in memories}
            npu = Npu(
                env, spec, ours, self._track(spec.name), fetchers, last_bank, memories, every_burst=system.every_burst
            )
        channels = [f"dma{k}" for k in range(soc.dma_channels)]
        self.dma = Dma(
            env, soc, [masters[name] for name in channels], [self._track(name) for name in channels], last_bank,
            every_burst=system.every_burst,
        )  # fmt: skip
        self.cores = [
            Core(
                env, soc, masters[f"core{k}"], self._track(f"core{k}"), first_bank, npu, every_burst=system.every_burst
            )
            for k in range(soc.cores)
        ]
        for task in system.tasks:
            env.process(self._releases(env, task))
        for traffic in system.traffic:
            env.process(self._blocks(env, traffic))
        tasks = {task.name: task for task in system.tasks}
        for fifo in self.fifos:
            fed = tasks.get(fifo.sensor.feeds or "")
            env.process(sensor_process(env, fifo, self._service(fifo.sensor), self._feed(fed)))

    # ------------------------------------------------------------ parts

    def _masters(self) -> dict[str, Master]:
        soc = self.system.soc
        kinds = [("core", f"core{k}") for k in range(soc.cores)] + [("dma", f"dma{k}") for k in range(soc.dma_channels)]
        if soc.accelerator is not None:
            kinds += [("accelerator", f"{soc.accelerator.name} fetch {memory.name}") for memory in soc.memories]
        ranks: dict[str, int] = {kind: rank for rank, kind in enumerate(soc.priority)}
        return {name: Master(index, name, ranks[kind]) for index, (kind, name) in enumerate(kinds)}

    def _ports(self, masters: int) -> tuple[dict[str, Port], dict[str, Port]]:
        """Port of each memory: for DMA and accelerator (last bank), and for cores (first bank)."""
        soc, ports = self.system.soc, {}

        def port(name: str) -> Port:
            if name not in ports:
                ports[name] = Port(self.env, name, fixed=soc.arbiter == "fixed", masters=masters)
            return ports[name]

        last, first = {}, {}
        for memory in soc.memories:
            banks = [f"{memory.name}.{bank}" for bank in range(memory.banks)] if memory.banks > 1 else [memory.name]
            if soc.bus == "shared":
                banks = ["bus"]
            first[memory.name], last[memory.name] = port(banks[0]), port(banks[-1])
        self.ports = tuple(ports.values())
        return last, first

    def _track(self, name: str) -> Track:
        self._tracks.append(Track(name, self.system.soc.clock_hz, self._spans))
        return self._tracks[-1]

    # ------------------------------------------------------------ what happens

    def _releases(self, env: Env, task: Task) -> Events:
        """Release a task by the clock."""
        soc, dice, k = self.system.soc, random.Random(f"{self.seed} {task.name}"), 0
        while task.releases is None or k < task.releases:
            due = soc.ticks(task.offset_s + k * (task.period_s or 0.0) + task.jitter_s * dice.random())
            if due > env.now:
                yield env.timeout(due - env.now)
            self._release(task, last=task.releases is not None)
            k += 1

    def _release(self, task: Task, *, last: bool = False) -> None:
        soc, now = self.system.soc, self.env.now
        number = self._next(task.name)
        deadline = None if task.deadline_s is None else now + soc.ticks(task.deadline_s)

        def ended(job: Job) -> None:
            self._leave(task.name)
            del self._unfinished[job.label]
            self._jobs.append(JobRecord(task.name, number, job.release, job.start, job.end, deadline, False))
            self._left -= last

        if self._pending.get(task.name, 0) > task.backlog:
            self._jobs.append(JobRecord(task.name, number, now, None, None, deadline, True))
            self._left -= last
            return
        self._enter(task.name)
        back = Work("accelerator interrupt", soc.interrupt_cycles, kind="interrupt")
        works = tuple(part for work in task.works for part in ((work, back) if isinstance(work, NpuWork) else (work,)))
        job = Job(task.name, number, works, priority=task.priority, release=now, deadline=deadline, on_end=ended)
        self._unfinished[job.label] = job
        self.cores[task.core].add(job)

    def _blocks(self, env: Env, traffic: Traffic) -> Events:
        """Hand DMA a block now and then."""
        soc, k = self.system.soc, 0
        while True:
            due = soc.ticks(traffic.offset_s + k * (traffic.period_s or 0.0))
            if due > env.now:
                yield env.timeout(due - env.now)
            self._block(traffic)
            if traffic.period_s is None:
                return
            k += 1

    def _block(self, traffic: Traffic) -> None:
        now, number, name = self.env.now, self._next(traffic.name), traffic.name
        if self._pending.get(name, 0) > traffic.backlog:
            self._jobs.append(JobRecord(name, number, now, None, None, None, True))
            return
        label = f"{name}#{number}"
        self._enter(name)
        self._moving[label] = (name, number, now, None)

        def started() -> None:
            self._moving[label] = (name, number, now, self.env.now)

        def ended() -> None:
            self._leave(name)
            start = self._moving.pop(label)[3]
            self._jobs.append(JobRecord(name, number, now, start, self.env.now, None, False))

        self.dma.submit(Transfer(name, label, traffic.n_bytes, traffic.source, traffic.target, started, ended))

    def _service(self, sensor: Sensor) -> Callable[[Callable[[], None]], None]:
        """How a sensor is served: called with what to do at the end."""
        work = sensor.service(self.system.soc)

        def by_core(served: Callable[[], None]) -> None:
            job = Job(
                sensor.name, self._next(sensor.name), (work,), priority=_INTERRUPT, release=self.env.now,
                on_end=lambda _: served(),
            )  # fmt: skip
            self.cores[sensor.core].add(job)

        def by_dma(served: Callable[[], None]) -> None:
            label, size = f"{sensor.name}#{self._next(sensor.name)}", sensor.watermark * sensor.sample_bytes
            self.dma.submit(Transfer(sensor.name, label, size, None, sensor.target, lambda: None, served))

        return by_dma if sensor.by_dma else by_core

    def _feed(self, task: Task | None) -> Callable[[], None]:
        return (lambda: None) if task is None else (lambda: self._release(task))

    # ------------------------------------------------------------ counts

    def _next(self, name: str) -> int:
        self._numbers[name] = self._numbers.get(name, -1) + 1
        return self._numbers[name]

    def _enter(self, name: str) -> None:
        self._count()
        self._pending[name] = self._pending.get(name, 0) + 1

    def _leave(self, name: str) -> None:
        self._count()
        self._pending[name] -= 1

    def _count(self) -> None:
        """Integrate the jobs and blocks in the system over time."""
        self._area += sum(self._pending.values()) * (self.env.now - self._area_tick)
        self._area_tick = self.env.now

    # ------------------------------------------------------------ running

    def run(self, until_s: float | None = None, *, progress: Progress | None = None) -> Timeline:
        """Run to a time, or until the last job of the tasks that end; return what happened so far.

        May be called again: the run goes on where it was, also after `progress` returned False or Ctrl-C.

        Raises:
            InputError: a time before the present one, or no end.
            InfeasibleError: no end, because endless work leaves no time for the rest.
        """
        env, step, peek = self.env, self.env.step, self.env.peek
        if until_s is None:
            self.system.check_ends()
            horizon = float("inf")
        else:
            horizon = self.system.soc.ticks(until_s)
            if not env.now <= horizon < float("inf"):
                raise InputError(
                    f"until_s {until_s:g} lies before the present {env.now / self.system.soc.clock_hz:g} s"
                )
        try:
            while peek() < horizon and (until_s is not None or self._left):
                step()
                self.events += 1
                report = progress is not None and self.events % _EVENTS_PER_REPORT == 0
                if report and progress is not None and progress(env.now, self.events) is False:
                    return self.timeline()
        except KeyboardInterrupt:
            return self.timeline()
        if until_s is not None and env.now < horizon:
            env.run(until=int(horizon))
        return self.timeline()

    def timeline(self) -> Timeline:
        """What happened so far; what is under way is cut at the present tick."""
        now, soc = self.env.now, self.system.soc
        open_spans, ports = [], {port: [port.busy_cycles, port.n_bytes] for port in self.ports}
        for track in self._tracks:
            if track.open:
                span, booked = track.peek(now)
                if span.end > span.start:
                    open_spans.append(span)
                    for port, held, n_bytes in booked:
                        ports[port][0] += held
                        ports[port][1] += n_bytes
        self._count()
        waiting = [JobRecord(j.task, j.number, j.release, j.start, None, j.deadline, False) for j in
                   self._unfinished.values()]  # fmt: skip
        waiting += [JobRecord(name, k, at, start, None, None, False) for name, k, at, start in self._moving.values()]
        return Timeline(
            clock_hz=soc.clock_hz,
            cycles=now,
            spans=tuple(sorted([*self._spans, *open_spans], key=lambda span: (span.start, span.resource, span.end))),
            jobs=tuple(sorted([*self._jobs, *waiting], key=lambda job: (job.release, job.task, job.number))),
            ports=tuple(PortRecord(port.name, *used) for port, used in ports.items()),
            fifos=tuple(fifo.record(now) for fifo in self.fifos),
            mean_jobs=self._area / now if now else 0.0,
            events=self.events,
            priced=soc.run_w is not None,
        )

    # ------------------------------------------------------------ stop and resume in another process

    def checkpoint(self) -> dict[str, Any]:
        """Where the run is, as plain data: seed, events, and a digest of everything that happened."""
        return {"seed": self.seed, "events": self.events, "tick": self.env.now, "digest": self._digest()}

    @classmethod
    def resumed(cls, system: System, checkpoint: dict[str, Any]) -> Simulation:
        """A run at a checkpoint: replayed, which gives the same ticks, and held against the digest.

        Raises:
            InputError: the checkpoint is of another system, or lacks a field.
        """
        missing = [name for name in ("seed", "events", "tick", "digest") if name not in checkpoint]
        if missing:
            raise InputError(f"checkpoint lacks {', '.join(missing)}")
        run = cls(system, seed=checkpoint["seed"])
        while run.events < checkpoint["events"] and run.env.peek() <= checkpoint["tick"]:
            run.env.step()
            run.events += 1
        if run.env.now < checkpoint["tick"]:
            run.env.run(until=checkpoint["tick"])
        if run._digest() != checkpoint["digest"]:
            raise InputError(f"checkpoint at tick {checkpoint['tick']} is not of this system: its replay differs")
        return run

    def _digest(self) -> str:
        text = repr((self.env.now, self._spans, self._jobs, [(p.name, p.busy_cycles, p.n_bytes) for p in self.ports]))
        return hashlib.sha256(text.encode()).hexdigest()
