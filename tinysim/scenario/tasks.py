"""A network as a chain of tasks for a node that loses power: time, energy, and the state each task leaves behind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import InputError, MissingFigure
from tinysim.estimate.result import Estimate
from tinysim.network.graph import Network
from tinysim.scenario.parts import Nvm, VectorEngine, load_part

__all__ = ["Granularity", "Task", "Workload", "from_engine", "from_estimate", "live_bytes", "split"]

Granularity = Literal["layer", "tile", "loop"]


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work that is done or not done."""

    name: str
    time_s: float
    energy_j: float
    new_bytes: float
    """State that it adds: what a checkpoint after it must write."""
    live_bytes: float
    """State that the tasks after it need: what a restart from there must read."""
    iterations: int = 1
    """Loop iterations, for policies that commit each of them."""


@dataclass(frozen=True)
class Workload:
    """The tasks of one inference on a platform."""

    name: str
    tasks: tuple[Task, ...]
    boot_time_s: float = 0.0
    boot_energy_j: float = 0.0

    def __post_init__(self) -> None:
        if not self.tasks or any(task.time_s <= 0.0 or task.energy_j < 0.0 for task in self.tasks):
            raise InputError(f"workload {self.name}: needs tasks, each with a time above 0 and no negative energy")

    @property
    def time_s(self) -> float:
        """Time of one inference on steady power."""
        return math.fsum(task.time_s for task in self.tasks)

    @property
    def energy_j(self) -> float:
        """Energy of one inference on steady power."""
        return math.fsum(task.energy_j for task in self.tasks)


def live_bytes(network: Network) -> NDArray[np.float64]:
    """Bytes of activations that are still needed after each operator: made before, read later (or an output)."""
    last = {t: n for n, op in enumerate(network.ops) for t in op.inputs if t >= 0}
    last |= dict.fromkeys(network.outputs, len(network.ops))
    made = dict.fromkeys(network.inputs, -1) | {t: n for n, op in enumerate(network.ops) for t in op.outputs if t >= 0}
    live = np.zeros(len(network.ops))
    for tensor, begin in made.items():
        live[max(begin, 0) : last.get(tensor, begin)] += network.tensors[tensor].n_bytes
    return live


def from_estimate(result: Estimate, *, boot_time_s: float = 0.0, boot_energy_j: float = 0.0) -> Workload:
    """A task per operator that runs; what the runtime spends once per inference goes to the first.

    Raises:
        MissingFigure: the board's currents are unknown.
    """
    if result.energy_j is None:
        raise MissingFigure(f"energy of {result.network} on {result.device} is unknown: {'; '.join(result.gaps)}")
    network, live = result.deployment.network, live_bytes(result.deployment.network)
    once_s = result.inference_overhead_cycles / result.clock_hz
    once_j = result.energy_j - math.fsum(layer.energy_j or 0.0 for layer in result.layers)
    tasks: list[Task] = []
    for layer, op in zip(result.layers, network.ops, strict=True):
        if layer.latency_s <= 0.0:
            continue
        made = sum(network.tensors[t].n_bytes for t in op.outputs if t >= 0)
        tasks.append(
            Task(
                layer.name,
                layer.latency_s + (0.0 if tasks else once_s),
                (layer.energy_j or 0.0) + (0.0 if tasks else max(once_j, 0.0)),
                float(made),
                float(live[layer.index]),
                max(int(sum(network.tensors[t].elements for t in op.outputs if t >= 0)), 1),
            )
        )
    name = f"{result.network} on {result.device}"
    return Workload(name, tuple(tasks), boot_time_s, boot_energy_j)


