"""A capacitor behind a series resistance R, seen from inside: what a power at its terminals is worth there.

A net power P at the terminals drives i = P/U, U = V + R i, so a threshold at the terminals is another one inside
(`voltage_inside_v`), and R i^2 is heat, charging and discharging. Inside, the power is taken as its mean over the swing
between two terminal voltages (`power_inside_w`): a whole charge or discharge at constant P takes exactly as long as
with the ESR, and the stepping stays linear. Where P changes on the way, the heat of one P is a little off, as it lasted
for another part of the swing than the whole.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InputError
from tinysim.supply.capacitors import Capacitor
from tinysim.supply.feed import Feed
from tinysim.supply.kernel import Kernel

__all__ = ["EsrKernel", "power_inside_w", "voltage_inside_v"]

Array = NDArray[np.float64]


def voltage_inside_v(power_w: ArrayLike, at_v: ArrayLike, *, esr_ohm: float) -> Array:
    """Voltage inside a capacitor whose terminals are at U while a net power P flows in: V = U - R P / U.

    Discharged (P < 0), the terminals break down at U^2 = -R P; below that this knee counts. Never below 0.
    Source: derived here (Ohm's law at the terminals).

    >>> float(voltage_inside_v(-0.02, 2.0, esr_ohm=10.0)), float(voltage_inside_v(0.02, 2.0, esr_ohm=10.0))
    (2.1, 1.9)
    """
    heat = esr_ohm * np.asarray(power_w, float)
    at = np.maximum(np.asarray(at_v, float), np.sqrt(np.maximum(-heat, 0.0)))
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.where(heat == 0.0, 0.0, heat / at)
    return np.asarray(np.maximum(at - shift, 0.0))


def power_inside_w(power_w: ArrayLike, *, esr_ohm: float, low_v: float, high_v: float) -> Array:
    """Mean power inside a capacitor that a net power P at its terminals takes through a swing.

    P_in = C (V_1^2 - V_0^2) / 2t with t = C ((U_1^2 - U_0^2) / 2 + R P ln(U_1 / U_0)) / P. Charged, the terminals go
    from U_0 = low_v to U_1 = high_v; discharged, the capacitor was at rest at `high_v` and the terminals fall to
    `low_v`, or to the knee. A swing that has no room left counts at its end.
    Source: derived here, from the equation of `tinysim.supply.port` without leakage.

    >>> float(power_inside_w(-0.02, esr_ohm=10.0, low_v=2.0, high_v=3.0).round(5))
    -0.02066
    """
    p = np.asarray(power_w, float)
    heat = esr_ohm * p
    with np.errstate(invalid="ignore", divide="ignore"):
        first = np.maximum(low_v, np.sqrt(np.abs(heat)))  # terminals at the lower end
        charged = heat > 0.0
        last = np.where(charged, high_v, 0.5 * (high_v + np.sqrt(np.maximum(high_v * high_v + 4.0 * heat, 0.0))))
        ratio = np.where(heat == 0.0, 0.0, heat / first)
        inside_low, inside_high = first - ratio, np.where(charged, high_v - heat / high_v, high_v)
        square = (inside_high - inside_low) * (inside_high + inside_low)
        mean = p * square / ((last - first) * (last + first) + 2.0 * heat * np.log(last / first))
        at_end = p * np.maximum(inside_low / first, 0.0)
    room = (last - first > 1e-6 * high_v) & (square > 0.0)
    return np.asarray(np.where(heat == 0.0, p, np.where(room, mean, at_end)))


class EsrKernel(Kernel):
    """Stepping behind an ESR: thresholds and powers at the terminals, the state x = V^2 inside.

    Each interval of the input has its own threshold inside, so intervals are taken one by one, in growing blocks.
    """

    def __init__(self, capacitor: Capacitor, feed: Feed, swing_v: tuple[float, float]) -> None:
        if feed.kind != "power":
            raise InputError("an ESR needs a power feed: a current feed has its thresholds at the capacitor itself")
        super().__init__(capacitor, feed)
        self.esr_ohm, self.swing_v = capacitor.esr_ohm, swing_v

    def inside(self, net_w: Array) -> Array:
        """Power inside the capacitor for net powers at its terminals."""
        return power_inside_w(net_w, esr_ohm=self.esr_ohm, low_v=self.swing_v[0], high_v=self.swing_v[1])

    def _threshold(self, net_w: Array, at_v: float, none: float) -> list[float]:
        if not 0.0 < at_v < math.inf:
            return [none] * net_w.size
        found: list[float] = np.square(voltage_inside_v(net_w, at_v, esr_ohm=self.esr_ohm)).tolist()
        return found

    def move(
        self, now: float, x: float, draw: float, low_v: float, high_v: float, duration_s: float
    ) -> tuple[float, float, str]:
        """Go on from (now, x) with a draw until a terminal voltage or a time; returns (time, x, reason)."""
        stop, block, n = now + duration_s, 32, self.index
        while n < self.count:
            end = min(n + block, self.count)
            net = self.inputs[n:end] - draw
            powers = self.inside(net).tolist()
            lows, highs = self._threshold(net, low_v, -math.inf), self._threshold(net, high_v, math.inf)
            edges, keeps, gains = self.edges[n : end + 1].tolist(), self.keep[n:end].tolist(), self.gain[n:end].tolist()
            for k, power in enumerate(powers):
                low, high, until = lows[k], highs[k], edges[k + 1]
                self.index = n + k
                if x <= low:
                    return now, x, "low"
                if x >= high:
                    return now, x, "high"
                whole = now == edges[k] and until <= stop
                y = keeps[k] * x + gains[k] * power if whole else self._after(x, power, min(until, stop) - now)
                if y >= high or y <= low:
                    return self._crossing(now, x, power, high if y >= high else low, min(until, stop), y >= high)
                if until > stop:
                    return stop, y, "time"
                x = self.x_max if y > self.x_max else y if y > 0.0 else 0.0
                now = until
                self.at_edge[n + k + 1] = x
                if now >= stop:
                    self.index = n + k + 1
                    return now, x, "time"
            n, block = end, min(4 * block, 4096)
        self.index = n
        return now, x, "end"

    def _crossing(
        self, now: float, x: float, power: float, target: float, until: float, rising: bool
    ) -> tuple[float, float, str]:
        """When x reaches a target inside the present interval, in closed form."""
        share, rate = (target - x) / (self.k * (power - self.g * x)), self.k * self.g
        now = min(now + (-math.log1p(-rate * share) / rate if rate else share), until)
        if now >= self.edges[self.index + 1]:
            self.index += 1
            self.at_edge[self.index] = target
        return now, target, "high" if rising else "low"
