"""Cost of layers on a described accelerator: compute, each memory's transfers, what bounds, energy per level.

Every formula broadcasts: leading axes of the `Machine` are configurations, the last axis is layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.machine import Machine, machine_of
from tinysim.cost.accelerator.spec import AXES, Accelerator
from tinysim.cost.accelerator.work import Work, engine_of, per_network, work_of

__all__ = ["LayerCost", "NetworkCost", "layer_cost", "network_cost", "spatial_cycles", "tiled_traffic"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class LayerCost:
    """Columns [..., layer]; cycles are those of the engines' clock."""

    engine: Array
    """index of the engine of each layer, -1 where none takes it"""
    compute_cycles: Array
    """cycles of the engine [cycle]"""
    memory_cycles: dict[str, Array]
    """access cycles by memory [cycle]"""
    memory_bytes: dict[str, Array]
    """bytes moved by memory [byte]"""
    weight_read_bytes: Array
    """weights fetched from their store [byte]"""
    input_read_bytes: Array
    """activations fetched from their store [byte]"""
    output_write_bytes: Array
    """activations written to their store [byte]"""
    setup_cycles: Array
    """configuration and start [cycle]"""
    op_cycles: Array
    """cycles from operator to operator [cycle]; not a number where no engine takes the layer"""
    energy_j: Array
    """energy [J]; not a number where a figure is unknown"""
    level_energy_j: dict[str, Array]
    """energy by level: `mac`, the memories' names, `active` [J]"""

    @property
    def bound(self) -> Array:
        """What each layer waits for: `compute` or the name of a memory."""
        parts = [self.compute_cycles, *np.broadcast_arrays(*self.memory_cycles.values())]
        names = np.array(["compute", *self.memory_cycles])
        return np.asarray(names[np.argmax(np.broadcast_arrays(*parts), axis=0)])


class NetworkCost(NamedTuple):
    """Sums [..., network]."""

    cycles: Array
    latency_s: Array
    energy_j: Array


def spatial_cycles(extents: Array, unroll: Array) -> Array:
    """Steps of an array that unrolls loop axes: the product of the passes over each axis.

    N = prod over axes of ceil(extent / unroll)

    extents, unroll [..., axis]. Valid: one step per cycle, axes unrolled independently.
    Source: V. Sze et al., "Efficient Processing of Deep Neural Networks", Morgan & Claypool 2020, sec. 5.6.

    >>> float(spatial_cycles(np.array([20.0, 16, 9, 5, 5]), np.array([16.0, 16, 1, 1, 1])))
    450.0
    """
    return np.asarray(np.ceil(extents / unroll).prod(axis=-1))


def tiled_traffic(
    weights: Array, inputs: Array, *, weight_buffer: Array, input_buffer: Array, keep: str
) -> tuple[Array, Array]:
    """Bytes of weights and inputs fetched into buffers that hold one tile and fetch the next.

    keep weights: (W, I * ceil(2 W / B_w)); keep inputs: (W * ceil(2 I / B_i), I)

    weights, inputs, buffers [byte]; a buffer of infinite size fetches everything once.
    Source: as `spatial_cycles`, sec. 5.5 (weight- and input-stationary tiling, double buffered).

    >>> [float(x) for x in tiled_traffic(1000.0, 400.0, weight_buffer=500.0, input_buffer=800.0, keep="weights")]
    [1000.0, 1600.0]
    """
    if keep == "weights":
        return weights, inputs * np.maximum(np.ceil(2 * weights / weight_buffer), 1)
    return weights * np.maximum(np.ceil(2 * inputs / input_buffer), 1), inputs


def _at(values: Array, index: Array) -> Array:
    """[..., E or M] gathered for each layer."""
    return np.asarray(values)[..., index]


def _store(machine: Machine, holds: str, need: Array) -> Array:
    """[..., layer] index of the first store of this kind that has room for `need`; the last one takes what is left."""
    stores = [i for i, m in enumerate(machine.spec.memories) if m.role == "store" and holds in m.holds]
    chosen = np.full(np.broadcast_shapes(machine.size_bytes.shape[:-1] + need.shape[-1:], need.shape), stores[-1])
    for i in reversed(stores[:-1]):
        chosen = np.where(need <= machine.size_bytes[..., i, None], i, chosen)
    return chosen


