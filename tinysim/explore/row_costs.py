"""What one layer adds to a network's totals, as columns: priced once per distinct layer, gathered for every network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.deploy.costs import layer_costs
from tinysim.deploy.deployment import priced_rows
from tinysim.deploy.memory import scratch_bytes
from tinysim.deploy.policy import arena_policy
from tinysim.deploy.target import Target
from tinysim.explore.chain import BIAS_BYTES
from tinysim.network.table import Ints, LayerTable

__all__ = ["RowCosts", "row_costs"]

#: scale and zero point of a channel in a TFLite file, see `deploy.memory.flatbuffer_bytes`
_CHANNEL_BYTES = 12
_LOOKUP_BYTES = 513 * 2


@dataclass(frozen=True, eq=False)
class RowCosts:
    """Columns of shape (n_rows,); sizes are rounded up to the arena's alignment."""

    cycles: NDArray[np.float64]
    energy_j: tuple[NDArray[np.float64], ...]
    """core, SRAM, flash, static; empty if the board's currents are unknown"""
    macs: Ints
    in_bytes: Ints
    out_bytes: Ints
    scratch_bytes: Ints
    """shape (n_rows, k)"""
    flash_bytes: Ints
    """weights, biases and, where the file is kept, quantization: the part of the flash that depends on sizes"""
    prepared_bytes: Ints
    """per-channel multipliers and shifts, tables of a 16-bit softmax: the part of TFLM's tail that depends on sizes"""


def row_costs(table: LayerTable, target: Target) -> RowCosts:
    """Price rows on a target.

    Raises:
        UnsupportedOperator: a kind that the kernel library cannot price.
    """
    policy = arena_policy(target)
    priced = priced_rows(table, target)
    costs = layer_costs(table, target, priced)
    scratch = scratch_bytes(table, kernels=policy.kernels, core=policy.core)

    def up(n_bytes: Any) -> Ints:
        return np.asarray(-(-n_bytes // policy.alignment) * policy.alignment)

    bits = table.activation_bits
    weighty = table.is_kind("conv2d", "depthwise_conv2d", "fully_connected")
    quantized = weighty & (table.weight_bits < 32)
    per_channel = quantized & table.is_family("conv")
    has_bias = weighty & (table.has_bias > 0)
    bias_bytes = np.select([bits == width for width in BIAS_BYTES], list(BIAS_BYTES.values())) * table.out_c * has_bias
    scales = np.where(per_channel, table.out_c, quantized) * (1 + (has_bias & (bits < 32))) + (bits < 32)
    flash = np.where(weighty, table.weight_bytes, 0).astype(np.int64) + bias_bytes
    if target.runtime.model_in_flash == "flatbuffer":
        flash += _CHANNEL_BYTES * scales
    energy = costs.energy
    lookup = 2 * up(_LOOKUP_BYTES) * (table.is_kind("softmax") & (bits == 16))
    return RowCosts(
        cycles=costs.cycles.total,
        energy_j=() if energy is None else (energy.core, energy.sram, energy.flash, energy.static),
        macs=table.macs * priced,
        in_bytes=up(-(-table.in_elements * bits // 8)),
        out_bytes=up(-(-table.out_elements * bits // 8)),
        scratch_bytes=up(scratch),
        flash_bytes=flash,
        prepared_bytes=2 * up(4 * table.out_c) * per_channel + lookup,
    )
