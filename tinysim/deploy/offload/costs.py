"""Costs of a network that runs on a core and an accelerator: each layer's columns from the engine that runs it."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.energy import LayerEnergy, layer_energy
from tinysim.cost.latency import CpuCycles
from tinysim.cost.traffic import Traffic
from tinysim.deploy.costs import LayerCosts
from tinysim.deploy.offload.plan import Offload
from tinysim.deploy.target import Target
from tinysim.network.table import LayerTable

__all__ = ["offloaded_costs"]

Floats = NDArray[np.float64]


def offloaded_costs(table: LayerTable, offload: Offload, target: Target, priced: NDArray[np.bool_]) -> LayerCosts:
    """Cost of every layer: on the accelerator where it was put there, on the core elsewhere.

    Handing over is overhead of the operator that begins a run. While the accelerator works, the core waits; the
    energy of these layers is the accelerator's, whose description contains the rest of the chip where it was measured.
    table: the n operators; priced: mask of the rows that run at all.
    """
    core, engine = offload.core, offload.engine
    there, zero = offload.chosen & priced, np.zeros(len(table))

    def pick(on_core: Floats, on_engine: Floats) -> Floats:
        return np.where(there, on_engine, on_core)

    own, far = core.cycles, engine.cycles
    cycles = CpuCycles(
        compute=pick(own.compute, far.compute),
        weight_stall=pick(own.weight_stall, far.weight_stall),
        fetch_stall=pick(own.fetch_stall, far.fetch_stall),
        data_stall=pick(own.data_stall, far.data_stall),
        overhead=pick(own.overhead, far.overhead) + offload.handover_cycles,
    )
    mine, theirs = core.traffic, engine.traffic
    traffic = Traffic(
        weight_read_bytes=pick(mine.weight_read_bytes, theirs.weight_read_bytes),
        sram_read_bytes=pick(mine.sram_read_bytes, theirs.sram_read_bytes),
        sram_write_bytes=pick(mine.sram_write_bytes, theirs.sram_write_bytes),
        weight_reuse_bytes=pick(mine.weight_reuse_bytes, theirs.weight_reuse_bytes),
    )
    energy = None
    if core.energy is not None and target.prices is not None:
        handing = layer_energy(
            offload.handover_cycles / target.clock_hz, sram_bytes=0.0, flash_bytes=0.0, prices=target.prices
        ).whole()
        energy = LayerEnergy(
            **{f.name: pick(getattr(core.energy, f.name), zero) + getattr(handing, f.name) for f in fields(LayerEnergy)}
        )
    far_energy = np.where(there & (far.total > 0), engine.energy_j, 0.0)
    if energy is None:  # what the core itself runs has no price
        far_energy = np.where(~there & (own.total > 0), np.nan, far_energy)
    return LayerCosts(
        table=table,
        counts=core.counts.scaled((~there).astype(np.float64)),
        cycles=cycles,
        traffic=traffic,
        latency_s=cycles.total / target.clock_hz,
        energy=energy,
        accelerator_energy_j=far_energy,
    )
