"""What one layer adds to a network's totals, as columns: priced once per distinct layer, gathered for every network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.energy import once_energy
from tinysim.deploy.costs import layer_costs
from tinysim.deploy.deployment import priced_rows
from tinysim.deploy.memory import flatbuffer_size, scratch_bytes
from tinysim.deploy.policy import arena_policy
from tinysim.deploy.target import Target
from tinysim.explore.chain import AXES_KINDS, BIAS_BYTES
from tinysim.network.kinds import KINDS
from tinysim.network.table import Ints, LayerTable

__all__ = ["RowCosts", "once_joules", "row_costs"]

_LOOKUP_BYTES = 513 * 2
_NAME_LENGTH = np.array([len(kind.name) for kind in KINDS])


@dataclass(frozen=True, eq=False)
class RowCosts:
    """Columns of shape (n_rows,); sizes are rounded up to the arena's alignment."""

    cycles: NDArray[np.float64]
    energy_j: NDArray[np.float64]
    """whole multiples of `QUANTUM_J`; not a number if the board's currents are unknown"""
    macs: Ints
    in_bytes: Ints
    out_bytes: Ints
    scratch_bytes: Ints
    """shape (n_rows, k)"""
    flash_bytes: Ints
    """weights and biases; where the file is kept, also the rest of what a layer adds to it but for the digits of its
    position in names"""
    prepared_bytes: Ints
    """per-channel multipliers and shifts, tables of a 16-bit softmax: the part of TFLM's tail that depends on sizes"""
    n_tensors: Ints
    """tensors of the chain: output, weights, bias, axes or shape"""


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
    per_channel = weighty & (table.weight_bits < 32) & table.is_family("conv")
    biased = weighty & (table.has_bias > 0)
    axes, shaped = table.is_kind(*AXES_KINDS), table.is_kind("reshape")
    n_tensors = 1 + weighty + biased + axes + shaped
    bias_bytes = np.select([bits == width for width in BIAS_BYTES], list(BIAS_BYTES.values())) * table.out_c * biased
    flash: Any = np.where(weighty, table.weight_bytes, 0).astype(np.int64) + bias_bytes
    if target.runtime.model_in_flash == "flatbuffer":
        scales = np.where(per_channel, table.out_c, weighty & (table.weight_bits < 32))
        flash = flatbuffer_size(
            flash + 8 * axes + np.where(table.out_h * table.out_w == 1, 8, 16) * shaped,
            channels=scales * (1 + (biased & (bits < 32))) + (bits < 32),
            # kind and an underline; /weights, /bias, /axes, /shape
            name_bytes=(_NAME_LENGTH[table.kind] + 1) * n_tensors + 8 * weighty + 5 * biased + 5 * axes + 6 * shaped,
            n_tensors=n_tensors,
            n_operators=1,
        ) - flatbuffer_size(0, channels=0, name_bytes=0, n_tensors=0, n_operators=0)
    elif target.runtime.planner == "tinyengine":
        flash = flash + 4 * table.out_c * (table.is_family("conv") | table.is_kind("fully_connected"))
    energy = costs.energy
    lookup = 2 * up(_LOOKUP_BYTES) * (table.is_kind("softmax") & (bits == 16))
    return RowCosts(
        cycles=costs.cycles.total,
        energy_j=np.full(len(table), np.nan) if energy is None else energy.total,
        macs=table.macs * priced,
        in_bytes=up(-(-table.in_elements * bits // 8)),
        out_bytes=up(-(-table.out_elements * bits // 8)),
        scratch_bytes=up(scratch),
        flash_bytes=np.asarray(flash),
        prepared_bytes=2 * up(4 * table.out_c) * per_channel + lookup,
        n_tensors=n_tensors,
    )


def once_joules(target: Target) -> float:
    """What an inference draws besides its layers; not a number if the board's currents are unknown [J]."""
    return math.nan if target.prices is None else sum(once_energy(target.once_cycles / target.clock_hz, target.prices))