def split(workload: Workload, tiles: int) -> Workload:
    """Each task in equal tiles; a tile adds its share of the output, while input and earlier tiles stay live."""
    if tiles < 1:
        raise InputError(f"split: {tiles} tiles; at least 1 is needed")
    out, entering = [], 0.0
    for task in workload.tasks:
        parts = min(tiles, task.iterations)
        for n in range(parts):
            last = n == parts - 1
            out.append(
                Task(
                    task.name if parts == 1 else f"{task.name} tile {n + 1}/{parts}",
                    task.time_s / parts,
                    task.energy_j / parts,
                    task.new_bytes / parts,
                    task.live_bytes if last else entering + task.new_bytes * (n + 1) / parts,
                    max(task.iterations // parts, 1),
                )
            )
        entering = task.live_bytes
    return Workload(workload.name, tuple(out), workload.boot_time_s, workload.boot_energy_j)


def from_engine(network: Network, engine: VectorEngine) -> Workload:
    """A network on a vector multiply-accumulate unit whose operands come from non-volatile memory by DMA.

    A layer with P output pixels, F filters and vectors of K elements runs as P F ceil(K / K_max) vector calls. Tiles of
    p pixels and f filters share the working memory, so the DMA moves ceil(P/p) ceil(F/f) (p + f) K operands in, in two
    transfers a tile, and P F results out; p and f are chosen to move least. Layers without multiplications move their
    input and output once. Results are in non-volatile memory as soon as they are made, so a checkpoint adds an index.
    Source: prices by `VectorEngine` (iNAS micro-benchmarks); the output-stationary tiling is this model's own.
    """
    nvm, table = load_part(engine.nvm, Nvm), network.table()
    size, clock = engine.element_bytes, engine.clock.si
    room = engine.working_memory.si / size
    tasks: list[Task] = []
    for n, op in enumerate(network.ops):
        outputs, macs, kind = float(table.out_elements[n]), float(table.macs[n]), table.kind_names[n]
        if kind in {"reshape", "squeeze"}:
            continue
        calls, moved, transfers = 0.0, float(table.in_elements[n]), 1.0
        if macs:
            filters, depth = float(table.out_c[n]), macs / outputs
            fitting = min(depth, (room - 1.0) / 2.0)
            calls = outputs * math.ceil(depth / fitting)
            tiling = _depthwise_tiling if kind == "depthwise_conv2d" else _tiling
            moved, transfers = tiling(outputs / filters, filters, depth, room)
        read_j, read_s = nvm.read(moved / transfers * size)
        write_j, write_s = nvm.write(outputs * size)
        cycles = calls * engine.call_cycles.si + macs * engine.mac_cycles.si
        energy = calls * engine.call_energy.si + macs * engine.mac_energy.si
        tasks.append(
            Task(
                op.name or f"{n}_{op.kind}",
                transfers * read_s + write_s + cycles / clock,
                transfers * read_j + write_j + energy,
                new_bytes=0.0,
                live_bytes=0.0,
                iterations=max(int(outputs), 1),
            )
        )
    name = f"{network.name} on {engine.name}"
    return Workload(name, tuple(tasks), engine.boot_time.si, engine.boot_energy.si)


def _depthwise_tiling(pixels: float, filters: float, depth: float, room: float) -> tuple[float, float]:
    """(operands moved in, transfers): each filter has its own input, so only the filter is shared by its pixels."""
    fit = max(math.floor((room - depth) / (depth + 1.0)), 1)
    tiles = filters * math.ceil(pixels / min(fit, pixels))
    return pixels * filters * depth + tiles * depth, 2.0 * tiles


def _tiling(pixels: float, filters: float, depth: float, room: float) -> tuple[float, float]:
    """(operands moved in, transfers) of the tiling that moves least."""
    fitting = min(depth, (room - 1.0) / 2.0)
    best = (math.inf, 0.0)
    for p in range(1, max(int(min(pixels, room / fitting)), 1) + 1):
        f = min(math.floor((room - p * fitting) / (fitting + p)), filters)
        if f < 1:
            break
        tiles = math.ceil(pixels / p) * math.ceil(filters / f) * math.ceil(depth / fitting)
        best = min(best, (tiles * (p + f) * fitting, 2.0 * tiles))
    return best
