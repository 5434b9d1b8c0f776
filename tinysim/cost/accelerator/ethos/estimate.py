"""Vela's estimate of a network on an Ethos-U: cycles of the NPU and of each memory, per operator, and what bounds it.

op cycles = max(NPU, SRAM, DRAM, on-chip flash, off-chip flash access cycles); the network is their sum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.ethos.blocks import Blocks, choose_blocks_u55
from tinysim.cost.accelerator.ethos.blocks_u85 import choose_blocks_u85
from tinysim.cost.accelerator.ethos.cycles import op_cycles
from tinysim.cost.accelerator.ethos.hardware import EthosHardware, MemoryPort, SystemConfig
from tinysim.cost.accelerator.ethos.lowering import lower
from tinysim.cost.accelerator.ethos.ops import ELEMENTWISE, NpuOps, round_up
from tinysim.cost.accelerator.ethos.schedule import Buffering, buffer_weights
from tinysim.cost.accelerator.ethos.traffic import channel_bandwidth, element_access, fm_bytes, transfer_cycles

__all__ = ["VelaEstimate", "encoded_weight_bytes", "estimate_vela", "live_tensor_bytes", "staging_bytes"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class VelaEstimate:
    """Columns over the NPU's operators; `ops.layer` says which layer each came from."""

    ops: NpuOps
    blocks: Blocks
    buffering: Buffering
    npu_cycles: Array
    """MAC array, output unit and waits for weights [cycle]"""
    memory_cycles: dict[str, Array]
    """access cycles by memory [cycle]"""
    memory_bytes: dict[str, Array]
    """bytes moved by memory, bursts filled up [byte]"""

    @property
    def op_cycles(self) -> Array:
        """Cycles of each operator: the slowest of NPU and memories."""
        return np.asarray(np.max([self.npu_cycles, *self.memory_cycles.values()], axis=0))

    @property
    def bound(self) -> Array:
        """What each operator waits for: `npu` or the name of a memory."""
        names = np.array(["npu", *self.memory_cycles])
        return np.asarray(names[np.argmax([self.npu_cycles, *self.memory_cycles.values()], axis=0)])


def encoded_weight_bytes(elements: npt.ArrayLike, *, sparsity: npt.ArrayLike = 0.0, bits: npt.ArrayLike = 8) -> Array:
    """Size of encoded weights that are not at hand: a map of the zeros, ideally coded, and the others as they are.

    B = elements * (h(s) + (1 - s) * bits) / 8, h(s) = -s log2 s - (1 - s) log2(1 - s); in lines of 16 bytes

    elements [1], sparsity [1], bits [bit]. Valid: an estimate; the true size depends on the weights' statistics (0.92
    to 4.39 times smaller than 8 bit on the networks of MLPerf Tiny).

    >>> int(encoded_weight_bytes(1000)), int(encoded_weight_bytes(1000, sparsity=0.9))
    (1008, 160)
    """
    s = np.clip(np.asarray(sparsity, dtype=float), 1e-12, 1 - 1e-12)
    entropy = -s * np.log2(s) - (1 - s) * np.log2(1 - s)
    n = np.asarray(elements)
    return np.asarray(round_up(np.ceil(n * (entropy + (1 - s) * np.asarray(bits)) / 8 - 1e-6).astype(np.int64), 16))


def estimate_vela(
    hardware: EthosHardware,
    system: SystemConfig,
    *,
    kind: npt.ArrayLike,
    weight_bytes: npt.ArrayLike | None = None,
    weight_sparsity: npt.ArrayLike = 0.0,
    weight_bits: npt.ArrayLike = 8,
    **columns: npt.ArrayLike,
) -> VelaEstimate:
    """Estimate the layers of one network, in order of execution, from columns of `LayerTable`.

    weight_bytes: encoded size of each layer's weights [byte]; where it is not given (or not a number), estimated from
    weight_sparsity and weight_bits. Other columns: see `lower`.
    """
    ops = lower(kind=kind, chains=hardware.family == "u85", **columns)
    layers = np.atleast_1d(np.asarray(kind)).shape
    sparsity, bits = (np.broadcast_to(np.asarray(x), layers)[ops.layer] for x in (weight_sparsity, weight_bits))
    encoded = encoded_weight_bytes(ops.weight_elements, sparsity=sparsity, bits=bits)
    if weight_bytes is not None:
        given = np.broadcast_to(np.asarray(weight_bytes, dtype=float), layers)[ops.layer]
        encoded = np.where(np.isnan(given), encoded, np.nan_to_num(given)).astype(np.int64)
    ops = replace(ops, weight_bytes=np.where(ops.weight_elements > 0, encoded, 0))
    blocks = choose_blocks_u85(ops, hardware) if hardware.family == "u85" else choose_blocks_u55(ops, hardware)
    buffering = buffer_weights(ops, blocks, hardware, system)
    # What fits moves to the staging memory, but for the network's own input and output.
    moved = np.full(len(ops), system.feature_maps is not system.staging)
    inner, outer = moved & (np.arange(len(ops)) > 0), moved & (np.arange(len(ops)) < len(ops) - 1)
    cycles = op_cycles(
        ops,
        blocks,
        hardware,
        system,
        staged_weights=buffering.first_bytes > 0,
        staged_input=inner,
        staged_output=outer,
    )
    npu = _with_copies(cycles, buffering, hardware, system)
    seconds, size = _memory_cycles(ops, blocks, buffering, hardware, system, inner, outer)
    return VelaEstimate(ops, blocks, buffering, npu, seconds, size)


