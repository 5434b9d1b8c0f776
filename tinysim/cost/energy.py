"""Energy of an inference: from the top as power times time, from below as priced events.

The total is that of the measured or specified running current; priced bytes and the idle current share it out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EnergyPrices", "LayerEnergy", "active_energy", "layer_energy"]

Floats = NDArray[np.float64]
Real = float | Floats


@dataclass(frozen=True)
class EnergyPrices:
    """Power and prices at one operating point; numbers, or arrays with a leading axis for a sweep."""

    power_w: Real
    """power while running [W]"""
    static_w: Real = 0.0
    """part of it that flows whatever runs: leakage, clocks, regulator [W]"""
    sram_byte_j: Real = 0.0
    """energy of a byte read from or written to SRAM [J]"""
    flash_byte_j: Real = 0.0
    """energy of a byte read from flash [J]"""


@dataclass(frozen=True, eq=False)
class LayerEnergy:
    """Energy per layer by component, each of shape (..., n) [J]."""

    core: Floats
    sram: Floats
    flash: Floats
    static: Floats

    @property
    def total(self) -> Floats:
        """Sum of the components."""
        total: Floats = self.core + self.sram + self.flash + self.static
        return total


def active_energy(latency_s: Real, *, supply_v: Real, current_a: Real) -> Floats:
    """Energy drawn from the supply while running.

    E = V * I * t

    latency_s [s], supply_v [V], current_a [A]; broadcasts.

    >>> round(active_energy(0.1, supply_v=1.8, current_a=0.025).item(), 12)
    0.0045
    """
    energy: Floats = np.multiply(np.multiply(supply_v, current_a), latency_s)
    return energy


def layer_energy(latency_s: Real, *, sram_bytes: Real, flash_bytes: Real, prices: EnergyPrices) -> LayerEnergy:
    """Energy of each layer, split by component.

    total = power * t;  static = static power * t;  SRAM and flash = price * bytes;  core = the rest

    Priced bytes never take more than the dynamic part: they are scaled down to it where they would.
    latency_s [s], sram_bytes and flash_bytes [B], shape (..., n).

    >>> e = layer_energy(0.1, sram_bytes=1e6, flash_bytes=0.0, prices=EnergyPrices(0.04, 0.01, 1e-9))
    >>> round(e.core.item(), 9), round(e.sram.item(), 9), round(e.total.item(), 9)
    (0.002, 0.001, 0.004)
    """
    time = np.asarray(latency_s, dtype=np.float64)
    static = time * prices.static_w
    dynamic = time * prices.power_w - static
    sram = np.asarray(sram_bytes) * prices.sram_byte_j + np.zeros_like(dynamic)
    flash = np.asarray(flash_bytes) * prices.flash_byte_j + np.zeros_like(dynamic)
    priced = sram + flash
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(priced > dynamic, dynamic / priced, 1.0)
    sram, flash = sram * share, flash * share
    return LayerEnergy(core=dynamic - sram - flash, sram=sram, flash=flash, static=static)
