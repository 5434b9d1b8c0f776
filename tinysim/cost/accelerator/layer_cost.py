"""Cost of layers on a described accelerator: compute, each memory's transfers, what bounds, energy per level.

Every formula broadcasts: leading axes of the `Machine` are configurations, the last axis is layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.machine import Machine, lanes, machine_of
from tinysim.cost.accelerator.spec import AXES, Accelerator
from tinysim.cost.accelerator.work import Work, engine_of, per_network, work_of

__all__ = ["LayerCost", "NetworkCost", "layer_cost", "network_cost", "sparse_steps", "spatial_cycles", "tiled_traffic"]

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


def sparse_steps(steps: npt.ArrayLike, *, density: npt.ArrayLike, lanes: npt.ArrayLike) -> Array:
    """Steps of lanes that skip zeros and wait for the slowest: the expected maximum of binomial counts.

    N = min(n, d n + sqrt(2 n d (1 - d) ln L))

    steps n [1]: steps with nothing skipped; density d [1]: share that is not zero; lanes L [1] with zeros of their own.
    Valid: zeros spread at random; an upper bound of the expectation. Source: P. Massart, "Concentration inequalities
    and model selection", Springer 2007, sec. 2.5 (maximum of L sub-Gaussian variables).

    >>> [float(x.round(1)) for x in sparse_steps([100.0, 100.0, 100.0], density=[0.5, 0.5, 1.0], lanes=[1, 16, 16])]
    [50.0, 61.8, 100.0]
    """
    n, d, waiting = (np.asarray(x, dtype=float) for x in (steps, density, lanes))
    return np.asarray(np.minimum(n, d * n + np.sqrt(2 * n * d * (1 - d) * np.log(np.maximum(waiting, 1)))))


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
              + blocks * block cycles + steps * step cycles
              + outputs * output cycles + inputs * input cycles + positions * position cycles
    cycles = setup + max(compute, transfers of memories that overlap) + transfers of the others

    Weights live in the first memory with room for all of the network's weights, activations in the first with room for
    what is alive while the layer runs. Between memory and array they pass through buffers in tiles; weights or inputs
    are kept, whichever is faster. columns: those of `work_of`.

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
    unroll = machine.unroll[..., taken, :]
    compute = _compute(machine, work, taken, unroll)

    unknown = np.isnan(work.encoded_bytes)
    weights = np.where(unknown, work.weight_bytes * machine.weight_ratio[..., None], work.encoded_bytes)
    homes = {
        "weights": _store(machine, "weights", per_network(weights, work.network)[..., work.network]),
        "activations": _store(machine, "activations", work.live_bytes),
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
    levels = _energy(machine, work, taken, unroll, homes, fetched, read, compute, op_cycles)
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


def _compute(machine: Machine, work: Work, engine: Array, unroll: Array) -> Array:
    """Cycles of the engine, [..., layer]."""
    spec, extents = machine.spec, work.extents
    serial = np.array([e.serial_weight_bits or 0 for e in spec.engines])[engine]
    passes = np.where(
        (serial > 0) & (work.weight_bytes > 0), np.ceil(work.columns["weight_bits"] / np.maximum(serial, 1)), 1.0
    )
    stride = np.ones((len(engine), len(AXES)))
    if any(e.discards_strided for e in spec.engines):
        drops = np.array([e.discards_strided for e in spec.engines])[engine]
        for axis, name in (("rows", "stride_h"), ("columns", "stride_w")):
            stride[:, AXES.index(axis)] = np.where(drops, work.columns[name], 1.0)
    density = _density(spec, work, engine)
    cycles = _steps(spec, extents, np.ceil(unroll / stride), engine, density)
    for number, part in enumerate(spec.engines):
        for other in part.also:
            way = _steps(spec, extents, np.ceil(np.array(lanes(other)) / stride), engine, density)
            cycles = np.where(engine == number, np.minimum(cycles, way), cycles)
    cycles = passes * cycles / _at(machine.utilization, engine)
    positions = extents[:, [AXES.index("rows"), AXES.index("columns")]].prod(axis=-1)
    outputs = positions * extents[:, AXES.index("out_c")]
    cycles = cycles + outputs * _at(machine.output_cycles, engine) + positions * _at(machine.position_cycles, engine)
    cycles = cycles + work.in_elements * _at(machine.input_cycles, engine)
    if all(e.block is None for e in spec.engines):
        return np.asarray(cycles)
    whole = [lanes(e.block) if e.block is not None else [np.inf] * len(AXES) for e in spec.engines]
    along = np.ceil(extents / np.ceil(np.array(whole)[engine] / stride))
    blocks = along[:, [AXES.index(axis) for axis in ("out_c", "rows", "columns")]].prod(axis=-1)
    return np.asarray(
        cycles + blocks * _at(machine.block_cycles, engine) + along.prod(axis=-1) * _at(machine.step_cycles, engine)
    )


def _density(spec: Accelerator, work: Work, engine: Array) -> dict[str, Array]:
    """Share of each operand that is not skipped."""
    zeros = {"weights": work.columns["weight_sparsity"], "activations": work.columns["activation_sparsity"]}
    weighted = work.weight_bytes > 0
    return {
        what: np.where(weighted & np.array([what in e.skips for e in spec.engines])[engine], 1 - share, 1.0)
        for what, share in zeros.items()
    }


def _steps(spec: Accelerator, extents: Array, unroll: Array, engine: Array, density: dict[str, Array]) -> Array:
    """Steps of the array; where zeros are skipped, lanes with zeros of their own wait for the slowest."""
    if not any(e.skips for e in spec.engines):
        return spatial_cycles(extents, unroll)
    along = np.ceil(extents / unroll)
    inner = [AXES.index(axis) for axis in ("in_c", "taps")]
    outer = [AXES.index(axis) for axis in ("out_c", "rows", "columns")]
    # Lanes of other pixels see other activations; lanes of other channels the same ones, but other weights.
    steps = sparse_steps(
        along[..., inner].prod(axis=-1), density=density["activations"], lanes=unroll[..., outer[1:]].prod(axis=-1)
    )
    steps = sparse_steps(steps, density=density["weights"], lanes=unroll[..., outer[0]])
    return np.asarray(along[..., outer].prod(axis=-1) * steps)


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
    compute: Array,
    op_cycles: Array,
) -> dict[str, Array]:
    """Energy by level; `mac` is the engines', by their work and by the time that they compute.

    The multipliers of a kernel window switch together, used or not. The array reads each weight once per group of
    unrolled pixels and each input once per group of unrolled output channels from its buffer; stores are read and
    written as the tiles pass.
    """
    bits = work.columns["weight_bits"] / 8, work.columns["activation_bits"] / 8
    kept = np.prod(list(_density(machine.spec, work, engine).values()), axis=0)
    macs = work.macs * kept
    channels, rows, wide = (unroll[..., AXES.index(axis)] for axis in ("out_c", "rows", "columns"))
    uses = {
        "weights": np.where(work.weight_bytes > 0, macs * bits[0] / (rows * wide), 0.0),
        "activations": macs * bits[1] / channels,
    }
    into = {"weights": fetched, "activations": read}
    taps = work.extents[:, AXES.index("taps")]
    window = unroll[..., AXES.index("taps")]
    switched = macs * np.ceil(taps / window) * window / np.maximum(taps, 1)
    busy = _at(machine.busy_power_w, engine) * compute / machine.clock_hz[..., None]
    levels = {"mac": switched * _at(machine.mac_energy_j, engine) + busy}
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
    per_cycle = machine.active_power_w / machine.clock_hz + machine.cycle_energy_j
    levels["active"] = per_cycle[..., None] * op_cycles
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
