"""Weight buffering: which operators' weights are copied ahead into the fast memory, in which slices, and what it costs.

An operator's weights are copied while the operator before it computes, so each decision needs the one before: this is
a walk over the operators, the only part of the model that is not a formula over columns.

Source: Vela 5.2, `scheduler.cpp`, ProposeOperatorBuffering to ProposeSlicedWeightBuffering, and
`network_performance.cpp`, EstimateFullOpPerformance. Not modelled: cascades of stripes (networks whose feature maps
exceed the fast memory) and buffering that the compiler forgoes for the sake of a later operator's input.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.ethos.blocks import SPLIT_DEPTH, Blocks
from tinysim.cost.accelerator.ethos.cycles import op_cycles
from tinysim.cost.accelerator.ethos.hardware import EthosHardware, SystemConfig
from tinysim.cost.accelerator.ethos.ops import NpuOps, round_up
from tinysim.cost.accelerator.ethos.traffic import Access, channel_bandwidth, element_access, transfer_cycles

__all__ = ["Buffering", "buffer_weights"]

Array = npt.NDArray[Any]

#: A visible wait of this many cycles is taken as noise by the compiler.
_STARTUP_CYCLES = 1000


@dataclass(frozen=True, eq=False)
class Buffering:
    """How the weights of each operator reach the NPU."""

    first_bytes: Array
    """size of the first buffer, 0 if the weights are read where they lie"""
    second_bytes: Array
    """size of the second buffer of a double-buffered operator, else 0"""
    ahead: Array
    """whether the first slice is copied during the operator before"""
    first_slice_bytes: Array
    """bytes copied before the operator can start"""
    slack_cycles: Array
    """cycles under which the next operator's copy can hide"""
    transfer_cycles: Array
    """cycles of copying all weights, 0 if nothing is copied"""


@dataclass(frozen=True)
class _Slices:
    """Edges of the output-depth slices and what they cost."""

    edges: list[int]
    sizes: list[float]
    run_cycles: float
    visible_cycles: float
    last_cycles: float


class _Scheduler:
    """The facts that every decision reads; one instance per call, never changed."""

    def __init__(self, ops: NpuOps, blocks: Blocks, hardware: EthosHardware, system: SystemConfig):
        self.ops, self.blocks, self.hardware, self.system = ops, blocks, hardware, system
        self.cycles = op_cycles(ops, blocks, hardware, system)
        self.staged_cycles = op_cycles(ops, blocks, hardware, system, staged_weights=True)
        self.access: Access = element_access(ops, blocks)
        self.size = ops.weight_bytes + ops.scale_bytes
        self.weights = channel_bandwidth(system.constants, hardware, "weight")
        self.staged = channel_bandwidth(system.staging, hardware, "weight")

    def copy(self, size: float) -> float:
        return float(transfer_cycles(size, self.system.constants, self.system.staging, self.hardware))

    def seen(self, size: float, *, staged: bool) -> float:
        port = self.system.staging if staged else self.system.constants
        return float(np.floor(size / (self.staged if staged else self.weights)) + port.read_latency)

    def slice_cycles(self, i: int, depths: list[int], *, tail: bool) -> Array:
        """Cycles of slices of these depths, the first one of the operator and (if `tail`) the last one among them."""
        if len(depths) == 1 and tail:
            return self.staged_cycles[[i]]
        rows = np.full(len(depths), i)
        ops = replace(self.ops.take(rows), ofm_c=np.array(depths))
        blocks = Blocks(*(column[rows] for column in self.blocks))
        order = np.arange(len(depths))
        first, last = order == 0, (order == len(depths) - 1) & tail
        return op_cycles(ops, blocks, self.hardware, self.system, staged_weights=True, first=first, last=last)

    def run(self, i: int, edges: list[int], slack: float, *, double: bool) -> _Slices:
        """Cycles of an operator cut at `edges`, waiting for each slice's weights as far as the one before leaves it."""
        depths = [b - a for a, b in pairwise(edges)]
        sizes = self.slice_bytes(i, edges)
        cycles = self.slice_cycles(i, depths, tail=True).astype(float)
        hidden = np.append(slack, cycles[:-1] if double else np.zeros(len(depths) - 1))
        visible = np.maximum([self.copy(size) for size in sizes] - hidden, 0)
        return _Slices(edges, sizes, float(cycles.sum()), float(visible.sum()), float(cycles[-1]))

    def slice_bytes(self, i: int, edges: list[int]) -> list[float]:
        """Encoded bytes of each slice, in proportion to its depth."""
        total, full = float(self.size[i]), int(self.ops.ofm_c[i])
        return [round_up(int(np.ceil(total * (b - a) / full)), 16) for a, b in pairwise(edges)]


def buffer_weights(ops: NpuOps, blocks: Blocks, hardware: EthosHardware, system: SystemConfig) -> Buffering:
    """Decide for each operator, in order, whether and how its weights are copied to the staging memory."""
    facts, n = _Scheduler(ops, blocks, hardware, system), len(ops)
    first, second, first_slice, copying = (np.zeros(n) for _ in range(4))
    ahead = np.zeros(n, dtype=bool)
    slack_cycles = facts.cycles.astype(float)
    result = Buffering(first, second, ahead, first_slice, slack_cycles, copying)
    if system.constants is system.staging:
        return result
    slack, slack_memory = 0.0, system.staging_bytes
    for i in range(n):
        memory = system.staging_bytes
        if ops.weight_elements[i] and not ops.chained[i]:
            chosen = _decide(facts, i, slack, slack_memory, memory)
            if chosen is not None:
                slices, double, ahead[i] = chosen
                first[i], second[i] = _part_sizes(slices.sizes, double=double)
                first_slice[i], slack_cycles[i] = slices.sizes[0], slices.last_cycles
                copying[i] = facts.copy(float(facts.size[i]))
                memory -= second[i] if double and len(slices.sizes) % 2 == 0 else first[i]
        slack, slack_memory = float(slack_cycles[i]), memory
    return result


