"""An accelerator: it works through command streams, fetching one tile while another computes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import simpy

from tinysim.simulate.layout import Layout
from tinysim.simulate.port import Master, Port
from tinysim.simulate.records import Track
from tinysim.simulate.soc import AcceleratorSpec, MemorySpec
from tinysim.simulate.stream import Stream, run_stream
from tinysim.simulate.ticks import Env, Events
from tinysim.simulate.work import NpuLayer, NpuWork, Use

if TYPE_CHECKING:
    from tinysim.simulate.core import Core, Job

__all__ = ["Npu", "npu_process"]


class _Tokens:
    """Counted tokens that one process gives and another takes."""

    __slots__ = ("count", "env", "waiting")

    def __init__(self, env: Env, count: int) -> None:
        self.env, self.count = env, count
        self.waiting: simpy.Event | None = None

    def give(self) -> None:
        self.count += 1
        if self.waiting is not None:
            self.waiting.succeed()
            self.waiting = None

    def take(self) -> Events:
        while not self.count:
            self.waiting = self.env.event()
            yield self.waiting
        self.count -= 1


class Npu:
    """The accelerator's queue of command streams, its array and a fetcher for each memory."""

    def __init__(
        self, env: Env, spec: AcceleratorSpec, masters: dict[str, Master], array: Track,
        fetchers: dict[str, Track], ports: dict[str, Port], memories: dict[str, MemorySpec], *, every_burst: bool,
    ) -> None:  # fmt: skip
        self.env, self.spec, self.masters, self.array, self.fetchers = env, spec, masters, array, fetchers
        self.ports, self.memories, self.every_burst = ports, memories, every_burst
        self.queue: deque[tuple[Job, NpuWork, Core]] = deque()
        self.submitted = _Tokens(env, 0)
        env.process(npu_process(env, self))

    def submit(self, job: Job, work: NpuWork, core: Core) -> None:
        """Start a command stream for a job; its core gets the job back at the end."""
        self.queue.append((job, work, core))
        self.submitted.give()


def npu_process(env: Env, npu: Npu) -> Events:
    """Run command streams in order; a layer starts when the one before has ended, as it reads its output."""
    while True:
        yield from npu.submitted.take()
        job, work, core = npu.queue.popleft()
        for layer in work.layers:
            yield from _layer(env, npu, layer, job.label)
        core.add(job)


def _layer(env: Env, npu: Npu, layer: NpuLayer, job: str) -> Events:
    tiles = max(layer.tiles, 1)
    filled = [_Tokens(env, 0) for _ in layer.moves]
    free = [_Tokens(env, npu.spec.buffers) for _ in layer.moves]
    for use, full, empty in zip(layer.moves, filled, free, strict=True):
        env.process(_fetch(env, npu, layer, use, tiles, full, empty, job))
    for tile in range(tiles):
        for full in filled:
            yield from full.take()
        cycles = _share(layer.compute_cycles, tile, tiles)
        if cycles:
            watts = npu.spec.power_w if layer.power_w is None else layer.power_w
            npu.array.begin(env.now, layer.name, "tile", job=job, watts=watts)
            yield env.timeout(cycles)
            npu.array.end(env.now)
        for empty in free:
            empty.give()


def _fetch(
    env: Env, npu: Npu, layer: NpuLayer, use: Use, tiles: int, full: _Tokens, empty: _Tokens, job: str
) -> Events:
    """Move one memory's part of each tile as buffers come free."""
    port, master, track = npu.ports[use.memory], npu.masters[use.memory], npu.fetchers[use.memory]
    price = npu.memories[use.memory].read_byte_j if layer.power_w is None else 0.0
    for tile in range(tiles):
        yield from empty.take()
        cycles, n_bytes = _share(use.cycles, tile, tiles), _share(use.n_bytes, tile, tiles)
        layout = Layout(cycles, [(port, cycles, n_bytes)], burst_bytes=npu.spec.burst_bytes)
        stream = Stream(master, layout)
        track.begin(env.now, layer.name, "transfer", job=job, stream=stream, joules=n_bytes * price)
        yield from run_stream(env, stream, every_burst=npu.every_burst)
        track.end(env.now)
        full.give()


def _share(total: int, part: int, parts: int) -> int:
    """Even whole shares whose sum is the total."""
    return (part + 1) * total // parts - part * total // parts
