"""Capacitors as energy stores: usable energy, smallest capacitance, checkpoint levels, DC-bias derating."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InfeasibleError, InputError

__all__ = [
    "Capacitor",
    "checkpoint_voltage_v",
    "effective_capacitance_f",
    "min_capacitance_f",
    "recharge_time_s",
    "usable_energy_j",
    "voltage_after_energy_v",
]


@dataclass(frozen=True, slots=True)
class Capacitor:
    """A capacitor C with a leakage resistance across it and an equivalent series resistance (ESR).

    `rated_v` is its highest voltage; a run clips the surplus there.

    >>> Capacitor(2.0).energy_j(3.0)
    9.0
    """

    capacitance_f: float
    leakage_ohm: float = math.inf
    esr_ohm: float = 0.0
    rated_v: float = math.inf

    def __post_init__(self) -> None:
        for name, low in (("capacitance_f", True), ("leakage_ohm", True), ("esr_ohm", False), ("rated_v", True)):
            value = getattr(self, name)
            if math.isnan(value) or value < 0 or (low and value == 0):
                raise InputError(f"Capacitor.{name} = {value!r}: accepted is a number {'> 0' if low else '>= 0'}")
        if math.isinf(self.capacitance_f) or math.isinf(self.esr_ohm):
            raise InputError("Capacitor: capacitance_f and esr_ohm must be finite")

    @property
    def leakage_s(self) -> float:
        """Conductance of the leakage path, siemens."""
        return 1.0 / self.leakage_ohm

    def energy_j(self, voltage_v: float) -> float:
        """Stored energy E = C V^2 / 2."""
        return 0.5 * self.capacitance_f * voltage_v * voltage_v


def usable_energy_j(*, capacitance_f: ArrayLike, high_v: ArrayLike, low_v: ArrayLike) -> NDArray[np.float64]:
    """Energy that a capacitor gives between two voltages.

    E = C (V_high^2 - V_low^2) / 2; no ESR, no leakage.
    Source: iNAS plat_energy_costs.py (reboot energy from an oscilloscope).

    >>> f"{usable_energy_j(capacitance_f=330e-6, high_v=2.99, low_v=2.91):.4g}"
    '7.788e-05'
    """
    high, low = np.asarray(high_v, float), np.asarray(low_v, float)
    return np.asarray(0.5 * np.asarray(capacitance_f, float) * (high - low) * (high + low))


def min_capacitance_f(*, energy_j: ArrayLike, on_v: ArrayLike, off_v: ArrayLike) -> NDArray[np.float64]:
    """Smallest capacitance whose swing from turn-on to turn-off holds an energy: C = 2 E / (V_on^2 - V_off^2).

    Raises:
        InputError: turn-on not above turn-off.

    >>> f"{min_capacitance_f(energy_j=1e-3, on_v=3.0, off_v=1.8):.6g}"
    '0.000347222'
    """
    on, off = np.asarray(on_v, float), np.asarray(off_v, float)
    if np.any(on <= off):
        raise InputError(f"min_capacitance_f: on_v = {on_v!r} must be above off_v = {off_v!r}")
    return np.asarray(2.0 * np.asarray(energy_j, float) / ((on - off) * (on + off)))


def checkpoint_voltage_v(*, capacitance_f: ArrayLike, off_v: ArrayLike, energy_j: ArrayLike) -> NDArray[np.float64]:
    """Voltage at which just enough is left for a checkpoint: V = sqrt(V_off^2 + 2 E / C).

    Source: the V_H form of Hibernus, as in CapSimu camsimu.py.

    >>> f"{checkpoint_voltage_v(capacitance_f=330e-6, off_v=1.8, energy_j=128 * 101.475e-9):.10f}"
    '1.8217354363'
    """
    return np.asarray(np.sqrt(np.square(off_v) + 2.0 * np.asarray(energy_j, float) / np.asarray(capacitance_f, float)))


def voltage_after_energy_v(*, capacitance_f: ArrayLike, from_v: ArrayLike, energy_j: ArrayLike) -> NDArray[np.float64]:
    """Voltage left after giving an energy: V = sqrt(V0^2 - 2 E / C); NaN if there is not as much.

    >>> float(voltage_after_energy_v(capacitance_f=2.0, from_v=5.0, energy_j=16.0))
    3.0
    """
    left = np.square(from_v) - 2.0 * np.asarray(energy_j, float) / np.asarray(capacitance_f, float)
    return np.asarray(np.sqrt(np.where(left < 0, np.nan, left)))


def recharge_time_s(
    *, capacitance_f: float, source_v: float, source_ohm: float, on_v: float, off_v: float, energy_j: float = 0.0
) -> float:
    """Time to reach turn-on from a Thevenin source after a burst that left `energy_j` above the turn-off level.

    V_0 = sqrt(V_off^2 + 2 energy / C); t = -R C ln((V_on - V_s) / (V_0 - V_s)).
    Source: iNAS capacitor.py, cal_cap_recharge_time_custom (energy = what was available less what was spent).

    Raises:
        InfeasibleError: the source never lifts the capacitor to `on_v`.
    """
    if source_v <= on_v:
        raise InfeasibleError(f"a source of {source_v} V never charges the capacitor to turn-on at {on_v} V")
    start = math.sqrt(off_v**2 + 2.0 * energy_j / capacitance_f)
    return -source_ohm * capacitance_f * math.log((on_v - source_v) / (start - source_v))


def effective_capacitance_f(
    *, bias_v: ArrayLike, capacitance_fraction: ArrayLike, nominal_f: float, low_v: float, high_v: float
) -> float:
    """Capacitance that stores as much energy over a swing as a ceramic part whose C falls with DC bias.

    E = int V C(V) dV with C(V) linear between the table's points (`bias_v` rising, fraction of nominal);
    C_eff = 2 E / (V_high^2 - V_low^2). Exact for the piecewise-linear table.

    Raises:
        InputError: table out of order, or the swing outside it.

    >>> effective_capacitance_f(bias_v=[0, 4], capacitance_fraction=[1, 1], nominal_f=1e-4, low_v=2, high_v=3)
    0.0001
    """
    bias, part = np.asarray(bias_v, float), np.asarray(capacitance_fraction, float)
    if np.any(np.diff(bias) <= 0) or bias.size != part.size:
        raise InputError("effective_capacitance_f: bias_v must rise and be as long as capacitance_fraction")
    if not bias[0] <= low_v < high_v <= bias[-1]:
        raise InputError(
            f"effective_capacitance_f: swing {low_v}..{high_v} V outside the table {bias[0]}..{bias[-1]} V"
        )
    inner = bias[(bias > low_v) & (bias < high_v)]
    v = np.concatenate(([low_v], inner, [high_v]))
    c = nominal_f * np.interp(v, bias, part)
    a, b = v[:-1], v[1:]
    slope = np.diff(c) / (b - a)
    energy = np.sum((c[:-1] - slope * a) * (b**2 - a**2) / 2.0 + slope * (b**3 - a**3) / 3.0)
    return float(2.0 * energy / (high_v**2 - low_v**2))