def _buffer(machine: Machine, holds: str) -> Array:
    """[..., 1] size of the buffer of this kind; shared ones are split in halves; none: infinite."""
    for i, memory in enumerate(machine.spec.memories):
        if memory.role == "buffer" and holds in memory.holds:
            return np.asarray(machine.size_bytes[..., i, None] / len(memory.holds))
    return np.array([np.inf])


def layer_cost(machine: Machine | Accelerator, *, kind: npt.ArrayLike, **columns: npt.ArrayLike) -> LayerCost:
    """Price layers on an accelerator.

    compute = passes * prod ceil(extent / unroll) / utilization
              + outputs * output cycles + inputs * input cycles + positions * position cycles
    cycles = setup + max(compute, transfers of memories that overlap) + transfers of the others

    Weights live in the first memory with room for all of the network's weights, activations in the first with room for
    the layer's inputs and output. Between memory and array they pass through buffers in tiles; weights or inputs are
    kept, whichever is faster. columns: those of `LayerTable`, and encoded_weight_bytes: each layer's
    weights as they are stored, where that is known.

    >>> from tinysim.cost.accelerator.spec import load_accelerator
    >>> cost = layer_cost(load_accelerator("ethos-u55-128"), kind=["conv2d"], in_h=8, in_w=8, in_c=16, out_h=8, out_w=8,
    ...                   out_c=32, kernel_h=3, kernel_w=3)
    >>> float(cost.compute_cycles[0]), str(cost.bound[0])
    (2304.0, 'flash')
    """
    if isinstance(machine, Accelerator):
        machine = machine_of(machine)
    return _price(machine, work_of(kind=kind, **columns))


def _price(machine: Machine, work: Work) -> LayerCost:
    spec = machine.spec
    work = work.without(spec.fused)
    engine, _ = engine_of(spec, work)
    taken = np.maximum(engine, 0)
    serial = np.array([e.serial_weight_bits or 0 for e in spec.engines])[taken]
    bits = work.columns["weight_bits"]
    passes = np.where((serial > 0) & (work.weight_bytes > 0), np.ceil(bits / np.maximum(serial, 1)), 1.0)
    unroll = machine.unroll[..., taken, :]
    positions = work.extents[:, [AXES.index("rows"), AXES.index("columns")]].prod(axis=-1)
    outputs = positions * work.extents[:, AXES.index("out_c")]
    compute = passes * spatial_cycles(work.extents, unroll) / _at(machine.utilization, taken)
    compute = compute + outputs * _at(machine.output_cycles, taken) + positions * _at(machine.position_cycles, taken)
    compute = compute + work.in_elements * _at(machine.input_cycles, taken)

    unknown = np.isnan(work.encoded_bytes)
    weights = np.where(unknown, work.weight_bytes * machine.weight_ratio[..., None], work.encoded_bytes)
    homes = {
        "weights": _store(machine, "weights", per_network(weights, work.network)[..., work.network]),
        "activations": _store(machine, "activations", work.in_bytes + work.out_bytes),
    }
    buffers = {"weight_buffer": _buffer(machine, "weights"), "input_buffer": _buffer(machine, "activations")}
    setup = _at(machine.setup_cycles, taken)
    setup = np.where(work.macs > 0, setup, 0.0)

    options = []
    for keep in ("weights", "inputs"):
        fetched, read = tiled_traffic(weights, work.in_bytes, keep=keep, **buffers)
        moved = _by_memory(machine, homes, fetched, read + work.out_bytes)
        cycles = {
            name: size / machine.bytes_per_cycle[..., i, None]
            + np.where(size > 0, machine.latency_cycles[..., i, None], 0)
            for i, (name, size) in enumerate(moved.items())
        }
        busy = compute
        for memory, waiting in zip(spec.memories, cycles.values(), strict=True):
            busy = np.maximum(busy, waiting) if memory.overlaps else busy
        for memory, waiting in zip(spec.memories, cycles.values(), strict=True):
            busy = busy if memory.overlaps else busy + waiting
        options.append((busy, cycles, moved, fetched, read))
    kept, other = options
    first = kept[0] <= other[0]

    def best(a: Array, b: Array) -> Array:
        return np.where(first, a, b)

    moved = {name: best(kept[2][name], other[2][name]) for name in kept[2]}
    op_cycles = np.where(engine < 0, np.nan, best(kept[0], other[0]) + setup)
    fetched, read = best(kept[3], other[3]), best(kept[4], other[4])
    levels = _energy(machine, work, taken, unroll, homes, fetched, read, op_cycles)
    return LayerCost(
        engine=engine,
        compute_cycles=compute,
        memory_cycles={name: best(kept[1][name], other[1][name]) for name in kept[1]},
        memory_bytes=moved,
        weight_read_bytes=fetched,
        input_read_bytes=read,
        output_write_bytes=work.out_bytes,
        setup_cycles=setup,
        op_cycles=op_cycles,
        energy_j=np.sum(np.broadcast_arrays(*levels.values()), axis=0),
        level_energy_j=levels,
    )


