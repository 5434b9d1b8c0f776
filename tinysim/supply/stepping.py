"""Exact event stepping of a capacitor between a piecewise-constant input and a load that switches on its voltage.

Between events x = V^2 (power feed) or x = V (current feed) obeys one linear equation dx/dt = k (net - g x), so every
crossing is a logarithm and there is no time step to choose. A run follows a *policy*: a generator that yields a
`Demand` (what to draw, and until when) and is sent the `Outcome`. Long quiet stretches go through one compiled linear
recursion; the energy ledger of every run is integrated separately and must close.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import InfeasibleError, InputError
from tinysim.supply.capacitors import Capacitor
from tinysim.supply.feed import Feed, Pieces

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Demand", "EnergyLedger", "Outcome", "Policy", "SupplyRun", "hysteresis", "run"]

Array = NDArray[np.float64]


class Demand(NamedTuple):
    """What a load wants next: draw (W or A, as the feed) until a voltage, a time, or the end of the feed.

    `useful_share` of the draw reaches the load; the rest is converter loss. With `low_v` 0 nothing stops an empty
    capacitor: it stays empty, and the demand gets what the feed gives.
    """

    label: str
    draw: float
    low_v: float = 0.0
    high_v: float = math.inf
    duration_s: float = math.inf
    useful_share: float = 1.0


class Outcome(NamedTuple):
    """How a demand ended: at which time and voltage, by `low`, `high`, `time` or `end` (of the feed)."""

    time_s: float
    voltage_v: float
    reason: str


Policy = Generator[Demand, Outcome, None]


@dataclass(frozen=True, slots=True)
class EnergyLedger:
    """Where the energy of a run went, in joules: harvested = used + converter loss + leakage + clipped + stored."""

    harvested_j: float
    used_j: float
    converter_loss_j: float
    leakage_j: float
    clipped_j: float
    stored_j: float

    @property
    def residual_j(self) -> float:
        """What does not add up; rounding only."""
        spent = (self.used_j, self.converter_loss_j, self.leakage_j, self.clipped_j, self.stored_j)
        return math.fsum((self.harvested_j, *(-e for e in spent)))

    def check(self, start_j: float) -> EnergyLedger:
        """The ledger itself if it closes to 1e-9 of the energy that was there.

        Raises:
            ArithmeticError: it does not close, which would be a defect of tinysim.
        """
        scale = self.harvested_j + start_j
        if not abs(self.residual_j) <= 1e-9 * scale:
            raise ArithmeticError(f"energy ledger open by {self.residual_j:g} J of {scale:g} J: {self}")
        return self


@dataclass(frozen=True)
class SupplyRun:
    """A finished run: phases in order, the energy ledger, and the voltage at every event and input edge."""

    labels: tuple[str, ...]
    start_s: Array
    end_s: Array
    reasons: tuple[str, ...]
    used_j: Array
    """Energy that each phase gave to the load."""
    ledger: EnergyLedger
    time_s: Array
    voltage_v: Array

    def durations_s(self, label: str, *, complete: bool = True) -> Array:
        """Durations of the phases with a label; `complete` leaves out those that begin or end with the run."""
        pick = np.array([name == label for name in self.labels], bool)
        if complete and pick.size:
            pick[0] = pick[-1] = False
        return np.asarray((self.end_s - self.start_s)[pick])

    def share(self, label: str) -> float:
        """Share of the run's time spent in phases with a label."""
        return float(self.durations_s(label, complete=False).sum() / (self.end_s[-1] - self.start_s[0]))

    def to_frame(self) -> pd.DataFrame:
        """One row per phase."""
        import pandas as pd

        columns = {"label": self.labels, "start_s": self.start_s, "end_s": self.end_s}
        return pd.DataFrame({**columns, "reason": self.reasons, "used_j": self.used_j})


def hysteresis(
    *, on_draw: float, off_draw: float, on_v: float, off_v: float, useful_share: float = 1.0, start_on: bool = False
) -> Policy:
    """A load that is switched on at `on_v` and off at `off_v`; `off_draw` (leakage of the switch) is all loss.

    Raises:
        InputError: thresholds the wrong way round, or negative draws.
    """
    if not 0.0 <= off_v < on_v:
        raise InputError(f"hysteresis: turn-on at {on_v} V must be above turn-off at {off_v} V")
    on = Demand("on", on_draw, low_v=off_v, useful_share=useful_share)
    off = Demand("off", off_draw, high_v=on_v, useful_share=0.0)
    return _alternate(on, off) if start_on else _alternate(off, on)


def _alternate(first: Demand, second: Demand) -> Policy:
    while True:
        yield first
        yield second


