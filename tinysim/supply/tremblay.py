"""Discharge voltage after Shepherd and Tremblay, from three points of a data-sheet curve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InputError

__all__ = ["DischargeCurve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DischargeCurve:
    """V(q, i) = E0 - R i - K Q / (Q - q) (q + i* 3600 s) + A e^{-B q} with i* the current after a 30 s filter.

    Constants from the full cell, the end of the exponential and of the nominal zone (charge in Ah, as data sheets
    draw it): A = V_full - V_exp, B = 3 / Q_exp, E0 = V_full + R I_typ - A,
    K = (E0 - V_nom - R I_typ + A e^{-B Q_nom}) / (Q / (Q - Q_nom) (Q_nom + I_typ)). Lithium cells, discharge.
    Source: Tremblay, Dessaint 2009, in the form of ns-3's GenericBatteryModel.
    """

    full_v: float
    exponential_v: float
    nominal_v: float
    capacity_ah: float
    exponential_ah: float
    nominal_ah: float
    resistance_ohm: float
    typical_current_a: float
    filter_s: float = 30.0

    def __post_init__(self) -> None:
        if not 0.0 < self.exponential_ah < self.nominal_ah < self.capacity_ah:
            raise InputError("DischargeCurve: needs 0 < exponential_ah < nominal_ah < capacity_ah")

    def voltage_v(self, time_s: ArrayLike, current_a: float) -> NDArray[np.float64]:
        """Terminal voltage of a full cell after a constant current for a time.

        >>> curve = DischargeCurve(full_v=4.17, exponential_v=3.714, nominal_v=3.57, capacity_ah=2.33,
        ...     exponential_ah=1.74, nominal_ah=2.14, resistance_ohm=0.083, typical_current_a=0.466)
        >>> round(float(curve.voltage_v(3459.0, 2.33)), 3)
        3.002
        """
        t = np.asarray(time_s, float)
        q = current_a * t / 3600.0
        a, b = self.full_v - self.exponential_v, 3.0 / self.exponential_ah
        drop = self.resistance_ohm * self.typical_current_a
        e0 = self.full_v + drop - a
        whole, nominal = self.capacity_ah, self.nominal_ah
        k = (e0 - self.nominal_v - drop + a * math.exp(-b * nominal)) / (
            whole / (whole - nominal) * (nominal + self.typical_current_a)
        )
        filtered = current_a * -np.expm1(-t / self.filter_s)
        with np.errstate(divide="ignore"):
            polarisation = k * whole / np.where(q < whole, whole - q, 0.0)
        return np.asarray(e0 - self.resistance_ohm * current_a - polarisation * (filtered + q) + a * np.exp(-b * q))
