"""Who moves data past the core: DMA channels, and sensors that fill FIFOs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import simpy

from tinysim.simulate.layout import Layout
from tinysim.simulate.ledger import Entry
from tinysim.simulate.port import Master, Port
from tinysim.simulate.records import FifoRecord, Track
from tinysim.simulate.soc import SocSpec
from tinysim.simulate.stream import Stream, run_stream
from tinysim.simulate.ticks import NORMAL, Env, Events, fire
from tinysim.simulate.workload import Sensor

__all__ = ["Dma", "Fifo", "Transfer", "channel_process", "sensor_process"]


class Transfer:
    """A block for DMA."""

    __slots__ = ("entry", "n_bytes", "name", "on_end", "source", "target")

    def __init__(
        self, name: str, n_bytes: int, source: str | None, target: str | None, on_end: Callable[[], object],
        entry: Entry | None = None,
    ) -> None:  # fmt: skip
        self.name, self.n_bytes, self.source, self.target = name, n_bytes, source, target
        self.on_end, self.entry = on_end, entry


class Dma:
    """Channels that share one queue of blocks; each reads a burst, then writes it."""

    def __init__(
        self, env: Env, soc: SocSpec, masters: list[Master], tracks: list[Track],
        ports: dict[str, Port], *, every_burst: bool,
    ) -> None:  # fmt: skip
        self.env, self.soc, self.ports, self.every_burst = env, soc, ports, every_burst
        self.queue: deque[Transfer] = deque()
        self.free: deque[simpy.Event] = deque()
        for master, track in zip(masters, tracks, strict=True):
            env.process(channel_process(env, self, master, track))

    def submit(self, transfer: Transfer) -> None:
        """Queue a block."""
        self.queue.append(transfer)
        if self.free:
            self.free.popleft().succeed()

    def stream(self, transfer: Transfer, master: Master) -> tuple[Stream, float]:
        """A block as a stream, and its energy [J]."""
        uses, joules, size = [], 0.0, transfer.n_bytes
        burst = self.soc.dma_burst_bytes
        for name, writes in ((transfer.source, False), (transfer.target, True)):
            if name is not None:
                memory = self.soc.memory(name)
                cycles = size // burst * memory.burst_cycles(burst) + memory.burst_cycles(size % burst)
                uses.append((self.ports[name], cycles, size))
                joules += size * (memory.write_byte_j if writes else memory.read_byte_j)
        total = sum(cycles for _, cycles, _ in uses)
        return Stream(master, Layout(total, uses, burst_bytes=burst)), joules


def channel_process(env: Env, dma: Dma, master: Master, track: Track) -> Events:
    """Move blocks as they come."""
    while True:
        while not dma.queue:
            event = env.event()
            dma.free.append(event)
            yield event
        transfer = dma.queue.popleft()
        stream, joules = dma.stream(transfer, master)
        label = ""
        if transfer.entry is not None:
            transfer.entry.start, label = env.now, transfer.entry.label
        track.begin(env.now, transfer.name, "transfer", job=label, stream=stream, joules=joules)
        yield from run_stream(env, stream, every_burst=dma.every_burst)
        track.end(env.now)
        transfer.on_end()


class Fifo:
    """A FIFO that fills at a steady rate: sample k arrives at tick ceil(k * clock / rate), without an event."""

    def __init__(self, sensor: Sensor, clock_hz: float) -> None:
        self.sensor = sensor
        self.period = Fraction(clock_hz) / Fraction(sensor.rate_hz)
        self.arrived = self.level = self.taken = self.lost = self.peak = 0

    def update(self, now: int) -> None:
        """Take in what arrived up to now; what finds the FIFO full is lost."""
        arrived = now * self.period.denominator // self.period.numerator
        self.level += arrived - self.arrived
        self.arrived = arrived
        depth = self.sensor.fifo_samples
        if depth is not None and self.level > depth:
            self.lost += self.level - depth
            self.level = depth
        self.peak = max(self.peak, self.level)

    def ticks_to(self, level: int, now: int) -> int:
        """Ticks until the level is reached if nothing is taken out."""
        sample = self.arrived + level - self.level
        return max(-(-sample * self.period.numerator // self.period.denominator) - now, 0)

    def take(self, samples: int, now: int) -> None:
        """Take samples out."""
        self.update(now)
        self.level -= samples
        self.taken += samples

    def record(self, now: int) -> FifoRecord:
        """Figures up to now."""
        self.update(now)
        return FifoRecord(self.sensor.name, self.arrived, self.taken, self.lost, self.peak)


def _emptied(env: Env, fifo: Fifo, served: simpy.Event, samples: int) -> None:
    fifo.take(samples, env.now)
    fire(env, served, NORMAL)


def sensor_process(
    env: Env, fifo: Fifo, serve: Callable[[Callable[[int], None]], None], release: Callable[[], None] | None
) -> Events:
    """Ask for service at each watermark; release a job for each full window."""
    sensor, windows = fifo.sensor, 0
    while True:
        fifo.update(env.now)
        wait = fifo.ticks_to(sensor.watermark, env.now)
        if wait:
            yield env.timeout(wait)
        served = env.event()
        serve(partial(_emptied, env, fifo, served))
        yield served
        while release is not None and fifo.taken // sensor.window > windows:
            windows += 1
            release()