def run(capacitor: Capacitor, feed: Feed, policy: Policy, *, start_v: float = 0.0) -> SupplyRun:
    """Run a policy on a capacitor until the feed or the policy ends. Exact at every event.

    The capacitor may leak and clips at its rated voltage; an ESR is for `tinysim.supply.motion`.

    >>> feed = Feed.sampled([1e-3], 10.0)
    >>> node = hysteresis(on_draw=10e-3, off_draw=0.0, on_v=3.0, off_v=1.8)
    >>> result = run(Capacitor(100e-6), feed, node, start_v=1.8)
    >>> float(result.durations_s("on")[0].round(9)), float(result.durations_s("off")[0].round(9))
    (0.032, 0.288)
    """
    if capacitor.esr_ohm:
        raise InputError("run: an ESR is not part of event stepping; use tinysim.supply.motion for single bursts")
    if not 0.0 <= start_v <= capacitor.rated_v:
        raise InputError(f"run: start_v = {start_v} must lie in 0..{capacitor.rated_v} V")
    kernel = _Kernel(capacitor, feed)
    now, x = float(feed.edges_s[0]), kernel.to_x(start_v)
    labels: list[str] = []
    reasons: list[str] = []
    marks: list[float] = []
    levels: list[float] = []
    draws: list[float] = []
    shares: list[float] = []
    still = 0
    outcome: Outcome | None = None
    while kernel.index < kernel.count:
        try:
            demand = next(policy) if outcome is None else policy.send(outcome)
        except StopIteration:
            break
        begin = now
        labels.append(demand.label)
        marks.append(now)
        levels.append(x)
        draws.append(demand.draw)
        shares.append(demand.useful_share)
        now, x, reason = kernel.move(now, x, demand)
        reasons.append(reason)
        still = still + 1 if now == begin else 0
        if still > 1000:
            raise InfeasibleError(f"the policy makes no headway at {now:g} s: {demand.label!r} ends at once each time")
        outcome = Outcome(now, kernel.to_v(x), reason)
    return _account(capacitor, feed, kernel, labels, reasons, marks, levels, draws, shares, now, x)


class _Kernel:
    """Position in the feed, and the recursion x -> keep x + gain (input - draw) over its intervals."""

    CHUNK = 64
    """Intervals taken one by one before a compiled recursion pays."""
    BLOCK = 512
    WINDOW = 4096
    """Intervals held as Python numbers, which are faster one by one than NumPy's."""

    def __init__(self, capacitor: Capacitor, feed: Feed) -> None:
        self.power = feed.kind == "power"
        self.k = (2.0 if self.power else 1.0) / capacitor.capacitance_f
        self.g = capacitor.leakage_s
        self.x_max = self.to_x(capacitor.rated_v)
        self.edges, self.values = feed.edges_s, feed.inputs
        self.count = self.values.size
        spans = np.diff(self.edges)
        self.uniform = bool(np.ptp(spans) <= 1e-9 * spans[0])
        if self.uniform:
            spans = np.full(1, self.edges[-1] - self.edges[0]) / self.count
        rate = self.k * self.g
        keep = np.exp(-rate * spans)
        gain = -np.expm1(-rate * spans) / self.g if self.g else self.k * spans
        self.keep = np.broadcast_to(keep, self.values.shape)
        self.gain = np.broadcast_to(gain, self.values.shape)
        self.index = 0
        self.at_edge = np.zeros(self.count + 1)
        self._open(0)

    def _open(self, n: int) -> None:
        """Make interval n part of the window."""
        self.first, self.last = n, min(n + self.WINDOW, self.count)
        window = slice(n, self.last)
        self.rows = list(
            zip(self.keep[window].tolist(), self.gain[window].tolist(), self.values[window].tolist(), strict=True)
        )
        self.starts: list[float] = self.edges[n : self.last + 1].tolist()

    def to_x(self, voltage_v: float) -> float:
        return voltage_v * voltage_v if self.power else voltage_v

    def to_v(self, x: float) -> float:
        return math.sqrt(x) if self.power else x

    def move(self, now: float, x: float, demand: Demand) -> tuple[float, float, str]:
        """Go on from (now, x) until the demand ends; returns (time, x, reason)."""
        high = self.to_x(demand.high_v)
        low = self.to_x(demand.low_v) if demand.low_v > 0.0 else -math.inf
        draw, stop = demand.draw, now + demand.duration_s
        if x <= low:
            return now, x, "low"
        if x >= high:
            return now, x, "high"
        n = self.index
        if n >= self.last:
            self._open(n)
        if now > self.starts[n - self.first]:  # the rest of an interval
            end = self.starts[n - self.first + 1]
            y = self._after(x, self.rows[n - self.first][2] - draw, (end if end < stop else stop) - now)
            if y >= high or y <= low or stop < end:
                return self._event(now, x, n, draw, low, high, stop)
            x, now, n = y, end, n + 1
            self.at_edge[n] = x
        limit = self.count
        if stop < math.inf:
            limit = min(limit, int(np.searchsorted(self.edges, stop, side="right")) - 1)
        n, x = self._walk(n, x, draw, low, high, min(n + self.CHUNK, limit) if self.uniform else limit)
        if n < limit and self.uniform and not self._hits(n, x, draw, low, high):
            n, x = self._leap(n, x, draw, low, high, limit)
        if n >= self.count:
            self.index = n
            return float(self.edges[n]), x, "end"
        if not self.first <= n < self.last:
            self._open(n)
        return self._event(self.starts[n - self.first], x, n, draw, low, high, stop)

    def _hits(self, n: int, x: float, draw: float, low: float, high: float) -> bool:
        y = self.keep[n] * x + self.gain[n] * (self.values[n] - draw)
        return bool(y >= high or y <= low)

    def _walk(self, n: int, x: float, draw: float, low: float, high: float, last: int) -> tuple[int, float]:
        """Cross intervals one by one, up to the one before an event."""
        x_max = self.x_max
        while n < last:
            if not self.first <= n < self.last:
                self._open(n)
            path: list[float] = []
            stop = min(last, self.last)
            for keep, gain, value in self.rows[n - self.first : stop - self.first]:
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
        """Cross intervals by a compiled recursion, up to the one before an event; steps singly while full or empty."""
        from scipy.signal import lfilter

        block, keep, gain = self.BLOCK, float(self.keep[0]), float(self.gain[0])
        while n < last:
            until = min(n + block, last)
            y, _ = lfilter([1.0], [1.0, -keep], gain * (self.values[n:until] - draw), zi=[keep * x])
            hit = (y >= min(high, self.x_max)) | (y <= max(low, 0.0))
            first = int(np.argmax(hit))
            good = first if hit[first] else until - n
            if good:
                self.at_edge[n + 1 : n + 1 + good] = y[:good]
                x = float(y[good - 1])
                n += good
            block *= 2
            if hit[first]:
                if self._hits(n, x, draw, low, high):
                    return n, x
                n, x = self._walk(n, x, draw, low, high, min(n + self.BLOCK, last))
                if n < last and self._hits(n, x, draw, low, high):
                    return n, x
        return n, x

    def _after(self, x: float, net: float, span: float) -> float:
        rate = self.k * self.g
        gain = -math.expm1(-rate * span) / self.g if self.g else self.k * span
        y = x * math.exp(-rate * span) + gain * net
        return min(max(y, 0.0), self.x_max)

    def _event(
        self, now: float, x: float, n: int, draw: float, low: float, high: float, stop: float
    ) -> tuple[float, float, str]:
        """The event inside interval n: a crossing in closed form, or the end of the demanded time."""
        net = self.rows[n - self.first][2] - draw
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


