"""Energy of an inference: from the top as power times time, from below as priced events.

A board's running power fixes the total. Of its dynamic part a share follows executed instructions, the rest the clock,
so a core that waits draws less; bytes of SRAM and flash take their price out of the dynamic part, and what flows
whatever runs is static. Laws of supply, temperature and clock turn a power known at one point into that at another.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "QUANTUM_J",
    "EnergyPrices",
    "LayerEnergy",
    "Regulator",
    "active_energy",
    "issue_time",
    "layer_energy",
    "leakage_scale",
    "once_energy",
    "running_power",
    "supply_power",
]

Floats = NDArray[np.float64]
Real = float | Floats

Regulator = Literal["ldo", "smps", "none"]

#: Energies of layers are whole multiples of this (3.6 fJ), so that sums up to 32 J are exact in any order [J].
QUANTUM_J = 2.0**-48
#: Power from a converter over the core's current, where a board does not state both: V_core / efficiency [V].
RAIL_V = 1.44
#: Rise of temperature that doubles the leakage [K].
LEAKAGE_DOUBLING_K = 10.0
_REFERENCE_C = 25.0


@dataclass(frozen=True)
class EnergyPrices:
    """Power and prices at one operating point; numbers, or arrays with a leading axis for a sweep."""

    power_w: Real
    """power while running one instruction a cycle [W]"""
    static_w: Real = 0.0
    """part of it that flows whatever runs: leakage, clocks, regulator [W]"""
    sram_byte_j: Real = 0.0
    """energy of a byte read from or written to SRAM [J]"""
    flash_byte_j: Real = 0.0
    """energy of a byte read from flash [J]"""
    instruction_share: Real = 0.0
    """part of the power that follows executed instructions; the rest follows the clock [1]"""
    supply_v: float | None = None
    """supply that these hold for; None: the board's [V]"""
    temperature_c: float | None = None
    """junction temperature; None: 25 degC [degC]"""
    regulator: Regulator | None = None
    """converter between supply and core; None: the board's"""


@dataclass(frozen=True, eq=False)
class LayerEnergy:
    """Energy per layer by component, each of shape (..., n) [J]."""

    core: Floats
    sram: Floats
    flash: Floats
    static: Floats
    external: Real = 0.0
    """memories with a chip of their own, which the board's current does not contain"""

    @property
    def total(self) -> Floats:
        """Sum of the components."""
        total: Floats = self.core + self.sram + self.flash + self.static + self.external
        return total

    def whole(self) -> LayerEnergy:
        """These energies as whole multiples of `QUANTUM_J`."""
        return LayerEnergy(**{part.name: _whole(getattr(self, part.name)) for part in fields(self)})


def _whole(energy_j: Real) -> Floats:
    rounded: Floats = np.rint(np.asarray(energy_j) / QUANTUM_J) * QUANTUM_J
    return rounded


def once_energy(once_s: float, prices: EnergyPrices) -> tuple[float, float]:
    """What the core draws for what it does once per inference: dynamic and static part, whole like layers [J].

    E = (P - P_static) t and P_static t

    once_s: time t [s].

    >>> [round(part, 12) for part in once_energy(1e-3, EnergyPrices(power_w=0.04, static_w=0.01))]
    [3e-05, 1e-05]
    """
    dynamic_w = np.asarray(prices.power_w) - prices.static_w
    return float(_whole(once_s * dynamic_w)), float(_whole(once_s * np.asarray(prices.static_w)))


def active_energy(latency_s: Real, *, supply_v: Real, current_a: Real) -> Floats:
    """Energy drawn from the supply while running.

    E = V * I * t

    latency_s [s], supply_v [V], current_a [A]; broadcasts.

    >>> round(active_energy(0.1, supply_v=1.8, current_a=0.025).item(), 12)
    0.0045
    """
    energy: Floats = np.multiply(np.multiply(supply_v, current_a), latency_s)
    return energy


def layer_energy(
    latency_s: Real, *, sram_bytes: Real, flash_bytes: Real, prices: EnergyPrices, issue_s: Real | None = None
) -> LayerEnergy:
    """Energy of each layer, split by component.

    total = power * ((1 - g) * t + g * t_issue);  static = static power * t;  SRAM, flash = price * bytes;  core = rest

    latency_s: time t of each layer [s]; issue_s: executed instructions over the clock, t if None [s]; sram_bytes and
    flash_bytes [B]; each of shape (..., n). g is `prices.instruction_share`. Static power is at most (1 - g) of the
    power, and priced bytes at most the dynamic part: what is more is scaled down to it.
    Valid: cores that wait with their clock running. Source: instruction-level power analysis, Tiwari, Malik and Wolfe,
    IEEE Trans. VLSI Systems 2 (1994) 437, with one price for all instructions.

    >>> e = layer_energy(0.1, sram_bytes=1e6, flash_bytes=0.0, prices=EnergyPrices(0.04, 0.01, 1e-9))
    >>> round(e.core.item(), 9), round(e.sram.item(), 9), round(e.total.item(), 9)
    (0.002, 0.001, 0.004)
    """
    time = np.asarray(latency_s, dtype=np.float64)
    issue = time if issue_s is None else np.asarray(issue_s, dtype=np.float64)
    share = prices.instruction_share
    total = np.asarray(prices.power_w) * ((1.0 - np.asarray(share)) * time + share * issue)
    static = time * np.minimum(prices.static_w, np.asarray(prices.power_w) * (1.0 - np.asarray(share)))
    dynamic = total - static
    sram = np.asarray(sram_bytes) * prices.sram_byte_j + np.zeros_like(dynamic)
    flash = np.asarray(flash_bytes) * prices.flash_byte_j + np.zeros_like(dynamic)
    priced = sram + flash
    fits = np.divide(dynamic, priced, out=np.ones_like(dynamic), where=priced > dynamic)
    sram, flash = sram * fits, flash * fits
    return LayerEnergy(core=dynamic - sram - flash, sram=sram, flash=flash, static=static)