def _part_sizes(sizes: list[float], *, double: bool) -> tuple[float, float]:
    """Sizes of the two buffers: the largest even and the largest odd slice."""
    return (max(sizes[0::2]), max(sizes[1::2])) if double else (sum(sizes), 0.0)


def _decide(
    facts: _Scheduler, i: int, slack: float, slack_memory: float, limit: float
) -> tuple[_Slices, bool, bool] | None:
    """Slices, double or single, and ahead or not; None to read the weights where they lie."""
    size, full = float(facts.size[i]), int(facts.ops.ofm_c[i])
    passes = int(facts.access.weight_passes[i])
    all_cycles = facts.copy(size)
    unmoved, buffered = facts.seen(size, staged=False) * passes, facts.seen(size, staged=True) * passes
    if buffered >= unmoved:
        return None
    block_depth = int(facts.blocks.ofm[i, 2])
    smallest = np.floor(all_cycles * min(full, SPLIT_DEPTH) / full)
    force = i == 0 and passes > 1 and (smallest < unmoved / 10 or smallest <= _STARTUP_CYCLES)
    op_run = float(facts.cycles[i])
    dominated = op_run > unmoved
    pays = force or buffered + max(all_cycles - slack, 0) < unmoved or full // block_depth > 2
    if not (pays or (i > 0 and smallest < slack and passes > 1)):
        return None

    edges = _slice_edges(facts, i, slack, limit, all_cycles, dominated=dominated)
    if edges is None:
        return None
    sizes = facts.slice_bytes(i, edges)
    double = len(sizes) > 1 and sum(_part_sizes(sizes, double=True)) <= limit
    parts = _part_sizes(sizes, double=double)
    if sum(parts) > limit:
        return None
    ahead = i > 0 and parts[0] < slack_memory
    usable = slack if ahead else (_STARTUP_CYCLES if force else 0.0)
    slices = facts.run(i, edges, usable, double=double)

    reads = float(facts.access.ifm[i] * facts.ops.ifm_bits[i] // 8)
    feature_maps = (
        facts.system.staging if facts.system.feature_maps is not facts.system.staging else facts.system.feature_maps
    )
    ifm = np.floor(reads / channel_bandwidth(feature_maps, facts.hardware, "ifm")) + feature_maps.read_latency
    weights_now = facts.seen(size, staged=True) * passes
    before = max(op_run, unmoved, ifm)
    after = max(slices.run_cycles + slices.visible_cycles, weights_now, ifm)
    if dominated:
        pieces = len(sizes)
        busiest = slices.run_cycles + slices.visible_cycles
        was_busiest = busiest == after
        if slices.visible_cycles // pieces < _STARTUP_CYCLES:
            after -= slices.visible_cycles
        if pieces > 1 and was_busiest and slices.visible_cycles == 0 and force:
            after -= pieces * _STARTUP_CYCLES / 2
    if before < after or (passes == 1 and all_cycles + weights_now > before):
        return None
    return slices, double, ahead


def _slice_edges(
    facts: _Scheduler, i: int, slack: float, limit: float, all_cycles: float, *, dominated: bool
) -> list[int] | None:
    """Edges of the depth slices: the first as deep as the slack hides, the others as deep as the first's run time."""
    size, full = float(facts.size[i]), int(facts.ops.ofm_c[i])
    block_depth, half = int(facts.blocks.ofm[i, 2]), limit / 2
    least, most = min(SPLIT_DEPTH / full, 1.0), min(half / size, 1.0)
    hidden = min(slack / all_cycles, 1.0)
    aligned = np.floor(hidden / least) * least
    ratio = 1.0 if 1.0 - aligned < least / 2 else hidden
    if dominated and 0.5 < ratio < 1.0:
        ratio = float(np.clip(round_up(full // 2, SPLIT_DEPTH) / full, 0.5, 1.0))
    ratio = min(max(ratio, least), most)
    if ratio >= 1.0:
        return [0, full]
    first = max(int(full * ratio) // SPLIT_DEPTH * SPLIT_DEPTH, SPLIT_DEPTH)
    if first >= full:
        return [0, full]
    run = float(facts.slice_cycles(i, [first], tail=False)[0])
    step = round_up(max(int(full * run / all_cycles), SPLIT_DEPTH), block_depth)
    if step / full * size > half:
        step = int(half / size * full)
    while True:
        unit = block_depth if step > block_depth else SPLIT_DEPTH
        step = max(step // unit * unit, SPLIT_DEPTH)
        edges = [0, *range(first, full, step), full]
        largest = max(b - a for a, b in pairwise(edges)) / full * size
        if largest <= half or (first == SPLIT_DEPTH and step == SPLIT_DEPTH):
            break
        if step > first:
            step = round_up(step // 2, SPLIT_DEPTH)
        else:
            first = round_up(first // 2, SPLIT_DEPTH)
    if len(edges) > 3 and step / round_up(step, block_depth) < 0.3 and dominated:
        return None
    return edges