def _with_copies(cycles: Array, buffering: Buffering, hardware: EthosHardware, system: SystemConfig) -> Array:
    """Cycles with the waits for weight copies that the operator before does not hide."""
    slack = np.concatenate([[0.0], buffering.slack_cycles[:-1]])
    wait = np.maximum(
        transfer_cycles(buffering.first_slice_bytes, system.constants, system.staging, hardware) - slack, 0
    )
    copying = buffering.transfer_cycles - slack + buffering.slack_cycles
    return np.where(buffering.first_bytes > 0, np.maximum(copying, cycles + wait), cycles)


def _memory_cycles(
    ops: NpuOps,
    blocks: Blocks,
    buffering: Buffering,
    hardware: EthosHardware,
    system: SystemConfig,
    staged_input: Array,
    staged_output: Array,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Access cycles and bytes by memory: all bytes over its bandwidth, or its busiest channel, whichever is longer."""
    access = element_access(ops, blocks)
    ports = {port.name: port for port in (system.staging, system.feature_maps, system.constants)}
    by_channel: dict[str, dict[str, Array]] = {name: {} for name in ports}

    def add(port: MemoryPort, channel: str, size: Array) -> None:
        moved = by_channel[port.name]
        moved[channel] = moved.get(channel, np.zeros(len(ops))) + size

    element = ops.unit == ELEMENTWISE
    primary = ~ops.chained
    last_of_chain = np.append(~ops.chained[1:], True)
    for port, mask_in, mask_out in (
        (system.feature_maps, ~staged_input, ~staged_output),
        (system.staging, staged_input, staged_output),
    ):
        first, second, out = fm_bytes(ops, blocks, access, hardware, port)
        variable = ~np.asarray(ops.ifm2_constant, dtype=bool)
        add(port, "ifm", np.where(mask_in & ~element & primary, first, 0))
        add(port, "ifm_stream", np.where(mask_in & element & primary, first, 0))
        add(port, "ifm_stream", np.where(mask_in & variable, second, 0))
        add(port, "write", np.where(mask_out & last_of_chain, out, 0))
    constant = fm_bytes(ops, blocks, access, hardware, system.constants)[1]
    add(system.constants, "ifm_stream", np.where(ops.ifm2_constant, constant, 0))
    staged = buffering.first_bytes > 0
    during = np.where(staged, ops.weight_bytes - np.where(buffering.ahead, buffering.first_slice_bytes, 0), 0).clip(
        min=0
    )
    read = access.weight_passes * ops.weight_bytes
    add(system.constants, "mem2mem", during)
    add(system.staging, "write", during)
    add(system.staging, "weight", np.where(staged, read, 0))
    add(system.constants, "weight", np.where(staged, 0, read))
    add(system.constants, "scale", access.weight_passes * ops.scale_bytes)

    total = {name: np.sum(list(moved.values()), axis=0) for name, moved in by_channel.items()}
    cycles = {}
    for name, moved in by_channel.items():
        busiest = [
            np.floor(size / channel_bandwidth(ports[name], hardware, channel)) for channel, size in moved.items()
        ]
        cycles[name] = np.max([np.floor(total[name] / ports[name].bytes_per_cycle), *busiest], axis=0)
        # What a chained operator moves belongs to the pass that it joins.
        group = np.cumsum(primary) - 1
        cycles[name] = (
            np.where(primary, np.bincount(group, weights=cycles[name])[group], 0) if len(ops) else cycles[name]
        )
    return cycles, total


def live_tensor_bytes(ops: NpuOps) -> tuple[Array, Array]:
    """Bytes of each operator's input and output tensors in memory: bricks of 16 channels, in lines of 16 bytes."""

    def size(height: Array, width: Array, channels: Array, bits: Array, linear: Array) -> Array:
        stored = np.where(linear, channels, round_up(channels, 16))
        return np.asarray(round_up(height * width * stored * bits // 8, 16))

    return (
        size(ops.ifm_h, ops.ifm_w, ops.ifm_c, ops.ifm_bits, ops.ifm_linear),
        size(ops.ofm_h, ops.ofm_w, ops.ofm_c, ops.ofm_bits, ops.ofm_linear),
    )


def staging_bytes(live_bytes: npt.ArrayLike, buffering: Buffering) -> Array:
    """Bytes in the staging memory while each operator runs [byte].

    live feature maps + this operator's weight buffers + the next one's first buffer if it is filled ahead

    live_bytes: feature maps alive at each operator, as the memory planner knows them [byte].
    """
    own = buffering.first_bytes + buffering.second_bytes
    ahead = np.append(np.where(buffering.ahead, buffering.first_bytes, 0)[1:], 0)
    return np.asarray(np.asarray(live_bytes) + own + ahead)
