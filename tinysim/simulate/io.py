"""Who moves data past the core: DMA channels, and sensors that fill FIFOs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fractions import Fraction

from tinysim.simulate.layout import Layout
from tinysim.simulate.ledger import Entry
from tinysim.simulate.port import Master, Port
from tinysim.simulate.records import FifoRecord, Track
from tinysim.simulate.soc import SocSpec
from tinysim.simulate.stream import Course, Stream
from tinysim.simulate.ticks import After, Env
from tinysim.simulate.workload import Sensor

__all__ = ["Channel", "Dma", "Fifo", "Transfer", "Watch"]


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
        self.free = deque(Channel(self, master, track) for master, track in zip(masters, tracks, strict=True))

    def submit(self, transfer: Transfer) -> None:
        """Queue a block."""
        self.queue.append(transfer)
        if self.free:
            self.free.popleft().take()

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


class Channel:
    """A DMA channel: moves blocks as they come."""

    __slots__ = ("course", "dma", "master", "track", "transfer")

    def __init__(self, dma: Dma, master: Master, track: Track) -> None:
        self.dma, self.master, self.track = dma, master, track
        self.course = Course(dma.env, self._ended, every_burst=dma.every_burst)
        self.transfer: Transfer

    def take(self) -> None:
        """Move the next block of the queue."""
        dma, env = self.dma, self.dma.env
        self.transfer = transfer = dma.queue.popleft()
        stream, joules = dma.stream(transfer, self.master)
        label = ""
        if transfer.entry is not None:
            transfer.entry.start, label = env.tick, transfer.entry.label
        self.track.begin(env.tick, transfer.name, "transfer", job=label, stream=stream, joules=joules)
        if stream.total:
            self.course.begin(stream)
        else:  # between two peripherals no memory is busy
            After(env, 0, self._ended)

    def _ended(self, _: object = None) -> None:
        self.track.end(self.dma.env.tick)
        self.transfer.on_end()
        if self.dma.queue:
            self.take()
        else:
            self.dma.free.append(self)


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


class Watch:
    """Asks for service of a FIFO at each watermark; releases a job for each full window."""

    __slots__ = ("env", "fifo", "release", "serve", "windows")

    def __init__(
        self, env: Env, fifo: Fifo, serve: Callable[[Callable[[int], None]], None], release: Callable[[], None] | None
    ) -> None:
        """`serve` is called with what to do with the number of samples taken out."""
        self.env, self.fifo, self.serve, self.release, self.windows = env, fifo, serve, release, 0
        self._wait()

    def _wait(self) -> None:
        fifo, now = self.fifo, self.env.tick
        fifo.update(now)
        After(self.env, fifo.ticks_to(fifo.sensor.watermark, now), self._ask)

    def _ask(self, _: object) -> None:
        self.serve(self._emptied)

    def _emptied(self, samples: int) -> None:
        self.fifo.take(samples, self.env.tick)
        full = self.fifo.taken // self.fifo.sensor.window
        while self.release is not None and self.windows < full:
            self.windows += 1
            self.release()
        self._wait()
