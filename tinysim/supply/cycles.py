"""On and off times of a hysteresis-switched load under constant input: the closed form, for whole arrays at once."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InputError
from tinysim.supply.capacitors import Capacitor

__all__ = ["cycle_times_s"]

Array = NDArray[np.float64]


def cycle_times_s(
    capacitor: Capacitor,
    inputs: ArrayLike,
    *,
    on_draw: ArrayLike,
    off_draw: ArrayLike = 0.0,
    on_v: ArrayLike,
    off_v: ArrayLike,
    kind: Literal["power", "current"] = "power",
) -> tuple[Array, Array]:
    """(time on, time off) of one cycle for each input; inf where the load never switches off, or never on.

    With x = V^2 and k = 2/C (power) or x = V and k = 1/C (current), net input n and leakage conductance g:
    t = -1/(k g) ln((n - g x_end) / (n - g x_start)), k^-1 (x_end - x_start) / n without leakage.
    Input, draws and thresholds broadcast, so a grid of designs is one call. A feed that changes slowly against the
    cycle runs through input / (on + off) cycles per second; `tinysim.supply.stepping.run` is exact for any feed.

    >>> on, off = cycle_times_s(Capacitor(100e-6), [1e-3, 20e-3], on_draw=10e-3, on_v=3.0, off_v=1.8)
    >>> on.round(9).tolist(), off.round(9).tolist()
    ([0.032, inf], [0.288, 0.0144])
    """
    high, low = np.asarray(on_v, float), np.asarray(off_v, float)
    if np.any(low >= high) or np.any(low < 0.0):
        raise InputError(f"cycle_times_s: turn-on at {on_v!r} V must be above turn-off at {off_v!r} V")
    if capacitor.esr_ohm:
        raise InputError("cycle_times_s: an ESR is not part of this closed form; use tinysim.supply.motion")
    power = kind == "power"
    k = (2.0 if power else 1.0) / capacitor.capacitance_f
    top, bottom = (high * high, low * low) if power else (high, low)
    given = np.asarray(inputs, float)
    on = _span(given - np.asarray(on_draw, float), top, bottom, k, capacitor.leakage_s)
    off = _span(given - np.asarray(off_draw, float), bottom, top, k, capacitor.leakage_s)
    return on, off


def _span(net: Array, start: Array, end: Array, k: float, g: float) -> Array:
    """Time from x = start to x = end; inf if the drift does not lead there."""
    with np.errstate(divide="ignore", invalid="ignore"):
        first, step = net - g * start, end - start
        if g == 0.0:
            return np.asarray(np.where(first * step > 0.0, step / (k * first), np.inf))
        share = g * step / first
        return np.asarray(np.where((first * step > 0.0) & (share < 1.0), -np.log1p(-share) / (k * g), np.inf))