def _by_memory(machine: Machine, homes: dict[str, Array], weights: Array, activations: Array) -> dict[str, Array]:
    """Bytes moved at the ports of each memory."""
    return {
        memory.name: np.where(homes["weights"] == i, weights, 0.0)
        + np.where(homes["activations"] == i, activations, 0.0)
        for i, memory in enumerate(machine.spec.memories)
    }


def _energy(
    machine: Machine,
    work: Work,
    engine: Array,
    unroll: Array,
    homes: dict[str, Array],
    fetched: Array,
    read: Array,
    op_cycles: Array,
) -> dict[str, Array]:
    """Energy by level.

    The multipliers of a kernel window switch together, used or not. The array reads each weight once per group of
    unrolled pixels and each input once per group of unrolled output channels from its buffer; stores are read and
    written as the tiles pass.
    """
    bits = work.columns["weight_bits"] / 8, work.columns["activation_bits"] / 8
    channels, rows, wide = (unroll[..., AXES.index(axis)] for axis in ("out_c", "rows", "columns"))
    uses = {
        "weights": np.where(work.weight_bytes > 0, work.macs * bits[0] / (rows * wide), 0.0),
        "activations": work.macs * bits[1] / channels,
    }
    into = {"weights": fetched, "activations": read}
    taps = work.extents[:, AXES.index("taps")]
    window = unroll[..., AXES.index("taps")]
    switched = work.macs * np.ceil(taps / window) * window / np.maximum(taps, 1)
    levels = {"mac": switched * _at(machine.mac_energy_j, engine)}
    for i, memory in enumerate(machine.spec.memories):
        reading, writing = machine.read_energy_j[..., i, None], machine.write_energy_j[..., i, None]
        if memory.role == "buffer":
            levels[memory.name] = sum(
                (uses[what] * reading + into[what] * writing for what in memory.holds), np.zeros(1)
            )
        else:
            here = homes["activations"] == i
            out = np.where(here, work.out_bytes, 0.0)
            size = np.where(homes["weights"] == i, fetched, 0.0) + np.where(here, read, 0.0)
            levels[memory.name] = size * reading + out * writing
    levels["active"] = machine.active_power_w[..., None] * op_cycles / machine.clock_hz[..., None]
    return levels


def network_cost(
    machine: Machine | Accelerator, *, kind: npt.ArrayLike, chunk: int = 2048, **columns: npt.ArrayLike
) -> NetworkCost:
    """Cycles, latency and energy of whole networks, [configuration, network] in constant memory.

    latency = start + sum of operators; configurations are done `chunk` at a time.
    """
    if isinstance(machine, Accelerator):
        machine = machine_of(machine)
    work = work_of(kind=kind, **columns)
    if not machine.configurations:
        return _sums(machine, _price(machine, work), work)
    parts = [_sums(part, _price(part, work), work) for part in machine.chunks(chunk)]
    return NetworkCost(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _sums(machine: Machine, cost: LayerCost, work: Work) -> NetworkCost:
    cycles = per_network(cost.op_cycles, work.network)
    latency = machine.start_s[..., None] + cycles / machine.clock_hz[..., None]
    start_energy = machine.active_power_w[..., None] * machine.start_s[..., None]
    return NetworkCost(cycles, latency, per_network(cost.energy_j, work.network) + start_energy)
