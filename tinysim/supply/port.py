"""What meets the terminals of a capacitor, as current over voltage, and the exact motion of the voltage under it.

A port draws or gives the net current  i(U) = I + P/U - S U  (I constant current, P constant power, S conductance;
a Thevenin source E behind R is I = E/R, S = 1/R). Between the points of a measured I-V curve that form is exact for
linear interpolation, so a `Port` is a list of such bands over voltage, and ports add.

With an ESR R and a leakage conductance G inside the capacitor, U = V + R i(U) and C dV/dt = i(U) - G V give

    dt = C ((1 + R S) U^2 + R P) / (U f(U)) dU,   f(U) = P(1+GR) + I(1+GR) U - (S(1+GR) + G) U^2,

whose integral is elementary; `crossing_time_s` evaluates it without cancellation, `voltage_after_v` inverts it.
Source: derived here; checked against numerical integration in the tests.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from tinysim.errors import InfeasibleError, InputError
from tinysim.supply.capacitors import Capacitor

__all__ = ["Band", "Port", "constant_current", "constant_power", "iv_curve", "resistor", "thevenin"]


@dataclass(frozen=True, slots=True)
class Band:
    """Net current I + P/U - S U into the capacitor between two terminal voltages."""

    low_v: float
    high_v: float
    current_a: float = 0.0
    power_w: float = 0.0
    conductance_s: float = 0.0

    def current_at(self, voltage_v: float) -> float:
        """Net current into the capacitor at a terminal voltage."""
        power_part = self.power_w / voltage_v if self.power_w else 0.0
        return self.current_a + power_part - self.conductance_s * voltage_v


@dataclass(frozen=True, slots=True)
class Port:
    """Bands that meet at rising voltages and cover 0 V to infinity. Ports add; a load is `-port`."""

    bands: tuple[Band, ...]

    def __post_init__(self) -> None:
        bands = self.bands
        if not bands or bands[0].low_v != 0.0 or bands[-1].high_v != math.inf:
            raise InputError("Port: the bands must cover 0 V to infinity")
        for left, right in itertools.pairwise(bands):
            if left.high_v != right.low_v or left.low_v >= left.high_v:
                raise InputError(f"Port: bands must meet at rising voltages, not at {left.high_v} and {right.low_v} V")

    def __add__(self, other: Port) -> Port:
        if len(self.bands) == len(other.bands) == 1:
            return Port((_sum(self.bands[0], other.bands[0], 0.0, math.inf),))
        edges = [*sorted({band.low_v for band in self.bands} | {band.low_v for band in other.bands}), math.inf]
        mine, theirs = iter(self.bands), iter(other.bands)
        left, right = next(mine), next(theirs)
        out = []
        for low, high in itertools.pairwise(edges):
            while left.high_v <= low:
                left = next(mine)
            while right.high_v <= low:
                right = next(theirs)
            out.append(_sum(left, right, low, high))
        return Port(tuple(out))

    def __neg__(self) -> Port:
        return self.scaled(-1.0)

    def __sub__(self, other: Port) -> Port:
        return self + (-other)

    def scaled(self, factor: float) -> Port:
        """The port with every current multiplied, as by more cells in parallel."""
        return Port(
            tuple(
                replace(
                    band,
                    current_a=band.current_a * factor,
                    power_w=band.power_w * factor,
                    conductance_s=band.conductance_s * factor,
                )
                for band in self.bands
            )
        )

    def current_at(self, voltage_v: float) -> float:
        """Net current into the capacitor at a terminal voltage (the upper band where two meet)."""
        return self.band_at(voltage_v, rising=True).current_at(voltage_v)

    def band_at(self, voltage_v: float, *, rising: bool) -> Band:
        """The band that rules at a voltage; at an edge the one on the side the voltage moves to."""
        for band in self.bands:
            if voltage_v < band.high_v or (not rising and voltage_v == band.high_v):
                return band
        return self.bands[-1]


def _sum(a: Band, b: Band, low_v: float, high_v: float) -> Band:
    return Band(
        low_v,
        high_v,
        a.current_a + b.current_a,
        a.power_w + b.power_w,
        a.conductance_s + b.conductance_s,
    )


def constant_current(current_a: float) -> Port:
    """A source (or, negative, a load) of constant current.

    >>> constant_current(1e-3).current_at(3.0)
    0.001
    """
    return Port((Band(0.0, math.inf, current_a=current_a),))


def constant_power(power_w: float) -> Port:
    """A source (or, negative, a load) of constant power, as behind a converter.

    >>> constant_power(3e-3).current_at(3.0)
    0.001
    """
    return Port((Band(0.0, math.inf, power_w=power_w),))


def resistor(resistance_ohm: float) -> Port:
    """A resistive load.

    >>> resistor(1000.0).current_at(3.0)
    -0.003
    """
    return Port((Band(0.0, math.inf, conductance_s=1.0 / resistance_ohm),))


def thevenin(source_v: float, source_ohm: float, *, diode: bool = False) -> Port:
    """A voltage source behind a resistance; with `diode` it never draws current back.

    >>> thevenin(3.0, 2.0).current_at(2.0)
    0.5
    """
    band = Band(0.0, math.inf, current_a=source_v / source_ohm, conductance_s=1.0 / source_ohm)
    if not diode:
        return Port((band,))
    return Port((replace(band, high_v=source_v), Band(source_v, math.inf)))


def iv_curve(voltage_v: ArrayLike, current_a: ArrayLike, *, diode_drop_v: float = 0.0) -> Port:
    """A harvester wired straight to the capacitor: measured (V, I) points, linear between, no current above the last.

    `diode_drop_v` shifts the curve down by the drop of a series diode. Below the first point the current is held.

    Raises:
        InputError: voltages that do not rise, negative voltages or currents, fewer than two points.

    >>> port = iv_curve([0, 2, 3], [2e-3, 2e-3, 0])
    >>> port.current_at(2.5), port.current_at(4.0)
    (0.001, 0.0)
    """
    v, i = np.asarray(voltage_v, float) - diode_drop_v, np.asarray(current_a, float)
    if v.size < 2 or v.size != i.size:
        raise InputError(f"iv_curve: needs two or more points in pairs, got {v.size} voltages and {i.size} currents")
    if not (np.all(np.isfinite(v)) and np.all(np.isfinite(i))) or np.any(np.diff(v) <= 0):
        raise InputError("iv_curve: voltages must be finite and rise from point to point")
    if np.any(i < 0) or v[0] + diode_drop_v < 0:
        raise InputError("iv_curve: voltages and currents must not be negative (a source gives positive current)")
    bands = [Band(0.0, float(v[0]), current_a=float(i[0]))] if v[0] > 0 else []
    for a, b, ia, ib in zip(v[:-1], v[1:], i[:-1], i[1:], strict=True):
        if b <= 0:
            continue
        slope = (ib - ia) / (b - a)
        bands.append(Band(max(float(a), 0.0), float(b), float(ia - slope * a), 0.0, float(-slope)))
    bands.append(Band(float(v[-1]), math.inf))
    return Port(tuple(bands))


def _log_ratio(root: float, start: float, end: float) -> float:
    """ln((end - root) / (start - root)) for a root outside [start, end], without cancellation."""
    return math.log1p((end - start) / (start - root))


def band_time_s(capacitor: Capacitor, band: Band, start_v: float, end_v: float) -> float:
    """Time for the terminal voltage to move from one value to another inside a band; inf if it never does.

    Raises:
        InfeasibleError: a constant-power load on an ESR beyond the maximum of the power that the part can give.
    """
    if end_v == start_v:
        return 0.0
    c, g, r = capacitor.capacitance_f, capacitor.leakage_s, capacitor.esr_ohm
    grow = 1.0 + g * r
    p, i, s = band.power_w * grow, band.current_a * grow, band.conductance_s * grow + g
    step = end_v - start_v
    if p == 0.0:
        return c * (1.0 + r * band.conductance_s) * _linear_time(i, s, start_v, end_v)
    flow = p + i * start_v - s * start_v * start_v
    flow_end = p + i * end_v - s * end_v * end_v
    if flow == 0.0 or flow * step < 0.0 or flow * flow_end <= 0.0:
        return math.inf
    disc = i * i + 4.0 * s * p
    if i == 0.0 and s == 0.0:  # pure power
        t0, t1 = step / p, step * (start_v + end_v) / (2.0 * p)
    elif disc > 0.0:
        width = math.sqrt(disc)
        half = (i + math.copysign(width, i)) / 2.0
        near = -p / half  # the root that stays finite as s -> 0
        if _between(near, start_v, end_v) or (s != 0.0 and _between(half / s, start_v, end_v)):
            return math.inf
        log_near = _log_ratio(near, start_v, end_v)
        if s == 0.0:
            t0, t1 = log_near / half, (step + near * log_near) / half
        else:
            far = half / s
            sign = math.copysign(1.0, half)
            log_far = _log_ratio(far, start_v, end_v)
            t0 = -sign * (log_far - log_near) / width
            t1 = -sign * (far * log_far - near * log_near) / width
    elif disc == 0.0:  # a double root i / 2s, never inside since flow keeps its sign
        root = i / (2.0 * s)
        inverse = step / ((start_v - root) * (end_v - root))
        t0 = -inverse / s
        t1 = -(_log_ratio(root, start_v, end_v) + root * inverse) / s
    else:
        width = math.sqrt(-disc)
        x, y = (2.0 * s * end_v - i) / width, (2.0 * s * start_v - i) / width
        angle = math.atan2(x - y, 1.0 + x * y)
        t0 = -2.0 * angle / width
        t1 = (-math.log1p(step * (i - s * (start_v + end_v)) / flow) + i * t0) / (2.0 * s)
    time = (1.0 + r * band.conductance_s) * t1
    if r:
        knee = knee_v(capacitor, band)
        if min(start_v, end_v) < knee:
            raise InfeasibleError(
                f"a load of {-band.power_w:g} W on an ESR of {r:g} ohm cannot run below {knee:g} V at the terminal"
            )
        time += r / grow * (math.log(end_v / start_v) - i * t0 + s * t1)
    return c * time


def _linear_time(current_a: float, conductance_s: float, start_v: float, end_v: float) -> float:
    """Integral of dU / (I - S U) between two voltages; inf if the zero of I - S U lies between."""
    first, last = current_a - conductance_s * start_v, current_a - conductance_s * end_v
    step = end_v - start_v
    if first * step <= 0.0 or first * last <= 0.0:
        return math.inf
    if conductance_s == 0.0:
        return step / current_a
    return -math.log1p(-conductance_s * step / first) / conductance_s


def knee_v(capacitor: Capacitor, band: Band) -> float:
    """Terminal voltage at which a constant-power load takes all that an ESR lets through: U^2 = R P / (1 + R S)."""
    resistance = capacitor.esr_ohm
    return math.sqrt(max(-resistance * band.power_w, 0.0) / (1.0 + resistance * band.conductance_s))


def _between(x: float, a: float, b: float) -> bool:
    return min(a, b) <= x <= max(a, b)


def terminal_voltage_v(capacitor: Capacitor, band: Band, inner_v: float) -> float:
    """Terminal voltage U for an inner capacitor voltage V: U = V + R (I + P/U - S U), the upper root.

    Raises:
        InfeasibleError: the part cannot give the power at this voltage (P > V^2 / 4R).

    >>> f"{terminal_voltage_v(Capacitor(1.0, esr_ohm=4.0), Band(0.0, math.inf, power_w=-0.05), 2.5):.9f}"
    '2.417261753'
    """
    r = capacitor.esr_ohm
    if r == 0.0:
        return inner_v
    a, b, c = 1.0 + r * band.conductance_s, inner_v + r * band.current_a, -r * band.power_w
    disc = b * b - 4.0 * a * c
    if disc < 0.0 or b < 0.0:
        raise InfeasibleError(
            f"a load of {-band.power_w:g} W is more than {inner_v:g} V behind an ESR of {r:g} ohm can give "
            f"({inner_v * inner_v / (4.0 * r):g} W)"
        )
    return (b + math.sqrt(disc)) / (2.0 * a)


def inner_voltage_v(capacitor: Capacitor, band: Band, terminal_v: float) -> float:
    """Inner capacitor voltage V = U - R i(U) of a terminal voltage U."""
    return terminal_v - capacitor.esr_ohm * band.current_at(terminal_v) if capacitor.esr_ohm else terminal_v
