"""Bytes that each NPU operator moves, and the cycles that each memory needs for them.

Source: Vela 5.2, `ethos_u55_performance.cpp` and `ethos_u85_performance.cpp`, MeasureElementAccess,
ElementTransferToBytes and MeasureAccessCycles.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.ethos.blocks import Blocks
from tinysim.cost.accelerator.ethos.cycles import bursts
from tinysim.cost.accelerator.ethos.hardware import EthosHardware, MemoryPort
from tinysim.cost.accelerator.ethos.ops import DEPTHWISE, ELEMENTWISE, POOLING, NpuOps, ceil_div, round_up

__all__ = ["Access", "block_positions", "channel_bandwidth", "element_access", "transfer_cycles"]

Array = npt.NDArray[Any]

_SUBKERNEL = 8


class Access(NamedTuple):
    """Elements that each operator reads and writes."""

    ifm: Array
    """of the first input"""
    ifm2: Array
    """of the second input"""
    ofm: Array
    """of the output"""
    weight_passes: Array
    """times that all weights are read: once per block position"""


def block_positions(ops: NpuOps, blocks: Blocks) -> Array:
    """Blocks of each operator's output along (height, width, depth)."""
    ofm = np.stack([ops.ofm_h, ops.ofm_w, ops.ofm_c], axis=-1)
    return np.asarray(ceil_div(ofm, np.minimum(ofm, blocks.ofm)))


def element_access(ops: NpuOps, blocks: Blocks) -> Access:
    """Elements that cross the NPU's ports.

    input = block area x channels x kernel parts x blocks (depthwise and pooling: blocks of one plane only)
    """
    positions = block_positions(ops, blocks)
    plane = positions[:, 0] * positions[:, 1]
    per_plane = np.isin(ops.unit, (DEPTHWISE, POOLING))
    in_area = np.minimum(ops.ifm_h, blocks.ifm[:, 0]) * np.minimum(ops.ifm_w, blocks.ifm[:, 1])
    in_c = np.where(ops.ifm_linear, ops.ifm_c, round_up(ops.ifm_c, 16))
    parts = ceil_div(ops.kernel_h, _SUBKERNEL) * ceil_div(ops.kernel_w, _SUBKERNEL)
    fetched = in_area * in_c * parts * plane * np.where(per_plane, 1, positions[:, 2])
    out_c = np.where(ops.ofm_linear, ops.ofm_c, round_up(ops.ofm_c, 16))
    ofm = ops.ofm_h * ops.ofm_w * out_c
    element = ops.unit == ELEMENTWISE
    whole = ops.ofm_h * ops.ofm_w * np.where(ops.ifm_linear, ops.ofm_c, round_up(ops.ofm_c, 16))
    second = np.where(ops.ifm2_elements > 1, whole, np.where(ops.ifm_bits > 8, ops.ifm2_elements, 0))
    return Access(
        ifm=np.where(element, whole, fetched),
        ifm2=np.where(element, second, 0),
        ofm=ofm,
        weight_passes=np.where(ops.weight_elements > 0, plane, 0),
    )


def fm_bytes(
    ops: NpuOps, blocks: Blocks, access: Access, hardware: EthosHardware, port: MemoryPort
) -> tuple[Array, Array, Array]:
    """Bytes on the bus of first input, second input and output, bursts filled up."""
    cores = hardware.writing_cores

    def moved(elements: Array, bits: Array, linear: Array, block: Array, channels: Array, *, reads: bool) -> Array:
        return bursts(
            elements, bits=bits, linear=linear, block=block, channels=channels, reads=reads, port=port, cores=cores
        )

    return (
        moved(access.ifm, ops.ifm_bits, ops.ifm_linear, blocks.ifm, ops.ifm_c, reads=True),
        moved(access.ifm2, ops.ifm_bits, ops.ifm_linear | ops.ifm2_constant, blocks.ifm, ops.ifm_c, reads=True),
        moved(access.ofm, ops.ofm_bits, ops.ofm_linear, blocks.ofm, ops.ofm_c, reads=False),
    )


def channel_bandwidth(port: MemoryPort, hardware: EthosHardware, channel: str) -> float:
    """Bytes per cycle that one channel of the NPU gets from a memory.

    A U55 or U65 gets the port's. A U85 has at most so many bursts under way as the channel's read buffer or the
    memory's outstanding transfers allow, at 0.8 of the ideal:
    burst x min(buffer words / burst words, 0.8 outstanding x ports) x 0.8 / latency.
    """
    if hardware.read_buffers is None:
        return port.bytes_per_cycle
    burst_words = max(port.burst_bytes // 16, 1)
    if channel == "write":
        outstanding, latency, buffered = port.max_writes, port.write_latency, float("inf")
    else:
        outstanding, latency, buffered = (
            port.max_reads,
            port.read_latency,
            getattr(hardware.read_buffers, channel) / burst_words,
        )
    under_way = min(buffered, outstanding * port.ports * 0.8)
    return float(min(port.bytes_per_cycle, port.burst_bytes * under_way / max(latency, 1) * 0.8))


def transfer_cycles(size_bytes: Any, source: MemoryPort, target: MemoryPort, hardware: EthosHardware) -> Any:
    """Cycles of a copy from one memory to another: the slower of the two sides, its latency included."""
    out = np.floor(size_bytes / channel_bandwidth(source, hardware, "mem2mem")) + source.read_latency
    into = np.floor(size_bytes / channel_bandwidth(target, hardware, "write")) + target.write_latency
    return np.maximum(out, into)
