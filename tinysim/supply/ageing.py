"""What time, temperature and cycling take from a cell: self-discharge, shelf life, derating, ageing, drop-out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InfeasibleError, InputError
from tinysim.supply.batteries import CircuitCell
from tinysim.supply.cell import Cell

__all__ = [
    "arrhenius_factor",
    "capacity_at",
    "cutoff_from_dropout_v",
    "cycle_fade",
    "derated",
    "leakage_from_self_discharge_ohm",
    "self_discharge_per_s",
    "shelf_life_s",
]

_YEAR_S = 365.25 * 86400.0
_GAS = 8.314462618  # J/(mol K), CODATA 2018

C = TypeVar("C", bound=Cell)


def self_discharge_per_s(share_lost: float, over_s: float = _YEAR_S) -> float:
    """Rate of the linear loss of capacity: share / time.

    >>> round(self_discharge_per_s(0.01) * 86400 * 365.25, 12)
    0.01
    """
    if not 0.0 <= share_lost < 1.0:
        raise InputError(f"self_discharge_per_s: share_lost = {share_lost} must lie in [0, 1)")
    return share_lost / over_s


def shelf_life_s(rate_per_s: float, usable_share: float) -> float:
    """Time on the shelf until only a share of the capacity is left: t = (1 - share) / rate."""
    return math.inf if rate_per_s == 0.0 else (1.0 - usable_share) / rate_per_s


def leakage_from_self_discharge_ohm(*, capacity_c: float, voltage_v: float, share_lost: float, over_s: float) -> float:
    """Resistance across a cell that loses a share of its charge over a time: R = V t / (share Q).

    >>> month = 30 * 86400.0
    >>> round(leakage_from_self_discharge_ohm(capacity_c=360.0, voltage_v=3.8, share_lost=0.05, over_s=month))
    547200
    """
    return voltage_v * over_s / (share_lost * capacity_c)


def arrhenius_factor(
    temperature_k: ArrayLike, *, reference_k: float = 298.15, activation_j_mol: float
) -> NDArray[np.float64]:
    """Speed of a thermally activated loss against the reference: exp(Ea/R (1/T0 - 1/T)).

    Valid where one reaction dominates (self-discharge, calendar ageing), roughly 273..333 K.

    >>> float(arrhenius_factor(298.15, activation_j_mol=50e3))
    1.0
    """
    t = np.asarray(temperature_k, float)
    return np.asarray(np.exp(activation_j_mol / _GAS * (1.0 / reference_k - 1.0 / t)))


def capacity_at(temperature_k: ArrayLike, *, table_k: ArrayLike, table_share: ArrayLike) -> NDArray[np.float64]:
    """Share of the nominal capacity at a temperature, linear between points of a data sheet.

    Raises:
        InputError: a temperature outside the table; a cell is not extrapolated.

    >>> round(float(capacity_at(273.15, table_k=[253.15, 293.15], table_share=[0.578, 1.0])), 9)
    0.789
    """
    t, x, y = (np.asarray(a, float) for a in (temperature_k, table_k, table_share))
    if x.size != y.size or x.size < 2 or np.any(np.diff(x) <= 0):
        raise InputError("capacity_at: table_k must rise and be as long as table_share")
    if np.any(t < x[0]) or np.any(t > x[-1]):
        raise InputError(f"capacity_at: {float(t.min()):.6g} K outside the table {x[0]:g}..{x[-1]:g} K")
    return np.asarray(np.interp(t, x, y))


def cycle_fade(cycles: ArrayLike, *, rated_cycles: float, rated_share: float) -> NDArray[np.float64]:
    """Capacity left after full cycles, linear in the charge turned over: 1 - (1 - share) n / N.

    Valid up to about the rated end of life (data sheets give share 0.8 after N cycles).

    >>> float(cycle_fade(250, rated_cycles=500, rated_share=0.8))
    0.9
    """
    return np.asarray(1.0 - (1.0 - rated_share) * np.asarray(cycles, float) / rated_cycles)


def cutoff_from_dropout_v(
    *, load_min_v: float, dropout_v: float = 0.0, dropout_ohm: float = 0.0, current_a: float = 0.0
) -> float:
    """Cell voltage at which a regulator loses the load: V_load + V_dropout + R_dropout I."""
    return load_min_v + dropout_v + dropout_ohm * current_a


def derated(cell: C, *, capacity_factor: float = 1.0, resistance_factor: float = 1.0) -> C:
    """The cell with less capacity and, if it has any, more internal resistance (cold, age).

    Raises:
        InfeasibleError: nothing is left.
        InputError: a resistance factor for a model without resistance.
    """
    if capacity_factor <= 0.0:
        raise InfeasibleError(f"derated: a capacity factor of {capacity_factor} leaves nothing")
    if isinstance(cell, CircuitCell):
        pairs = tuple((r * resistance_factor, c / resistance_factor) for r, c in cell.pairs)
        return replace(
            cell,
            capacity_c=cell.capacity_c * capacity_factor,
            resistance_ohm=cell.resistance_ohm * resistance_factor,
            resistances_ohm=tuple(r * resistance_factor for r in cell.resistances_ohm),
            pairs=pairs,
        )
    if resistance_factor != 1.0:
        raise InputError(f"derated: {type(cell).__name__} has no resistance to scale; use a CircuitCell")
    return replace(cell, capacity_c=cell.capacity_c * capacity_factor)
