"""Exact event stepping of a capacitor between a piecewise-constant input and a load that switches on its voltage.

Between events x = V^2 (power feed) or x = V (current feed) obeys one linear equation dx/dt = k (net - g x), so every
crossing is a logarithm and there is no time step to choose. A run follows a *policy*: a generator that yields a
`Demand` (what to draw, and until when) and is sent the `Outcome`. Long quiet stretches are crossed at once; the energy
ledger of every run is integrated separately and must close.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import InfeasibleError, InputError
from tinysim.supply.capacitors import Capacitor
from tinysim.supply.esr import EsrKernel
from tinysim.supply.feed import Feed, Pieces
from tinysim.supply.kernel import Kernel

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


#: Pieces booked at once.
_CHUNK = 1 << 13
_NONE = np.zeros(1)

#: Boltzmann's constant times 300 K: a voltage that holds less is noise.
_THERMAL_J = 1.380649e-23 * 300.0


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
        """The ledger itself if it closes to 1e-9 of the energy that was there (or of kT, where there was less).

        Raises:
            ArithmeticError: it does not close, which would be a defect of tinysim.
        """
        scale = max(self.harvested_j + start_j, _THERMAL_J)
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


def run(
    capacitor: Capacitor,
    feed: Feed,
    policy: Policy,
    *,
    start_v: float = 0.0,
    swing_v: tuple[float, float] | None = None,
) -> SupplyRun:
    """Run a policy on a capacitor until the feed or the policy ends. Exact at every event.

    The capacitor may leak and clips at its rated voltage. With an ESR, voltages of demands are those at the terminals,
    what the ESR turns into heat is converter loss, and `swing_v` (turn-off and turn-on voltage) is the swing over which
    it is averaged (`tinysim.supply.esr`); `start_v` and the voltages of the result are inside. A policy is told of the
    feed's end, too.

    >>> feed = Feed.sampled([1e-3], 10.0)
    >>> node = hysteresis(on_draw=10e-3, off_draw=0.0, on_v=3.0, off_v=1.8)
    >>> result = run(Capacitor(100e-6), feed, node, start_v=1.8)
    >>> float(result.durations_s("on")[0].round(9)), float(result.durations_s("off")[0].round(9))
    (0.032, 0.288)
    """
    if not 0.0 <= start_v <= capacitor.rated_v:
        raise InputError(f"run: start_v = {start_v} must lie in 0..{capacitor.rated_v} V")
    if capacitor.esr_ohm and (swing_v is None or not 0.0 <= swing_v[0] < swing_v[1]):
        raise InputError(f"run: a capacitor with an ESR needs swing_v, turn-off below turn-on; given: {swing_v}")
    kernel = EsrKernel(capacitor, feed, swing_v) if swing_v and capacitor.esr_ohm else Kernel(capacitor, feed)
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
        now, x, reason = kernel.move(now, x, demand.draw, demand.low_v, demand.high_v, demand.duration_s)
        reasons.append(reason)
        still = still + 1 if now == begin else 0
        if still > 1000:
            raise InfeasibleError(f"the policy makes no headway at {now:g} s: {demand.label!r} ends at once each time")
        outcome = Outcome(now, kernel.to_v(x), reason)
    else:  # the feed has ended
        if outcome is not None:
            with contextlib.suppress(StopIteration):
                policy.send(outcome)
    return _account(capacitor, feed, kernel, labels, reasons, marks, levels, draws, shares, now, x)


def _account(
    capacitor: Capacitor,
    feed: Feed,
    kernel: Kernel,
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
    at = place + np.arange(starts.size)

    def per_piece(per_interval: Array) -> Array:
        return np.insert(per_interval[inner], place, per_interval[place])

    value = per_piece(feed.inputs)
    gross = None if feed.gross is None else per_piece(feed.gross)
    draw, share, until, end = np.array(draws), np.array(shares), np.append(times[1:], now), np.append(known[1:], x)
    used = np.empty(times.size)
    totals = np.zeros(5)
    top = kernel.x_max if math.isfinite(kernel.x_max) else 0.0
    for begin in range(0, times.size, _CHUNK):  # so that all of it stays in the cache
        here = slice(begin, min(begin + _CHUNK, times.size))
        first = int(np.searchsorted(at, begin, side="right")) - 1
        phases = slice(first, int(np.searchsorted(at, here.stop)))
        counts = np.diff(np.append(np.maximum(at[phases], begin), here.stop))
        drawing, useful = np.repeat(draw[phases], counts), np.repeat(share[phases], counts)
        given, spans = value[here], until[here] - times[here]
        net = given - drawing
        inside, final = kernel.inside(net), end[here]
        held = (final >= kernel.x_max) | ((final == 0.0) & (net < 0.0))
        pieces = Pieces(known[here], inside, spans, kernel.k, kernel.g, kernel.x_max, held)
        one, two, free = pieces.moments(square=not kernel.power)
        weight = spans if kernel.power else one
        drawn, rests = drawing * weight, bool(held.any())
        hold = spans - free if rests else _NONE
        if kernel.power and rests:  # an empty capacitor gives only what comes in
            drawn = np.where(net < 0.0, drawing * free + given * hold, drawn)
        lost = drawn * (1.0 - useful)
        if inside is not net:
            lost += (net - inside) * free
        whole = given if gross is None else gross[here]
        if gross is not None:
            lost += (whole - given) * weight
        clipped = np.where(net > 0.0, net - kernel.g * top, 0.0) * hold if rests else _NONE
        used[here] = drawn * useful
        leaked = kernel.g * (one if kernel.power else two)
        totals += [float(np.sum(part)) for part in (whole * weight, used[here], lost, leaked, clipped)]
    before, after = capacitor.energy_j(kernel.to_v(levels[0])), capacitor.energy_j(kernel.to_v(x))
    harvested_j, used_j, lost_j, leakage_j, clipped_j = totals.tolist()
    ledger = EnergyLedger(
        harvested_j=harvested_j,
        used_j=used_j,
        converter_loss_j=lost_j,
        leakage_j=leakage_j,
        clipped_j=clipped_j * (1.0 if kernel.power else top),
        stored_j=after - before,
    ).check(before)
    volts = np.sqrt(known) if kernel.power else known
    return SupplyRun(
        tuple(labels),
        starts,
        ends,
        tuple(reasons),
        np.add.reduceat(used, at),
        ledger,
        np.append(times, now),
        np.append(volts, kernel.to_v(x)),
    )
