"""`Simulation`: a system built from processes, run in pieces, stopped and resumed."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from tinysim.errors import InputError
from tinysim.simulate.core import INTERRUPT, Core, Job, Step
from tinysim.simulate.io import Dma, Fifo, Transfer, Watch
from tinysim.simulate.ledger import Ledger
from tinysim.simulate.npu import Npu
from tinysim.simulate.port import Master, Port
from tinysim.simulate.records import PortRecord, Track
from tinysim.simulate.ticks import Timer, environment
from tinysim.simulate.timeline import Timeline
from tinysim.simulate.work import NpuWork
from tinysim.simulate.workload import System, Task, Traffic

__all__ = ["Simulation"]

#: Called now and then with the tick and the events so far; returning False stops the run.
Progress = Callable[[int, int], bool | None]

_EVENTS_PER_REPORT = 1 << 14


class Simulation:
    """One run of a system. The same system and seed give the same ticks, always."""

    def __init__(self, system: System, *, seed: int = 0) -> None:
        soc = system.soc
        self.system, self.seed, self.events = system, seed, 0
        self.env = env = environment()
        self._rows: list[Any] = []
        self._tracks: list[Track] = []
        self.ledger = Ledger(env, sum(task.releases or 0 for task in system.tasks))

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
        moved = bool(system.traffic) or any(sensor.by_dma for sensor in system.sensors)
        self.cores = [
            Core(
                env, soc, masters[f"core{k}"], self._track(f"core{k}"), first_bank, npu,
                every_burst=system.every_burst, alone=soc.cores == 1 and npu is None and not moved,
            )
            for k in range(soc.cores)
        ]  # fmt: skip
        for task in system.tasks:
            self._releases(task)
        for traffic in system.traffic:
            self._blocks(traffic)
        tasks = {task.name: task for task in system.tasks}
        for fifo in self.fifos:
            feed = None if fifo.sensor.feeds is None else partial(self._releaser(tasks[fifo.sensor.feeds]), False)
            Watch(env, fifo, self._service(fifo), feed)

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
        self._tracks.append(Track(name, self.system.soc.clock_hz, self._rows))
        return self._tracks[-1]

    # ------------------------------------------------------------ what happens

    def _by_clock(self, act: Callable[[], None], due: Callable[[int], int], count: int | None) -> None:
        """Do something at the ticks `due(0)`, `due(1)`, ..."""
        env, k = self.env, 0

        def go(_: object) -> None:
            nonlocal k
            while True:
                act()
                k += 1
                if k == count:
                    return
                tick = due(k)
                if tick > env.tick:
                    timer.start(tick - env.tick)
                    return

        timer = Timer(env, go)
        if count != 0:
            timer.start(due(0))

    def _releases(self, task: Task) -> None:
        """Release a task by the clock."""
        soc, dice, last = self.system.soc, random.Random(f"{self.seed} {task.name}"), task.releases

        def due(k: int) -> int:
            late = task.jitter_s * dice.random() if task.jitter_s else 0.0
            return soc.ticks(task.offset_s + k * (task.period_s or 0.0) + late)

        self._by_clock(partial(self._releaser(task), last is not None), due, last)

    def _releaser(self, task: Task) -> Callable[[bool], None]:
        """What releases a task once; called with whether the run waits for that job."""
        soc, ledger, core = self.system.soc, self.ledger, self.cores[task.core]
        steps, priority = core.steps(task.works), task.priority
        deadline = None if task.deadline_s is None else soc.ticks(task.deadline_s)
        client = ledger.client(task.name, backlog=task.backlog, deadline=deadline)

        def release(ends: bool) -> None:
            entry = ledger.open(client, ends=ends)
            if entry is not None:
                core.add(Job(entry.label, steps, priority, partial(ledger.close, entry), entry))

        return release

    def _blocks(self, traffic: Traffic) -> None:
        """Hand DMA a block now and then."""
        soc, ledger, ends = self.system.soc, self.ledger, (traffic.source, traffic.target)
        client = ledger.client(traffic.name, backlog=traffic.backlog)

        def block() -> None:
            entry = ledger.open(client)
            if entry is not None:
                self.dma.submit(Transfer(traffic.name, traffic.n_bytes, *ends, partial(ledger.close, entry), entry))

        period_s = traffic.period_s
        if period_s is None:
            self._by_clock(block, lambda _: soc.ticks(traffic.offset_s), 1)
        else:
            self._by_clock(block, lambda k: soc.ticks(traffic.offset_s + k * period_s), None)

    def _service(self, fifo: Fifo) -> Callable[[Callable[[int], None]], None]:
        """How a sensor is served: called with what to do with the number of samples taken out."""
        sensor, core, soc = fifo.sensor, self.cores[fifo.sensor.core], self.system.soc
        priority = INTERRUPT if sensor.priority is None else sensor.priority

        def by_core(served: Callable[[int], None]) -> None:
            taken = 0

            def prepare() -> tuple[Step | NpuWork, ...]:
                nonlocal taken
                fifo.update(self.env.tick)
                taken = fifo.level
                return core.steps([sensor.service(soc, taken)])

            core.add(Job(sensor.name, (), priority, lambda: served(taken), prepare=prepare))

        def by_dma(served: Callable[[int], None]) -> None:
            size = sensor.watermark * sensor.sample_bytes
            self.dma.submit(Transfer(sensor.name, size, None, sensor.target, partial(served, sensor.watermark)))

        return by_dma if sensor.by_dma else by_core

    # ------------------------------------------------------------ running

    def run(self, until_s: float | None = None, *, progress: Progress | None = None) -> Timeline:
        """Run to a time, or until the last job of the tasks that end; return what happened so far.

        May be called again: the run goes on where it was, also after `progress` returned False.

        Raises:
            InputError: a time before the present one, or no end.
            InfeasibleError: no end, because endless work leaves no time for the rest.
        """
        env = self.env
        if until_s is None:
            self.system.check_ends()
            horizon = float("inf")
        else:
            horizon = self.system.soc.ticks(until_s)
            if not env.tick <= horizon < float("inf"):
                raise InputError(
                    f"until_s {until_s:g} lies before the present {env.tick / self.system.soc.clock_hz:g} s"
                )
        waits_for, going = self.ledger if until_s is None else None, True
        while going:
            done = env.run_events(_EVENTS_PER_REPORT, horizon, waits_for)
            self.events, going = self.events + done, done == _EVENTS_PER_REPORT
            if going and progress is not None and progress(env.tick, self.events) is False:
                return self.timeline()
        if until_s is not None and env.tick < horizon:
            env.run(until=int(horizon))
        return self.timeline()

    def timeline(self) -> Timeline:
        """What happened so far; what is under way is cut at the present tick."""
        now, soc = self.env.tick, self.system.soc
        fields, ports = self._rows.copy(), {port: [port.busy_cycles, port.n_bytes] for port in self.ports}
        for track in self._tracks:
            if track.open:
                row, booked = track.peek(now)
                if now > track.start:
                    fields += row
                    for port, held, n_bytes in booked:
                        ports[port][0] += held
                        ports[port][1] += n_bytes
        return Timeline(
            clock_hz=soc.clock_hz,
            cycles=now,
            span_fields=fields,
            job_fields=self.ledger.fields(),
            ports=tuple(PortRecord(port.name, *used) for port, used in ports.items()),
            fifos=tuple(fifo.record(now) for fifo in self.fifos),
            mean_jobs=self.ledger.mean(),
            events=self.events,
            priced=soc.run_w is not None,
        )

    # ------------------------------------------------------------ stop and resume in another process

    def checkpoint(self) -> dict[str, Any]:
        """Where the run is, as plain data: seed, events, and a digest of everything that happened."""
        return {"seed": self.seed, "events": self.events, "tick": self.env.tick, "digest": self._digest()}

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
        if run.env.tick < checkpoint["tick"]:
            run.env.run(until=checkpoint["tick"])
        if run._digest() != checkpoint["digest"]:
            raise InputError(f"checkpoint at tick {checkpoint['tick']} is not of this system: its replay differs")
        return run

    def _digest(self) -> str:
        text = repr(
            (self.env.tick, self._rows, self.ledger.rows, [(p.name, p.busy_cycles, p.n_bytes) for p in self.ports])
        )
        return hashlib.sha256(text.encode()).hexdigest()
