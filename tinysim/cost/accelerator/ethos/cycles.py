"""Cycles of the NPU itself, per operator: MAC array, output unit and command issue, whichever is slowest.

Source: Vela 5.2, `ethos_u55_performance.cpp` and `ethos_u85_performance.cpp`, EstimateMacOpCycles,
EstimateMacCyclesPerBlock, EstimateElementwiseCycles and EstimateAOCyclesPerElement.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.ethos.blocks import Blocks
from tinysim.cost.accelerator.ethos.hardware import EthosHardware, MemoryPort, SystemConfig
from tinysim.cost.accelerator.ethos.ops import (
    CONVOLUTION,
    DEPTHWISE,
    ELEMENTWISE,
    POOLING,
    REDUCE_SUM,
    NpuOps,
    ceil_div,
    round_up,
)

__all__ = ["bursts", "op_cycles"]

Array = npt.NDArray[Any]

_SUBKERNEL = 8


def bursts(
    elements: Array,
    *,
    bits: Array,
    linear: Array,
    block: Array,
    channels: Array,
    reads: bool,
    port: MemoryPort,
    cores: int,
) -> Array:
    """Bytes that a transfer of `elements` occupies on the bus, given that short runs waste part of a burst.

    bytes = elements * bits / 8 * burst / min(burst, run)

    where run is the number of neighbouring bytes: a block's width and depth if the block spans all channels of a
    linear tensor, its depth if not (writes: at most 16 channels per core, 64 bytes), 16 channels times the block's
    width in the brick format.
    """
    _, width, depth = block[..., 0], block[..., 1], block[..., 2]
    spans = channels * bits // 8 == depth
    row = bits * width * depth
    brick = 16 * bits * width * (1 if reads else cores)
    if reads:
        plain = np.where(spans, row, bits * depth)
    else:
        plain = np.where((depth <= 16) & spans, row, np.minimum(np.minimum(512, 16 * bits * cores), depth * bits))
    run = np.where(linear, plain, brick)
    return np.asarray(
        (elements * bits // 8) * port.burst_bytes // np.minimum(port.burst_bytes, np.maximum(run // 8, 1))
    )


def _read_cycles(ops: NpuOps, blocks: Blocks, hardware: EthosHardware, system: SystemConfig, staged: Array) -> Array:
    """Cycles until the first input block is in; `staged`: whether the input lies in the staging memory."""

    def one(port: MemoryPort, elements: Array, linear: Array) -> Array:
        moved = bursts(
            elements,
            bits=ops.ifm_bits,
            linear=linear,
            block=blocks.ifm,
            channels=ops.ifm_c,
            reads=True,
            port=port,
            cores=hardware.writing_cores,
        )
        return np.asarray(port.read_latency + np.floor(moved / port.bytes_per_cycle))

    def either(elements: Array) -> Array:
        linear = ops.ifm_linear
        return np.where(staged, one(system.staging, elements, linear), one(system.feature_maps, elements, linear))

    block = blocks.ifm
    present = (
        np.minimum(ops.ifm_h, block[:, 0]) * np.minimum(ops.ifm_w, block[:, 1]) * np.minimum(ops.ifm_c, block[:, 2])
    )
    first, both = either(present), np.minimum(present, ops.ifm2_elements)
    constant = np.asarray(ops.ifm2_constant, dtype=bool)
    second = np.where(constant, one(system.constants, both, np.ones_like(constant)), either(both))
    return np.asarray(np.where(ops.ifm2_elements > 0, np.maximum(first, second), first))


def _write_cycles(ops: NpuOps, blocks: Blocks, hardware: EthosHardware, system: SystemConfig, staged: Array) -> Array:
    """Cycles until the first output block is out; `staged`: whether the output lies in the staging memory."""
    block = blocks.ofm
    present = (
        np.minimum(ops.ofm_h, block[:, 0]) * np.minimum(ops.ofm_w, block[:, 1]) * np.minimum(ops.ofm_c, block[:, 2])
    )

    def one(port: MemoryPort) -> Array:
        moved = bursts(
            present,
            bits=ops.ofm_bits,
            linear=ops.ofm_linear,
            block=block,
            channels=ops.ofm_c,
            reads=False,
            port=port,
            cores=hardware.writing_cores,
        )
        return np.asarray(port.write_latency + np.floor(moved / port.bytes_per_cycle))

    return np.where(staged, one(system.staging), one(system.feature_maps))


def _output_cycles_per_element(ops: NpuOps, hardware: EthosHardware) -> Array:
    """Cycles per output element of the output unit: the slower of operation and activation, summed over a chain."""
    rate = np.asarray(hardware.output_cycles)
    binary = (ops.unit == ELEMENTWISE) & (ops.ifm2_elements > 0)
    if hardware.family == "u85":
        into_chain = np.append(ops.chained[1:], False)
        out_bits = np.where(ops.lut, ops.ifm_bits, ops.ofm_bits)  # a table widens after the output unit
        wide = (ops.ifm_bits == 32) | (out_bits == 32)
        index = np.select(
            [into_chain & wide, binary & (ops.ifm_bits == 32), out_bits == 32, out_bits == 16],
            [4, np.where(out_bits == 32, 5, 4), 2, 1],
            0,
        )
        each = np.maximum(rate[index], np.where(ops.lut, hardware.activation_cycles[0], 0.0))
        group = np.cumsum(~ops.chained) - 1
        return np.asarray(np.bincount(group, weights=each, minlength=1)[group] if len(ops) else each)
    function, wide = ops.function, (ops.ifm_bits == 16) & (ops.unit != POOLING)
    index = np.select(
        [
            (ops.unit == ELEMENTWISE) & (ops.ifm_bits == 32),
            (function == "mul") & (ops.ofm_bits == 32),
            (function == "mul") | ((ops.unit != ELEMENTWISE) & wide),
            function == "add",
            function == "max",
        ],
        [np.where(binary, 1, 0), 2, 3, 5, 6],
        7,
    )
    # A clamp is never slower than the operation before it, a table look-up can be.
    return np.asarray(np.maximum(rate[index], np.where(ops.lut, hardware.activation_cycles[0], 0.0)))


def _mac_cycles_per_block(ops: NpuOps, blocks: Blocks, hardware: EthosHardware) -> Array:
    """Cycles of the MAC array for one output block, over all input channels."""
    u85 = hardware.family == "u85"
    bits, unit = ops.ifm_bits, ops.unit
    ofm = np.stack([ops.ofm_h, ops.ofm_w, ops.ofm_c], axis=-1)
    micro = _micro_blocks(ops, blocks, hardware)
    count = ceil_div(np.minimum(ofm, blocks.ofm), micro)
    area, deep = count[:, 0] * count[:, 1], count[:, 2]
    in_depth = np.minimum(ops.ifm_c, blocks.ifm[:, 2])
    per_weights = 32 * micro[:, 2] // (8 * (hardware.cores if u85 else 1))
    wide = (bits == 16) & (unit != POOLING)
    small_u55 = not u85 and hardware.macs_per_cycle == 32
    delay = np.where(wide & (hardware.macs_per_cycle <= 128), *((7, 3) if small_u55 else (3, 2)))
    by_kernel = (unit == CONVOLUTION) & blocks.part_kernel
    slabs = np.where(by_kernel, ceil_div(in_depth, 8), 1)

    def part(taps: Array) -> Array:
        quarter = ceil_div(taps, np.where(bits == 16, 2, 4))
        steps = np.select([unit == POOLING, unit == DEPTHWISE, by_kernel], [1, ceil_div(taps, 4), quarter], taps)
        array = np.maximum(per_weights, 4 * area)
        depth_first = np.maximum(per_weights, in_depth // 8 * area) * (bits // 8) if u85 else array
        pooling = np.maximum(4, taps) * area * deep * (1 if small_u55 else bits // 2)
        busy = np.select(
            [unit == POOLING, unit == DEPTHWISE, by_kernel],
            [pooling, np.maximum(per_weights, 4 * area * (bits // 8)) * steps * deep, array * steps * deep * slabs],
            depth_first * steps * deep,
        )
        busy = busy // np.where(ops.sparse_2_4, 2, 1)
        stall = np.where(area == 1, np.where(deep == 1, delay * steps, delay * (steps - 1) * deep), 0)
        if small_u55:
            stall = stall + np.where(((count[:, 0] == 1) | (count[:, 1] == 1)) & (deep > 1) & wide, delay * deep, 0)
        return np.asarray(busy + stall * slabs)

    full = np.full(len(ops), _SUBKERNEL)
    sides = [
        ((full, size // _SUBKERNEL), (size % _SUBKERNEL, (size % _SUBKERNEL > 0).astype(np.int64)))
        for size in (ops.kernel_h, ops.kernel_w)
    ]
    total = np.zeros(len(ops), dtype=np.int64)
    for (rows, times_h), (columns, times_w) in product(*sides):
        times = times_h * times_w
        if times.any():
            total = total + times * part(np.maximum(rows * columns, 1))
    reduces = (unit == CONVOLUTION) | (unit == REDUCE_SUM)
    total = total * np.where(reduces, ceil_div(ops.ifm_c, np.maximum(in_depth, 1)), 1)
    return np.asarray(total if u85 else total // hardware.cores)


def _micro_blocks(ops: NpuOps, blocks: Blocks, hardware: EthosHardware) -> Array:
    """Micro-block in use; a 2 x 2 one becomes 1 x 4 for flat convolutions of even width (U55/U65-256)."""
    micro = blocks.ublock
    if hardware.family == "u85" or micro.shape[0] == 0 or micro[0, 0] != 2:
        return micro
    flat = (ops.unit == CONVOLUTION) & (ops.ofm_h == 1) & (ops.ofm_w % 2 == 0) & (ops.kernel_h == 1)
    return np.where(flat[:, None], np.array([1, 4, micro[0, 2]]), micro)


def op_cycles(
    ops: NpuOps,
    blocks: Blocks,
    hardware: EthosHardware,
    system: SystemConfig,
    *,
    staged_weights: npt.ArrayLike = False,
    staged_input: npt.ArrayLike = False,
    staged_output: npt.ArrayLike = False,
    first: npt.ArrayLike = True,
    last: npt.ArrayLike = True,
) -> Array:
    """NPU cycles of each operator, its transfers hidden [cycle].

    MAC operators: with n = outputs / block (fractional, in micro-blocks), mac and out the cycles of a block in the
    array and in the output unit, issue = (|first write - first read| + mac + out) / 4,

    N = max(mac, issue) * n + max(out, issue)   if the array is the slower, else
    N = max(out, issue) * n + max(mac, issue)

    plus the first read (if `first`) and the last write (if `last`; likewise the output unit's last block). The masks
    say what lies in the staging memory. Element-wise: max(out, (block transfer / block + out) / 4) per element.
    Valid: weights decoded as fast as the array asks for them.
    """
    ofm = np.stack([ops.ofm_h, ops.ofm_w, ops.ofm_c], axis=-1)
    rate = _output_cycles_per_element(ops, hardware)
    read = _read_cycles(ops, blocks, hardware, system, np.asarray(staged_input))
    write = _write_cycles(ops, blocks, hardware, system, np.asarray(staged_output))

    micro = _micro_blocks(ops, blocks, hardware)
    block = np.minimum(ofm, blocks.ofm)
    n = ceil_div(ofm, micro).prod(axis=1) / ceil_div(block, micro).prod(axis=1)
    out = np.ceil(rate * block.prod(axis=1))
    biased = (ops.unit == CONVOLUTION) | (ops.unit == DEPTHWISE)
    latency = np.where(staged_weights, system.staging.read_latency, system.constants.read_latency)
    out = np.where(biased, np.maximum(out, 10.0 * block[:, 2] * latency / 256), out)
    mac = _mac_cycles_per_block(ops, blocks, hardware)
    issue = (np.where(n > 1, np.abs(write - read), 0) + mac + out) / 4
    busy_mac, busy_out = np.maximum(mac, issue), np.maximum(out, issue)
    bound_by_mac = np.floor(busy_mac * n) + np.where(last, np.floor(busy_out), 0)
    bound_by_out = np.floor(busy_out * n + busy_mac)
    mac_op = (
        np.where(busy_mac > busy_out, bound_by_mac, bound_by_out) + np.where(first, read, 0) + np.where(last, write, 0)
    )

    elements = ops.ofm_h * ops.ofm_w * np.where(ops.ofm_linear, ops.ofm_c, round_up(ops.ofm_c, 16))
    per_issue = (np.maximum(read, write) / np.maximum(blocks.ofm.prod(axis=1), 1) + rate) / 4
    element_op = np.maximum(np.ceil(per_issue * elements), np.ceil(rate * elements))
    cycles = np.where(ops.chained, 0, np.where(ops.unit == ELEMENTWISE, element_op, mac_op))
    return np.asarray(cycles).astype(np.int64)