def _account(
    capacitor: Capacitor,
    feed: Feed,
    kernel: _Kernel,
    labels: list[str],
    reasons: list[str],
    marks: list[float],
    levels: list[float],
    draws: list[float],
    shares: list[float],
    now: float,
    x: float,
) -> SupplyRun:
    """Integrate the ledger over the pieces between all edges and events, apart from the stepping itself."""
    starts = np.array(marks)
    ends = np.append(starts[1:], now)
    edges = feed.edges_s
    inner = slice(1, int(np.searchsorted(edges, now, side="left")))
    place = np.searchsorted(edges[inner], starts, side="left")
    times = np.insert(edges[inner], place, starts)
    known = np.insert(kernel.at_edge[inner], place, levels)
    is_edge = np.insert(np.ones(edges[inner].size, np.intp), place, 0)
    interval = np.cumsum(is_edge)
    phase = np.cumsum(1 - is_edge) - 1
    spans = np.diff(times, append=now)
    value, draw, share = feed.inputs[interval], np.array(draws)[phase], np.array(shares)[phase]
    net = value - draw
    final = np.append(known[1:], x)
    held = (final >= kernel.x_max) | ((final == 0.0) & (net < 0.0))
    pieces = Pieces(known, net, spans, kernel.k, kernel.g, kernel.x_max, held)
    one, two, hold = pieces.moments(square=not kernel.power)
    weight = spans if kernel.power else one
    leak = kernel.g * (one if kernel.power else two)
    top = kernel.x_max if math.isfinite(kernel.x_max) else 0.0
    clipped = np.where(net > 0.0, net - kernel.g * top, 0.0) * hold * (1.0 if kernel.power else top)
    drawn = draw * weight + np.where(net < 0.0, net * hold if kernel.power else 0.0, 0.0)
    gross = value if feed.gross is None else feed.gross[interval]
    used = drawn * share
    before, after = capacitor.energy_j(kernel.to_v(levels[0])), capacitor.energy_j(kernel.to_v(x))
    ledger = EnergyLedger(
        harvested_j=float(np.sum(gross * weight)),
        used_j=float(np.sum(used)),
        converter_loss_j=float(np.sum((gross - value) * weight + drawn * (1.0 - share))),
        leakage_j=float(np.sum(leak)),
        clipped_j=float(np.sum(clipped)),
        stored_j=after - before,
    ).check(before)
    volts = np.sqrt(known) if kernel.power else known
    return SupplyRun(
        tuple(labels),
        starts,
        ends,
        tuple(reasons),
        np.asarray(np.bincount(phase, weights=used, minlength=starts.size), float),
        ledger,
        np.append(times, now),
        np.append(volts, kernel.to_v(x)),
    )
