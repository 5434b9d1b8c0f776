"""An accelerator: it works through command streams, fetching one tile while another computes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tinysim.simulate.layout import Layout
from tinysim.simulate.port import Master, Port
from tinysim.simulate.records import Track
from tinysim.simulate.soc import AcceleratorSpec, MemorySpec
from tinysim.simulate.stream import Course, Stream
from tinysim.simulate.ticks import After, Env
from tinysim.simulate.work import NpuLayer, NpuWork, Use

if TYPE_CHECKING:
    from tinysim.simulate.core import Core, Job

__all__ = ["Npu"]


class _Fetcher:
    """Moves one memory's part of each tile of a layer as buffers come free."""

    __slots__ = ("busy", "free", "full", "npu", "tile", "use")

    def __init__(self, npu: Npu, use: Use) -> None:
        self.npu, self.use = npu, use
        self.free, self.full, self.tile, self.busy = npu.spec.buffers, 0, 0, False

    def start(self, layer: NpuLayer, job: str) -> bool:
        """Begin the next tile if one is left and a buffer is free; say whether it was there at once."""
        npu, use, tiles = self.npu, self.use, layer.tiles
        if self.busy or self.tile >= tiles or not self.free:
            return False
        cycles, n_bytes = _share(use.cycles, self.tile, tiles), _share(use.n_bytes, self.tile, tiles)
        self.free, self.tile = self.free - 1, self.tile + 1
        if not cycles:
            self.full += 1
            return True
        layout = Layout(cycles, [(npu.ports[use.memory], cycles, n_bytes)], burst_bytes=npu.spec.burst_bytes)
        stream = Stream(npu.masters[use.memory], layout)
        price = npu.memories[use.memory].read_byte_j if layer.power_w is None else 0.0
        track, self.busy = npu.fetchers[use.memory], True
        track.begin(npu.env.tick, layer.name, "fetch", job=job, stream=stream, joules=n_bytes * price)
        Course(npu.env, self._ended, every_burst=npu.every_burst).begin(stream)
        return False

    def _ended(self) -> None:
        self.npu.fetchers[self.use.memory].end(self.npu.env.tick)
        self.busy, self.full = False, self.full + 1
        self.npu.move_on()


class Npu:
    """The accelerator's queue of command streams, its array and a fetcher for each memory."""

    def __init__(
        self, env: Env, spec: AcceleratorSpec, masters: dict[str, Master], array: Track,
        fetchers: dict[str, Track], ports: dict[str, Port], memories: dict[str, MemorySpec], *, every_burst: bool,
    ) -> None:  # fmt: skip
        self.env, self.spec, self.masters, self.array, self.fetchers = env, spec, masters, array, fetchers
        self.ports, self.memories, self.every_burst = ports, memories, every_burst
        self.queue: deque[tuple[Job, NpuWork, Core]] = deque()
        self._job: Job | None = None
        self._layers: deque[NpuLayer] = deque()
        self._fetch: list[_Fetcher] = []
        self._tile, self._computing = 0, False

    def submit(self, job: Job, work: NpuWork, core: Core) -> None:
        """Start a command stream for a job; its core gets the job back at the end."""
        self.queue.append((job, work, core))
        if self._job is None:
            self.move_on()

    def move_on(self) -> None:
        """Start whatever can start, until all of it takes time.

        Streams run in order; a layer starts when the one before has ended, as it reads its output.
        """
        while self._job is not None or self._next():
            job = self._job
            assert job is not None, "a stream has its job"
            if not self._layers:
                core = self.queue.popleft()[2]
                self._job = None
                core.add(job)
                continue
            layer, found = self._layers[0], False
            for fetcher in self._fetch:
                while fetcher.start(layer, job.label):
                    found = True
            ready = layer.streamed or all(f.full for f in self._fetch)
            if ready and not self._computing and self._tile < layer.tiles:
                found = True
                self._compute(layer, job.label)
            elif self._tile == layer.tiles and not self._computing and all(f.full >= 0 for f in self._fetch):
                self._layers.popleft()
                self._begin()
            elif not found:
                return

    def _next(self) -> bool:
        if not self.queue:
            return False
        self._job, work, _ = self.queue[0]
        self._layers = deque(work.layers)
        self._begin()
        return True

    def _begin(self) -> None:
        """Set up the first of the layers that are left."""
        self._tile = 0
        self._fetch = [_Fetcher(self, use) for use in self._layers[0].moves] if self._layers else []

    def _compute(self, layer: NpuLayer, job: str) -> None:
        for fetcher in self._fetch:
            fetcher.full -= 1
        self._computing = True
        cycles = _share(layer.compute_cycles, self._tile, layer.tiles)
        if cycles:
            watts = self.spec.power_w if layer.power_w is None else layer.power_w
            self.array.begin(self.env.tick, layer.name, "tile", job=job, watts=watts)
            After(self.env, cycles, self._computed)
        else:
            self._release()

    def _computed(self, _: object) -> None:
        self.array.end(self.env.tick)
        self._release()
        self.move_on()

    def _release(self) -> None:
        """The tile is done: its buffers are free."""
        self._computing, self._tile = False, self._tile + 1
        for fetcher in self._fetch:
            fetcher.free += 1


def _share(total: int, part: int, parts: int) -> int:
    """Even whole shares whose sum is the total."""
    return (part + 1) * total // parts - part * total // parts
