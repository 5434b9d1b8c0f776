"""Pulses on a cell with internal resistance: sag, a buffer capacitor against brown-out, the converter's drop-out.

Circuit: open-circuit voltage E behind R, a buffer C with series resistance r across the load, a load of constant
current I from t = 0 on a rested circuit. With tau = (R + r) C

    V(t) = E - I R + I R^2 / (R + r) e^{-t / tau}

so the pulse starts at E - I (R || r) and sags towards E - I R. Source: derived here (one linear node equation).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InfeasibleError

__all__ = ["buffer_recovery_s", "min_buffer_f", "pulse_voltage_v"]


def pulse_voltage_v(
    *,
    open_v: ArrayLike,
    resistance_ohm: ArrayLike,
    current_a: ArrayLike,
    duration_s: ArrayLike,
    buffer_f: ArrayLike = 0.0,
    buffer_esr_ohm: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    """Voltage at the load at the end of a pulse, its lowest (see the module). No buffer: E - I R at once.

    >>> float(pulse_voltage_v(open_v=3.0, resistance_ohm=20.0, current_a=15e-3, duration_s=1e-3))
    2.7
    """
    r, i = np.asarray(resistance_ohm, float), np.asarray(current_a, float)
    total = r + np.asarray(buffer_esr_ohm, float)
    tau = total * np.asarray(buffer_f, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where(tau > 0.0, np.exp(-np.asarray(duration_s, float) / tau), 0.0)
        spared = np.where(total > 0.0, i * r * r / total * kept, 0.0)
    return np.asarray(np.asarray(open_v, float) - i * r + spared)


def min_buffer_f(
    *,
    open_v: float,
    resistance_ohm: float,
    current_a: float,
    duration_s: float,
    brownout_v: float,
    buffer_esr_ohm: float = 0.0,
) -> float:
    """Smallest buffer that keeps a pulse above the brown-out level; 0 if the cell alone does.

    C = t / ((R + r) ln(I R^2 / ((R + r) (V_min - E + I R)))).

    Raises:
        InfeasibleError: the voltage is too low at rest, or the jump over R || r alone browns out.

    >>> f"{min_buffer_f(open_v=3.0, resistance_ohm=100.0, current_a=15e-3, duration_s=5e-3, brownout_v=2.0):.3e}"
    '4.551e-05'
    """
    deep = open_v - current_a * resistance_ohm
    if deep >= brownout_v:
        return 0.0
    total = resistance_ohm + buffer_esr_ohm
    first = deep + current_a * resistance_ohm**2 / total
    if first <= brownout_v:
        raise InfeasibleError(
            f"a pulse of {current_a:g} A browns out at once: {first:.3f} V at the load, {brownout_v:g} V needed; "
            f"no buffer with an ESR of {buffer_esr_ohm:g} ohm helps"
        )
    return duration_s / (total * math.log((first - deep) / (brownout_v - deep)))


def buffer_recovery_s(
    *, resistance_ohm: float, buffer_f: float, remaining: float = 0.01, buffer_esr_ohm: float = 0.0
) -> float:
    """Time until all but a share `remaining` of a sag is recharged: t = (R + r) C ln(1 / remaining).

    Shorter gaps between pulses let the sag build up, which a `CircuitCell` with an RC pair shows.
    """
    return (resistance_ohm + buffer_esr_ohm) * buffer_f * math.log(1.0 / remaining)
