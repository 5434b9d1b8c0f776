"""From a layer table and a target to columns of cost: the one path that serves a network, a batch and a sweep."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.counts import Counts
from tinysim.cost.cpu import instruction_counts
from tinysim.cost.energy import EnergyPrices, LayerEnergy, issue_time, layer_energy
from tinysim.cost.latency import CpuCycles, cpu_cycles
from tinysim.cost.timing import zero_wait_cycles
from tinysim.cost.traffic import Traffic, data_beyond_cache, layer_traffic, loop_order, weights_beyond_cache
from tinysim.deploy.layout import Layout, single_layout
from tinysim.deploy.prices import byte_price
from tinysim.deploy.target import Target, path_to
from tinysim.network.table import LayerTable

__all__ = ["LayerCosts", "layer_costs"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerCosts:
    """Costs of n layers as columns."""

    table: LayerTable
    counts: Counts
    cycles: CpuCycles
    traffic: Traffic
    latency_s: Floats
    energy: LayerEnergy | None
    """energy of the core's part; None if the board's currents are unknown"""
    accelerator_energy_j: Floats | None = None
    """energy of the layers on an accelerator, zero for the others, not a number if unknown; None without one [J]"""

    @cached_property
    def energy_j(self) -> Floats | None:
        """Energy of each layer, not a number where it is unknown; None if nothing is known [J]."""
        if self.accelerator_energy_j is None:
            return None if self.energy is None else self.energy.total
        core: Floats = np.zeros(len(self.table)) if self.energy is None else self.energy.total
        return core + self.accelerator_energy_j

    @cached_property
    def bound_by(self) -> tuple[str, ...]:
        """The largest cause of each layer's cycles."""
        names = np.array(["compute", "weights", "code", "activations", "overhead"])
        return tuple(names[np.argmax(self._by_cause, axis=0)])

    @cached_property
    def bound_share(self) -> Floats:
        """Part of each layer's cycles that its largest cause takes, shape (n,) [1]; 0 where there are none."""
        total = self.cycles.total
        share: Floats = self._by_cause.max(axis=0) / np.maximum(total, 1.0)
        return share

    @property
    def _by_cause(self) -> Floats:
        c = self.cycles
        return np.stack([c.compute, c.weight_stall, c.fetch_stall, c.data_stall, c.overhead])


def layer_costs(
    table: LayerTable, target: Target, priced: NDArray[np.bool_] | None = None, *, layout: Layout | None = None
) -> LayerCosts:
    """Cost of every layer of a table on a target.

    table: n rows of any number of networks. priced: mask of the rows that run. layout: which memories hold tensors and
    weights of these rows; those of the target's placement if None. Returns columns of shape (n,).

    Raises:
        UnsupportedOperator: a kind that the kernel library cannot price.
    """
    core, runtime = target.core, target.runtime
    counts = instruction_counts(table, core=core.name, runtime=runtime.library, opt=runtime.opt, fpu=target.fpu)
    if priced is not None:
        counts = counts.scaled(priced.astype(np.float64))
    order = loop_order(runtime.library, helium=core.vector == "helium", counted=runtime.counted)
    traffic = layer_traffic(table, counts, order=order)
    cycles = cpu_cycles(
        table,
        counts,
        traffic,
        zero_wait_cycles(counts, target.timing),
        factors=target.factors,
        weights=target.weights if layout is None else layout.weights_path(target),
        code=target.code if layout is None else path_to(target, layout.code, "code"),
        activations=target.activations if layout is None else layout.activations_path(target),
        priced=priced,
    )
    latency_s = cycles.total / target.clock_hz
    energy = None
    if target.prices is not None:
        issue_s = issue_time(
            counts.instructions, slot_cycles=target.timing.alu, cycles=cycles.total, clock_hz=target.clock_hz
        )
        moved = (traffic.sram_read_bytes + traffic.sram_write_bytes, traffic.weight_read_bytes)
        prices, external_j = _prices(table, traffic, target, layout)
        energy = layer_energy(latency_s, issue_s=issue_s, sram_bytes=moved[0], flash_bytes=moved[1], prices=prices)
        energy = replace(energy, external=external_j).whole()
    return LayerCosts(table, counts, cycles, traffic, latency_s, energy)


def _prices(
    table: LayerTable, traffic: Traffic, target: Target, layout: Layout | None
) -> tuple[EnergyPrices, float | Floats]:
    """Prices of a byte on the chip, by layer where layers differ, and the energy of external memories [J]."""
    assert target.prices is not None, "callers ask only with prices"
    place = target.placement
    if layout is None:
        layout = single_layout(place, len(table))
    used = [*(pool.memory for pool in layout.pools), *layout.weight_memories]
    if used == [place.activations, place.weights] and not any(m.external for m in used):
        return target.prices, 0.0
    inside, outside = [], []
    for memories, shares in (
        ([pool.memory for pool in layout.pools], layout.activation_share),
        (list(layout.weight_memories), layout.weight_share),
    ):
        price = np.array([byte_price(m) for m in memories])
        far = np.array([m.external for m in memories])
        inside.append(np.where(far, 0.0, price) @ shares)
        outside.append(np.where(far, price, 0.0) @ shares)
    weights, activations = layout.weights_path(target), layout.activations_path(target)
    lines = np.add(*data_beyond_cache(table, traffic, cache_bytes=activations.cache_bytes))
    missed = weights_beyond_cache(table, traffic, cache_bytes=weights.cache_bytes)
    own = replace(target.prices, sram_byte_j=inside[0], flash_byte_j=inside[1])
    return own, outside[0] * lines + outside[1] * missed
