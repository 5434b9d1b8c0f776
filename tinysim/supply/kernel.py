"""The stepping itself: one linear equation per interval of the input, crossings in closed form.

x = V^2 (power feed) or V (current feed), dx/dt = k (input - draw - g x). Within an interval x is monotone, so a look
at the ends of intervals misses no crossing. Short phases cross intervals one by one in plain Python, long ones many at
once by prefix sums.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tinysim.supply.capacitors import Capacitor
from tinysim.supply.feed import Feed

__all__ = ["Kernel"]


class Kernel:
    """Position in the feed, and the recursion x -> keep x + gain (input - draw) over its intervals."""

    CHUNK = 64
    """Intervals taken one by one before prefix sums pay."""
    BLOCK = 65536
    """Intervals taken at once at most; fewer if leakage is fast."""
    WINDOW = 256
    """Intervals held as Python numbers, which are faster one by one than NumPy's."""

    def __init__(self, capacitor: Capacitor, feed: Feed) -> None:
        self.power = feed.kind == "power"
        self.k = (2.0 if self.power else 1.0) / capacitor.capacitance_f
        self.g = capacitor.leakage_s
        self.x_max = self.to_x(capacitor.rated_v)
        self.edges, self.inputs = feed.edges_s, feed.inputs
        self.count = self.inputs.size
        spans = np.diff(self.edges)
        self.uniform = bool(np.ptp(spans) <= 1e-9 * spans[0])
        if self.uniform:
            spans = np.full(1, self.edges[-1] - self.edges[0]) / self.count
        rate = self.k * self.g
        keep = np.exp(-rate * spans)
        gain = -np.expm1(-rate * spans) / self.g if self.g else self.k * spans
        self.keep = np.broadcast_to(keep, self.inputs.shape)
        self.gain = np.broadcast_to(gain, self.inputs.shape)
        self.factor = (float(keep[0]), float(gain[0]))
        reach = min(self.BLOCK, self.count, int(2.0 / (rate * spans[0])) if rate else self.BLOCK)
        self.decay = np.exp(-rate * spans[0] * np.arange(1.0, reach + 1.0))
        self.leaps = self.uniform and reach >= self.CHUNK
        self.index = 0
        self.at_edge = np.zeros(self.count + 1)
        self._open(0)

    def _open(self, n: int) -> None:
        """Make interval n part of the window."""
        self.first, self.last = n, min(n + self.WINDOW, self.count)
        window = slice(n, self.last)
        self.values: list[float] = self.inputs[window].tolist()
        self.starts: list[float] = self.edges[n : self.last + 1].tolist()
        self.factors: list[tuple[float, float]] = (
            [] if self.uniform else list(zip(self.keep[window].tolist(), self.gain[window].tolist(), strict=True))
        )

    def to_x(self, voltage_v: float) -> float:
        """Voltage to the linear coordinate."""
        return voltage_v * voltage_v if self.power else voltage_v

    def to_v(self, x: float) -> float:
        """Linear coordinate to voltage."""
        return math.sqrt(x) if self.power else x

    def inside(self, net: NDArray[np.float64]) -> NDArray[np.float64]:
        """Net input of the capacitor itself for net inputs at its terminals: the same without an ESR."""
        return net

    def move(
        self, now: float, x: float, draw: float, low_v: float, high_v: float, duration_s: float
    ) -> tuple[float, float, str]:
        """Go on from (now, x) with a draw until a voltage or a time; returns (time, x, reason)."""
        high, stop = self.to_x(high_v), now + duration_s
        low = self.to_x(low_v) if low_v > 0.0 else -math.inf
        if x <= low:
            return now, x, "low"
        if x >= high:
            return now, x, "high"
        n = self.index
        if n >= self.last:
            self._open(n)
        if now > self.starts[n - self.first]:  # the rest of an interval
            end = self.starts[n - self.first + 1]
            y = self._after(x, self.values[n - self.first] - draw, (end if end < stop else stop) - now)
            if y >= high or y <= low or stop < end:
                return self._event(now, x, n, draw, low, high, stop)
            x, now, n = y, end, n + 1
            self.at_edge[n] = x
        limit = self.count
        if stop < math.inf:
            limit = min(limit, int(np.searchsorted(self.edges, stop, side="right")) - 1)
        n, x = self._walk(n, x, draw, low, high, min(n + self.CHUNK, limit) if self.leaps else limit)
        if n < limit and self.leaps and not self._hits(n, x, draw, low, high):
            n, x = self._leap(n, x, draw, low, high, limit)
        if n >= self.count:
            self.index = n
            return float(self.edges[n]), x, "end"
        if not self.first <= n < self.last:
            self._open(n)
        return self._event(self.starts[n - self.first], x, n, draw, low, high, stop)

    def _hits(self, n: int, x: float, draw: float, low: float, high: float) -> bool:
        y = self.keep[n] * x + self.gain[n] * (self.inputs[n] - draw)
        return bool(y >= high or y <= low)

    def _walk(self, n: int, x: float, draw: float, low: float, high: float, last: int) -> tuple[int, float]:
        """Cross intervals one by one, up to the one before an event."""
        x_max = self.x_max
        while n < last:
            if not self.first <= n < self.last:
                self._open(n)
            path: list[float] = []
            stop = min(last, self.last)
            here = slice(n - self.first, stop - self.first)
            if self.uniform:
                keep, gain = self.factor
                for value in self.values[here]:
                    y = keep * x + gain * (value - draw)
                    if y >= high or y <= low:
                        break
                    x = x_max if y > x_max else y if y > 0.0 else 0.0
                    path.append(x)
            else:
                for value, (keep, gain) in zip(self.values[here], self.factors[here], strict=True):
                    y = keep * x + gain * (value - draw)
                    if y >= high or y <= low:
                        break
                    x = x_max if y > x_max else y if y > 0.0 else 0.0
                    path.append(x)
            if path:
                self.at_edge[n + 1 : n + 1 + len(path)] = path
                n += len(path)
            if n < stop:
                break
        return n, x

    def _leap(self, n: int, x: float, draw: float, low: float, high: float, last: int) -> tuple[int, float]:
        """Cross intervals by prefix sums, up to the one before an event; steps singly while full or empty.

        x_n = a^n (x_0 + sum_k gain net_k a^-(k+1)), over as many intervals as keep a^-n small.
        """
        gain, top, bottom = float(self.gain[0]), min(high, self.x_max), max(low, 0.0)
        block = 8 * self.CHUNK
        while n < last:
            size = min(block, last - n, self.decay.size)
            decay = self.decay[:size]
            y = decay * (x + np.cumsum(gain * (self.inputs[n : n + size] - draw) / decay))
            hit = (y >= top) | (y <= bottom)
            first = int(hit.argmax())
            good = first if hit[first] else size
            if good:
                self.at_edge[n + 1 : n + 1 + good] = y[:good]
                x = float(y[good - 1])
                n += good
            block *= 2
            if good < size:
                if self._hits(n, x, draw, low, high):
                    return n, x
                n, x = self._walk(n, x, draw, low, high, min(n + self.CHUNK, last))
                n = self._rest(n, x, draw, last)
                if n < last and self._hits(n, x, draw, low, high):
                    return n, x
        return n, x

    def _rest(self, n: int, x: float, draw: float, last: int) -> int:
        """Cross intervals in which the capacitor stays full, or empty."""
        block = 8 * self.CHUNK
        while (x == self.x_max or x == 0.0) and n < last:
            net = self.inputs[n : min(n + block, last)] - draw
            leaves = net < self.g * x if x else net > 0.0
            first = int(leaves.argmax())
            good = first if leaves[first] else net.size
            self.at_edge[n + 1 : n + 1 + good] = x
            n += good
            if good < net.size:
                break
            block *= 2
        return n

    def _after(self, x: float, net: float, span: float) -> float:
        rate = self.k * self.g
        gain = -math.expm1(-rate * span) / self.g if self.g else self.k * span
        y = x * math.exp(-rate * span) + gain * net
        return min(max(y, 0.0), self.x_max)

    def _event(
        self, now: float, x: float, n: int, draw: float, low: float, high: float, stop: float
    ) -> tuple[float, float, str]:
        """The event inside interval n: a crossing in closed form, or the end of the demanded time."""
        net = self.values[n - self.first] - draw
        slope = self.k * (net - self.g * x)
        target = high if slope > 0.0 else low
        when = math.inf
        if slope and math.isfinite(target):
            share = (target - x) / slope
            rate = self.k * self.g
            when = -math.log1p(-rate * share) / rate if rate and rate * share < 1.0 else share if not rate else math.inf
        end = self.starts[n - self.first + 1]
        if now + when <= min(end, stop) or (when < math.inf and stop > end):
            now = min(now + when, end)
            self._seat(now, n, target)
            return now, target, "high" if slope > 0.0 else "low"
        y = self._after(x, net, stop - now)
        self._seat(stop, n, y)
        return stop, y, "time"

    def _seat(self, now: float, n: int, x: float) -> None:
        self.index = n
        if now >= self.starts[n - self.first + 1]:
            self.index = n + 1
            self.at_edge[n + 1] = x