def issue_time(instructions: Real, *, slot_cycles: Real, cycles: Real, clock_hz: Real) -> Floats:
    """Time for which executed instructions fill the issue slots of a core.

    t = min(N slot, C) / f

    instructions N, cycles C [cycle], shape (..., n); slot_cycles: cycles of a one-cycle instruction, below 1 where the
    core issues several at a time; clock_hz f [Hz]. No core retires more than it can issue: counted instructions beyond
    that were not executed (kernels other than the counted ones).

    >>> issue_time(60.0, slot_cycles=1.0, cycles=100.0, clock_hz=10.0).item()
    6.0
    """
    filled = np.minimum(np.asarray(instructions, dtype=np.float64) * np.minimum(slot_cycles, 1.0), cycles)
    time: Floats = filled / clock_hz
    return time


def supply_power(
    current_a: Real, *, rated_v: float, regulator: Regulator, supply_v: float, to: Regulator, rail_v: float = RAIL_V
) -> Floats:
    """Power from a supply, given the current that was drawn at another supply or through another regulator.

    LDO or none: P = I V, because the core's current passes whatever the supply is.
    Converter:   P = I V_rated, the same power at any supply.
    From an LDO to a converter: P = I V_core / efficiency, and back.

    current_a [A] at rated_v [V] through `regulator`; supply_v [V] and `to`: wanted; rail_v = V_core / efficiency [V].
    Valid: inside the supply range of both. Errors: converters lose some per cent of efficiency towards their limits.
    Source: SAM D51 data sheet (LDO 136 and 137 uA/MHz at 1.8 and 3.3 V; buck 185 and 215 uW/MHz there); rail_v is the
    mean of the three MCUs whose data sheets state both regulators: nRF52840 1.57 V, SAM D51 1.46 V, STM32L4R5 1.29 V.

    >>> round(supply_power(0.025, rated_v=1.8, regulator="ldo", supply_v=3.0, to="ldo").item(), 6)
    0.075
    >>> round(supply_power(0.011, rated_v=3.0, regulator="smps", supply_v=1.8, to="smps").item(), 6)
    0.033
    """
    current = np.asarray(current_a, dtype=np.float64)
    core_current = current * (rated_v / rail_v) if regulator == "smps" else current
    power: Floats = core_current * (rail_v if to == "smps" else supply_v)
    return power


def leakage_scale(temperature_c: Real) -> Floats:
    """Leakage over that at 25 degC.

    L = 2^((T - 25) / 10)

    temperature_c [degC], of the junction. Valid: -40 to 125 degC. Errors: the doubling step of real processes is 8 to
    14 K. Source: Roy, Mukhopadhyay and Mahmoodi-Meimand, Proc. IEEE 91 (2003) 305, sec. II.

    >>> leakage_scale(45.0).item()
    4.0
    """
    scale: Floats = np.exp2((np.asarray(temperature_c, dtype=np.float64) - _REFERENCE_C) / LEAKAGE_DOUBLING_K)
    return scale


def running_power(clock_hz: Real, *, clocks_hz: Floats, powers_w: Floats, leakage_w: float) -> Floats:
    """Power while running at a clock, between and beyond the clocks at which it is known.

    P = leakage + (P_1 - leakage) f / f_1 below the first point, linear between points, the last slope beyond.

    clock_hz [Hz]; clocks_hz [Hz] (rising) and powers_w [W], shape (k,); leakage_w [W].
    Source: P = C V^2 f + leakage at constant core voltage; between points of different voltage, their chord.

    >>> running_power(60e6, clocks_hz=np.array([120e6]), powers_w=np.array([0.04]), leakage_w=0.0).item()
    0.02
    """
    at = np.concatenate([[0.0], clocks_hz])
    power = np.concatenate([[leakage_w], powers_w])
    beyond = (power[-1] - power[-2]) / (at[-1] - at[-2]) * np.maximum(np.asarray(clock_hz) - at[-1], 0.0)
    found: Floats = np.interp(clock_hz, at, power) + beyond
    return found
