"""Where on its I-V surface a harvester is operated, and what power that yields over time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import InputError
from tinysim.supply.traces import DiodeSurface, PowerTrace, VITrace

__all__ = ["constant_voltage", "fractional_open_voltage", "optimal", "perturb_and_observe"]


def constant_voltage(surface: DiodeSurface, voltage_v: float) -> VITrace:
    """The surface held at one voltage."""
    volts = np.full(surface.time_s.size, voltage_v)
    return VITrace(surface.time_s, volts, surface.current_a(volts), surface.name)


def optimal(surface: DiodeSurface) -> PowerTrace:
    """Maximum power at every instant: Newton's method on d(v i)/dv = 0, exact."""
    v = 0.75 * surface.open_v()
    a, b, c = surface.a_a, surface.b_a, surface.c_per_v
    for _ in range(60):  # p' = a + b - b e^{cv} (1 + c v) falls in v and is concave: Newton from any side converges
        e = b * np.exp(c * v)
        step = (a + b - e * (1.0 + c * v)) / (e * c * (2.0 + c * v))
        v = v + step
        if np.all(np.abs(step) <= 1e-13 * np.abs(v)):
            break
    return PowerTrace(surface.time_s, np.maximum(v * surface.current_a(v), 0.0), surface.name)


def fractional_open_voltage(surface: DiodeSurface, *, fraction: float, interval_s: float, sampling_s: float) -> VITrace:
    """A tracker that opens the input every `interval_s` for `sampling_s` and then holds a fraction of V_oc.

    V_oc is read at the end of the sampling time, during which nothing is harvested (BQ25504/BQ25570: 16 s, 256 ms).
    The surface's grid is the resolution; a sampling time shorter than it is charged as a share of one step.
    """
    if not 0.0 < fraction < 1.0 or not 0.0 < sampling_s < interval_s:
        raise InputError("fractional_open_voltage: needs 0 < fraction < 1 and 0 < sampling_s < interval_s")
    time = surface.time_s - surface.time_s[0]
    round_start = np.floor(time / interval_s * (1.0 + 1e-12)) * interval_s
    held = fraction * np.interp(np.minimum(round_start + sampling_s, time[-1]), time, surface.open_v())
    return VITrace(
        surface.time_s, held, surface.current_a(held) * _open_share(time, round_start, sampling_s), surface.name
    )


def _open_share(time: NDArray[np.float64], round_start: NDArray[np.float64], sampling_s: float) -> NDArray[np.float64]:
    """Share of each step that lies after the sampling time."""
    span = np.diff(time, append=2.0 * time[-1] - time[-2])
    return np.asarray(np.clip((time + span - round_start - sampling_s) / span, 0.0, 1.0))


def perturb_and_observe(
    surface: DiodeSurface, *, step_v: float, interval_s: float, start_v: float, max_v: float
) -> VITrace:
    """A tracker that steps its voltage, doubles the step while power rises and turns when it falls.

    It acts on whole curves of the surface: the interval is rounded up to the surface's grid.
    """
    grid = float(surface.time_s[1] - surface.time_s[0])
    stride = max(math.ceil(interval_s / grid - 1e-9), 1)
    picks = np.arange(0, surface.time_s.size, stride)
    volts = np.empty(picks.size)
    a, b, c = (x[picks].tolist() for x in (surface.a_a, surface.b_a, surface.c_per_v))
    v, step, rising, last = start_v, step_v, False, 0.0
    for n in range(picks.size):
        volts[n] = v
        power = v * max(a[n] - b[n] * math.expm1(min(c[n] * v, 500.0)), 0.0)
        if power > last:
            v += step if rising else -step
            step *= 2.0
        elif power <= 0.0:  # beyond open circuit: search downwards
            rising, step = True, step_v
            v -= 4.0 * step_v
        else:
            rising, step = not rising, step_v
            v += step if rising else -step
        last = power
        if v >= max_v:
            v, rising, step = max_v, False, step_v
        if v <= step_v:
            v, rising, step = step_v, True, step_v
    held = np.repeat(volts, stride)[: surface.time_s.size]
    return VITrace(surface.time_s, held, surface.current_a(held), surface.name)
