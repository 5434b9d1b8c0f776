"""What a master does, in ticks: cycles alone on the bus, and for how many of them it holds which memory's port.

From a deployment, a core holds a port for one cycle per access that no cache answers, plus the stall that the closed
form charges for it. All cycles of a layer together are those of the closed form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.accelerator.border import INTERRUPT_CYCLES
from tinysim.cost.traffic import data_beyond_cache, weights_beyond_cache
from tinysim.deploy.deployment import Deployment
from tinysim.errors import InputError

if TYPE_CHECKING:
    from tinysim.deploy.offload.plan import Offload

__all__ = ["NpuLayer", "NpuWork", "Use", "Work", "inference_works", "npu_layers"]


@dataclass(frozen=True, slots=True)
class Use:
    """Use of one memory's port."""

    memory: str
    cycles: int
    """ticks for which the port is held"""
    n_bytes: int
    """bytes moved"""


@dataclass(frozen=True, slots=True)
class Work:
    """A stretch of work of a core: a layer, an interrupt routine."""

    name: str
    cycles: int
    """ticks without contention"""
    uses: tuple[Use, ...] = ()
    kind: str = "layer"
    """kind of its spans"""
    power_w: float | None = None
    """mean power of the core meanwhile; that of a running core if None"""

    def __post_init__(self) -> None:
        held = sum(use.cycles for use in self.uses)
        if self.cycles < 0 or held > self.cycles or any(use.cycles < 0 or use.n_bytes < 0 for use in self.uses):
            raise InputError(
                f"work {self.name!r}: needs 0 <= cycles that ports are held <= cycles; got {held} of {self.cycles}"
            )


@dataclass(frozen=True, slots=True)
class NpuLayer:
    """An operator on an accelerator: what its cost model knows of it."""

    name: str
    compute_cycles: int
    """ticks of the array, tiles at hand"""
    moves: tuple[Use, ...] = ()
    """what the tiles move, by memory"""
    tiles: int = 1
    """tiles that the operator is cut into"""
    power_w: float | None = None
    """power while the array computes, transfers included; that of the accelerator if None"""
    streamed: bool = False
    """the array works while its data stream, and the operator ends with the last of both; needs one tile"""

    def __post_init__(self) -> None:
        if self.compute_cycles < 0 or self.tiles < 1 or (self.streamed and self.tiles > 1):
            raise InputError(
                f"accelerator layer {self.name!r}: needs compute_cycles >= 0 and tiles >= 1, one if streamed; "
                f"got {self.compute_cycles} and {self.tiles}"
            )

    @property
    def bound_cycles(self) -> int:
        """Ticks below which no schedule can fall: the busiest of the array and the memories."""
        return max([self.compute_cycles, *(use.cycles for use in self.moves)])


@dataclass(frozen=True, slots=True)
class NpuWork:
    """A command stream: the core starts it, leaves, and is interrupted at its end."""

    name: str
    layers: tuple[NpuLayer, ...]


def inference_works(deployment: Deployment, clock_hz: float | None = None) -> tuple[Work | NpuWork, ...]:
    """The layers of one inference on a core and on its accelerator, and what the runtime spends once.

    clock_hz: base clock that ticks count; the deployment's own if None.

    Raises:
        UnsupportedOperator: a kind that the kernel library cannot price.
    """
    target = deployment.target
    costs = deployment.costs
    c, traffic, counts, table = costs.cycles, costs.traffic, costs.counts, deployment.table
    layout = deployment.layout
    weights, activations = layout.weights_path(target), layout.activations_path(target)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight_loads = np.nan_to_num(counts.loads * traffic.weight_read_bytes / counts.load_bytes)
    missed_weights = weights_beyond_cache(table, traffic, cache_bytes=weights.cache_bytes)
    moved = traffic.sram_read_bytes + traffic.sram_write_bytes
    missed_data = np.add(*data_beyond_cache(table, traffic, cache_bytes=activations.cache_bytes))
    data_accesses = counts.loads - weight_loads + counts.stores
    fetches = counts.branches_taken if not np.any(target.code.cache_bytes) else np.zeros_like(moved)
    data = _reaching(data_accesses, moved, missed_data) + c.data_stall
    reads = _reaching(weight_loads, traffic.weight_read_bytes, missed_weights) + c.weight_stall
    held = [
        *((pool.memory.name, share * data, share * missed_data)
          for pool, share in zip(layout.pools, layout.activation_share, strict=True)),
        *((memory.name, share * reads, share * missed_weights)
          for memory, share in zip(layout.weight_memories, layout.weight_share, strict=True)),
        (layout.code.name, fetches + c.fetch_stall, fetches * target.code.line_bytes),
    ]  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):
        watts = [None] * len(table) if costs.energy is None else (costs.energy.total / costs.latency_s).tolist()
    by_row: dict[int, Work] = {
        i: Work(
            name,
            cycles,
            _fitting(cycles, [(memory, int(np.rint(h[i])), int(np.rint(b[i]))) for memory, h, b in held]),
            power_w=watts[i],
        )
        for i, (name, cycles) in enumerate(zip(deployment.names, c.total.astype(np.int64).tolist(), strict=True))
        if cycles
    }
    offload = deployment.offload
    works: list[Work | NpuWork] = list(by_row.values()) if offload is None else _with_runs(deployment, offload, by_row)
    once = deployment.once_cycles if offload is None else offload.core_once_cycles
    works += [Work("runtime", once)] if once else []
    if clock_hz is None or clock_hz == target.clock_hz:
        return tuple(works)
    return tuple(_at_clock(work, clock_hz / target.clock_hz) for work in works)


