"""Exact motion of a capacitor's voltage under a port: when it crosses a level, where it is after a time.

No time step: crossings come from the closed form of `tinysim.supply.port`; the inverse (voltage after a time) is a
closed form for linear and for pure-power bands and a safeguarded Newton iteration to 1e-13 otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinysim.errors import InputError
from tinysim.supply.capacitors import Capacitor
from tinysim.supply.port import Band, Port, band_time_s, knee_v

__all__ = ["Stop", "advance", "crossing_time_s", "voltage_after_v"]


@dataclass(frozen=True, slots=True)
class Stop:
    """Where an `advance` ended: after `time_s` at `voltage_v`, because of `reason`: low, high, time, or collapse.

    `collapse`: a constant-power load asks for more than the ESR lets through; the terminal voltage breaks down.
    """

    time_s: float
    voltage_v: float
    reason: str


def crossing_time_s(capacitor: Capacitor, port: Port, from_v: float, to_v: float) -> float:
    """Time for the terminal voltage to get from one value to another under a port; inf if it never does.

    >>> from tinysim.supply.port import constant_current
    >>> round(crossing_time_s(Capacitor(100e-6), constant_current(400e-6), 1.8, 3.0), 12)
    0.3
    """
    if min(from_v, to_v) < 0.0:
        raise InputError(f"crossing_time_s: voltages {from_v}, {to_v} must not be negative")
    rising, time, at = to_v > from_v, 0.0, from_v
    while at != to_v:
        band = port.band_at(at, rising=rising)
        edge = min(to_v, band.high_v) if rising else max(to_v, band.low_v)
        time += band_time_s(capacitor, band, at, edge)
        if math.isinf(time):
            return math.inf
        at = edge
    return time


def voltage_after_v(capacitor: Capacitor, port: Port, from_v: float, duration_s: float) -> float:
    """Terminal voltage after a time under a port.

    >>> from tinysim.supply.port import constant_power
    >>> voltage_after_v(Capacitor(100e-6), constant_power(-9e-3), 3.0, 0.032)
    1.8
    """
    return advance(capacitor, port, from_v, duration_s=duration_s).voltage_v


def advance(
    capacitor: Capacitor,
    port: Port,
    from_v: float,
    *,
    duration_s: float = math.inf,
    low_v: float = 0.0,
    high_v: float = math.inf,
) -> Stop:
    """Move until a time has passed or the terminal voltage reaches `low_v` falling or `high_v` rising.

    An equilibrium that is never left holds the voltage for the whole duration.
    """
    time, at = 0.0, from_v
    while True:
        rising = _direction(capacitor, port, at)
        if rising is None:
            return Stop(duration_s, at, "time")
        limit = high_v if rising else low_v
        if at >= limit if rising else at <= limit:
            return Stop(time, at, "high" if rising else "low")
        band = port.band_at(at, rising=rising)
        knee = knee_v(capacitor, band)
        if at <= knee and knee > 0.0:
            return Stop(time, at, "collapse")
        edge = min(limit, band.high_v) if rising else max(limit, band.low_v, knee)
        span = band_time_s(capacitor, band, at, edge) if math.isfinite(edge) else math.inf
        if time + span > duration_s or math.isinf(span):
            left = duration_s - time
            return Stop(duration_s, _inside(capacitor, band, at, edge, left, rising=rising), "time")
        time, at = time + span, edge


def _direction(capacitor: Capacitor, port: Port, at_v: float) -> bool | None:
    """True if the voltage rises, False if it falls, None if it rests (also on a corner between bands)."""
    up = _flow(capacitor, port.band_at(at_v, rising=True), at_v)
    if up > 0.0:
        return True
    if at_v > 0.0 and _flow(capacitor, port.band_at(at_v, rising=False), at_v) < 0.0:
        return False
    return None


def _flow(capacitor: Capacitor, band: Band, at_v: float) -> float:
    """f(U) of the module `port`, which has the sign of dU/dt."""
    g, r = capacitor.leakage_s, capacitor.esr_ohm
    grow = 1.0 + g * r
    if at_v == 0.0 and band.power_w == 0.0:
        return band.current_a * grow
    return band.power_w * grow + band.current_a * grow * at_v - (band.conductance_s * grow + g) * at_v * at_v


def _inside(
    capacitor: Capacitor, band: Band, start_v: float, edge_v: float, duration_s: float, *, rising: bool
) -> float:
    """Voltage after a time that ends inside a band."""
    c, g, r = capacitor.capacitance_f, capacitor.leakage_s, capacitor.esr_ohm
    grow = 1.0 + g * r
    i, s = band.current_a * grow, band.conductance_s * grow + g
    if band.power_w == 0.0:
        rate = s / (c * (1.0 + r * band.conductance_s))
        if s == 0.0:
            return start_v + i * duration_s / c
        return start_v - (i - s * start_v) / s * math.expm1(-rate * duration_s)
    if band.current_a == 0.0 and r == 0.0:
        square = start_v * start_v
        if s == 0.0:
            square += 2.0 * band.power_w * duration_s / c
        else:
            square -= (band.power_w - s * square) / s * math.expm1(-2.0 * s * duration_s / c)
        return math.sqrt(max(square, 0.0))
    if math.isinf(edge_v):
        edge_v = max(2.0 * start_v, 1.0)
        while band_time_s(capacitor, band, start_v, edge_v) < duration_s:
            edge_v *= 2.0
    return _invert(capacitor, band, start_v, edge_v, duration_s)


def _invert(capacitor: Capacitor, band: Band, start_v: float, edge_v: float, duration_s: float) -> float:
    """Solve band_time_s(start, U) = duration for U by Newton's method kept inside a shrinking bracket."""
    near, far = start_v, edge_v
    guess = 0.5 * (near + far)
    for _ in range(200):
        error = band_time_s(capacitor, band, start_v, guess) - duration_s
        if error < 0.0:
            near = guess
        else:
            far = guess
        if abs(far - near) <= 1e-15 * max(abs(far), abs(near)):
            break
        slope = _seconds_per_volt(capacitor, band, guess)
        step = guess - error / slope if math.isfinite(error) and slope else math.nan
        new = step if min(near, far) < step < max(near, far) else 0.5 * (near + far)
        if abs(new - guess) <= 1e-15 * abs(new) and math.isfinite(error):
            return new
        guess = new
    return guess


def _seconds_per_volt(capacitor: Capacitor, band: Band, at_v: float) -> float:
    r = capacitor.esr_ohm
    flow = _flow(capacitor, band, at_v)
    if flow == 0.0:
        return math.inf
    top = (1.0 + r * band.conductance_s) * at_v * at_v + r * band.power_w
    return capacitor.capacitance_f * top / (at_v * flow)