def _with_runs(deployment: Deployment, offload: Offload, by_row: dict[int, Work]) -> list[Work | NpuWork]:
    """Works of the core as they are; each run of rows on the accelerator as a driver's work and a command stream."""
    found: list[Work | NpuWork] = []
    handover = offload.handover_cycles.astype(np.int64).tolist()
    before = (_npu_start(deployment, offload),) if offload.engine.start_cycles else ()
    for i, chosen in enumerate(offload.chosen.tolist()):
        if offload.starts[i]:
            driver = handover[i] - INTERRUPT_CYCLES  # the interrupt follows the command stream
            found += [Work(f"start {offload.name}", driver, kind="driver")] if driver else []
            found.append(NpuWork(offload.name, before))
            before = ()
        if not chosen:
            found += [by_row[i]] if i in by_row else []
        elif i in by_row and by_row[i].cycles > handover[i]:
            layer, run = _npu_layer(deployment, offload, i, by_row[i].cycles - handover[i]), found[-1]
            assert isinstance(run, NpuWork), "a run begins with its command stream"
            found[-1] = replace(run, layers=(*run.layers, layer))
    return found


def _npu_start(deployment: Deployment, offload: Offload) -> NpuLayer:
    cycles = offload.engine.start_cycles
    watts = _npu_power(deployment, offload.engine.start_energy_j, cycles, cycles)
    return NpuLayer(f"{offload.name} start", cycles, power_w=watts)


def _npu_layer(deployment: Deployment, offload: Offload, row: int, ticks: int) -> NpuLayer:
    """A layer that takes exactly its closed-form ticks, transfers on the board's memories among them.

    Where the closed form is the longest of array and memories, all of them run at the same time; where it is longer
    than that, the transfers come first.
    """
    shared = {memory.name for memory in deployment.target.device.memories}
    engine = offload.engine
    held = {
        memory: min(round(float(cycles[row])), ticks)
        for memory, cycles in engine.port_cycles.items()
        if memory in shared and cycles[row] >= 1 and ticks > 1
    }
    array = int(min(max(engine.cycles.compute[row] + engine.cycles.overhead[row], 1), ticks))
    longest = max(held.values(), default=0)
    streamed = max(array, longest) == ticks or not held
    if not streamed:
        held = {memory: min(cycles, ticks - 1) for memory, cycles in held.items()}
        array = ticks - max(held.values())
    elif not held:
        array = ticks
    moves = tuple(Use(memory, cycles, round(float(engine.port_bytes[memory][row]))) for memory, cycles in held.items())
    watts = _npu_power(deployment, float(engine.energy_j[row]), ticks, array)
    return NpuLayer(deployment.names[row], array, moves, power_w=watts, streamed=streamed)


def _npu_power(deployment: Deployment, energy_j: float, ticks: int, compute: int) -> float:
    """Power of the array such that with the waiting core's the energy is that of the closed form; 0 if unknown."""
    prices, clock = deployment.target.prices, deployment.target.clock_hz
    idle_w = 0.0 if prices is None else float(np.max(prices.static_w))
    return 0.0 if math.isnan(energy_j) else (energy_j - idle_w * ticks / clock) * clock / compute


def npu_layers(
    names: Sequence[str],
    compute_cycles: NDArray[np.float64],
    memory_cycles: dict[str, NDArray[np.float64]],
    memory_bytes: dict[str, NDArray[np.float64]],
    *,
    tiles: NDArray[np.int64] | int = 8,
    ratio: float = 1.0,
) -> tuple[NpuLayer, ...]:
    """Operators of an accelerator from the columns of its cost model.

    names: n operators; compute_cycles, and by memory the cycles and bytes of its accesses, each of shape (n,).
    tiles: tiles of each operator. ratio: base clock over the accelerator's clock.
    """
    count = np.broadcast_to(tiles, (len(names),))
    return tuple(
        NpuLayer(
            name,
            math.ceil(float(compute_cycles[i]) * ratio),
            tuple(
                Use(memory, math.ceil(float(cycles[i]) * ratio), round(float(memory_bytes[memory][i])))
                for memory, cycles in memory_cycles.items()
                if cycles[i] > 0
            ),
            int(count[i]),
        )
        for i, name in enumerate(names)
    )


def _reaching(
    accesses: NDArray[np.float64], n_bytes: NDArray[np.float64], missed: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Accesses that go past the cache: in proportion to the bytes that miss it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[np.float64] = np.nan_to_num(accesses * missed / n_bytes)
    return found


def _fitting(cycles: int, held: list[tuple[str, int, int]]) -> tuple[Use, ...]:
    """Uses whose held cycles fit into the work.

    A core that issues two accesses a cycle holds two ports at once; here they are held in turn, within the layer.
    """
    left, uses = cycles, []
    for memory, port_cycles, n_bytes in held:
        if port_cycles or n_bytes:
            uses.append(Use(memory, min(port_cycles, left), n_bytes))
            left -= uses[-1].cycles
    return tuple(uses)


def _at_clock(work: Work | NpuWork, ratio: float) -> Work | NpuWork:
    """The same work in ticks of a clock `ratio` times as fast."""
    if isinstance(work, NpuWork):
        layers = [
            replace(la, compute_cycles=math.ceil(la.compute_cycles * ratio), moves=_uses_at(la.moves, ratio))
            for la in work.layers
        ]
        return replace(work, layers=tuple(layers))
    return replace(work, cycles=math.ceil(work.cycles * ratio), uses=_uses_at(work.uses, ratio))


def _uses_at(uses: tuple[Use, ...], ratio: float) -> tuple[Use, ...]:
    return tuple(replace(use, cycles=math.floor(use.cycles * ratio)) for use in uses)
