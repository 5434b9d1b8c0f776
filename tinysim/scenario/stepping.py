"""Exact event stepping of a plan on a battery: no time step, any randomness, about ten million events per second.

Every battery mode obeys dz/dt = -lambda z + b(I). Counted from its steady state asleep, y = z - b(I_sleep) / lambda, a
mode only fades between events, and an event on path p adds r_p = rise_p - (steady state) (1 - e^{-lambda D_p}). So
after event i, which ends at t_i,

    y_i = e^{-lambda t_i} (y_0 + sum over j <= i of r_{p(j)} e^{lambda t_j})

and the charge, which does not fade, is a plain sum. A window of arrivals is drawn at once, queued on the one MCU (first
come, first served) and summed. A window in which some margin could reach zero is halved until the event is found, and
the cell's own closed form gives the moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinysim.scenario.events import Pattern
from tinysim.scenario.ledger import Ledger, Tally, close
from tinysim.scenario.plan import Plan
from tinysim.supply.cell import CellState, Lifetime, LoadProfile

__all__ = ["Run", "arrivals", "regular_period_s", "simulate"]

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_WINDOW = 8192
"""Events drawn at once."""
_COLUMNS = 64
"""Rows of the scan are this long."""


@dataclass(frozen=True)
class Run:
    """A finished run."""

    time_s: float
    """When the cell was empty, or the horizon."""
    cause: str
    """Which margin of the cell ran out; empty at the horizon."""
    events: dict[str, int]
    """Events completed, by activity."""
    misses: dict[str, int]
    """Of them, later than their deadline."""
    ledger: Ledger
    state: CellState
    """Of the cell at the end."""


@dataclass(frozen=True)
class _Paths:
    """All paths as tables: duration, and what they do to each battery mode."""

    duration_s: Array
    keep: Array
    """e^{-lambda D}, (modes, paths)."""
    add: Array
    """r of the module, (modes, paths)."""
    peak: Array
    """Upper bound of what a path adds to a mode at any time within it, (modes,)."""
    asleep: Array
    """Steady state of each mode asleep; of the charge, its change per second."""
    currents_a: Array
    """All currents out of the cell that occur, sleep included."""


def _tables(plan: Plan) -> _Paths:
    cell, battery = plan.battery.cell, plan.battery
    rate = cell.decay_per_s
    fades = rate > 0.0
    empty = CellState((0.0,) * rate.size)
    sleep_a = battery.drawn_a(plan.sleep_a)
    second = np.array(cell.advance(empty, sleep_a, 1.0).modes)
    asleep = np.where(fades, second / np.where(fades, -np.expm1(-rate), 1.0), second)
    rises, peak, currents = [], np.zeros(rate.size), {sleep_a}
    for path in plan.paths:
        state = empty
        for phase in path.phases:
            current = battery.drawn_a(plan.rail_a(phase))
            currents.add(current)
            state = cell.advance(state, current, phase.duration_s)
            peak = np.maximum(peak, state.modes)
        rises.append(state.modes)
    duration = np.array([path.duration_s for path in plan.paths])
    past = np.outer(rate, duration)
    lost = np.where(fades[:, None], -np.expm1(-past), duration) * asleep[:, None]
    return _Paths(duration, np.exp(-past), np.array(rises).T - lost, peak, asleep, np.array(sorted(currents)))


def arrivals(
    plan: Plan, start_s: float, end_s: float, rngs: list[np.random.Generator], busy_until_s: float
) -> tuple[Array, Array, Ints]:
    """(arrival, start of service, path) of all events that arrive in [start, end), first come, first served.

    start_i = max(arrival_i, end of event i - 1): with C the running sum of work, end_i = C_i + max over j <= i of
    (arrival_j - C_{j-1}).
    """
    when, which, offset = [], [], 0
    for activity, rng in zip(plan.activities, rngs, strict=True):
        times = activity.arrivals.between(start_s, end_s, rng)
        taken = np.full(times.size, offset)
        chances = np.cumsum([path.probability for path in activity.paths[:-1]])
        if chances.size:
            draw = rng.random(times.size)
            for chance in chances:
                taken += draw >= chance
        when.append(times)
        which.append(taken)
        offset += len(activity.paths)
    if len(when) == 1:
        arrival, path = when[0], which[0]
    else:
        arrival, path = np.concatenate(when), np.concatenate(which)
        order = np.argsort(arrival, kind="stable")
        arrival, path = arrival[order], path[order]
    duration = np.array([p.duration_s for p in plan.paths])
    if not arrival.size or (
        busy_until_s <= arrival[0] and bool(((arrival[1:] - arrival[:-1]) >= duration.max()).all())
    ):
        return arrival, arrival, path
    work = _of(duration, path)
    before = _sums(work, path.size) - work
    start = np.maximum.accumulate(np.maximum(arrival, busy_until_s) - before) + before
    return arrival, np.maximum(start, arrival), path


def _of(table: Array, path: Ints) -> Array | np.float64:
    """Entry of each path taken; the only one if there is one path."""
    return table[0] if table.size == 1 else table[path]


def _sums(values: Array | np.float64, count: int) -> Array:
    """Running sums; of `count` equal values if one is given."""
    return np.asarray(values * np.arange(1.0, count + 1.0) if np.ndim(values) == 0 else np.cumsum(values))


def _scan(a: Array, c: Array, z0: float) -> Array:
    """z_i = a_i z_{i-1} + c_i for all i, composed in rows of `_COLUMNS` maps (where e^{lambda t} would overflow)."""
    n = a.size
    rows = -(-n // _COLUMNS)
    flat_grow, flat_add = np.ones(rows * _COLUMNS), np.zeros(rows * _COLUMNS)
    flat_grow[:n], flat_add[:n] = a, c
    grow, add = flat_grow.reshape(rows, _COLUMNS).T.copy(), flat_add.reshape(rows, _COLUMNS).T.copy()
    for k in range(1, _COLUMNS):
        add[k] += grow[k] * add[k - 1]
        grow[k] *= grow[k - 1]
    begin = np.empty(rows)
    z = z0
    for row, (g, s) in enumerate(zip(grow[-1].tolist(), add[-1].tolist(), strict=True)):
        begin[row] = z
        z = g * z + s
    return np.asarray((grow * begin + add).T.reshape(-1)[:n])


def simulate(plan: Plan, *, horizon_s: float = math.inf, seed: int = 0) -> Run:
    """Run until the cell is empty or the horizon is reached.

    Deterministic for a seed. The MCU sleeps between events and before the first one.

    >>> from tinysim.scenario.events import Pattern
    >>> from tinysim.scenario.plan import Activity, Battery, Phase
    >>> from tinysim.supply.batteries import IdealCell
    >>> work = Activity("beat", Pattern.periodic(1.0), (Phase("run", 3e-3, (("core", 7e-3),)),))
    >>> cell = IdealCell(capacity_c=225 * 3.6)
    >>> plan = Plan("beacon", Battery(cell, 3.0, 3.0), (work,), (), (("sleep", 3e-6),))
    >>> round(simulate(plan).time_s / 3600, 1)
    9378.5
    """
    return _Stepper(plan, seed).run(horizon_s)


def regular_period_s(plan: Plan) -> float | None:
    """Period of a plan with one path whose events come at equal distances from 0 on and never wait; else None."""
    if len(plan.paths) != 1 or not isinstance(pattern := plan.activities[0].arrivals, Pattern):
        return None
    period = pattern.cycle_s / pattern.per_cycle
    regular = not pattern.random and len(pattern.spans_s) == 1 and plan.paths[0].duration_s <= period
    return period if regular else None


@dataclass(frozen=True)
class _Window:
    """A stretch of events as they are served."""

    path: Ints
    start_s: Array
    end_s: Array
    response_s: Array
    """From arrival to end."""
    ends: Array
    """Battery modes at the end of each event, (modes, events)."""


class _Stepper:
    """State of a run between windows."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self.cell = plan.battery.cell
        self.rate = self.cell.decay_per_s
        self.tables = _tables(plan)
        self.sleep_a = plan.battery.drawn_a(plan.sleep_a)
        self.rngs = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(len(plan.activities))]
        self.state = self.cell.full_state()
        self.now = 0.0  # end of the last event
        self.tally = Tally.empty(plan)
        self.period_s = regular_period_s(plan)
        self.stride = 2**40

    def run(self, horizon_s: float) -> Run:
        """Window after window."""
        span = _WINDOW / math.fsum(a.arrivals.rate_hz for a in self.plan.activities)
        begin = 0.0
        while begin < horizon_s:
            begin = self._leap(begin, horizon_s)
            end = min(begin + span, horizon_s)
            arrival, start, path = arrivals(self.plan, begin, end, self.rngs, self.now)
            begin = end
            done = start + _of(self.tables.duration_s, path)
            if done.size and done[-1] > horizon_s:  # whatever is not finished at the horizon is left out
                fits = done <= horizon_s
                arrival, start, done, path = arrival[fits], start[fits], done[fits], path[fits]
            if not path.size:
                continue
            window = _Window(path, start, done, done - arrival, self._modes(path, start, done))
            found = self._first_empty(window)
            if found is not None:
                return self._stop(window, *found)
            self._take(window, path.size)
        return self._rest(horizon_s)

    def _leap(self, begin_s: float, horizon_s: float) -> float:
        """Take equal events at once as long as no margin can reach zero; the start of the next window.

        From the end of one event to that of the next, y -> e^{-lambda P} y + r and the charge falls by a constant, so
        every mode runs from its past to its future without turning.
        """
        done = int(self.tally.taken.sum())
        if self.period_s is None or done == 0:
            return begin_s
        period, add, calm = self.period_s, self.tables.add[:, 0], self.tables.asleep
        past, fades = np.array(self.state.modes), self.rate > 0.0
        keep = np.exp(-self.rate * period)
        while self.stride >= _WINDOW:
            count = math.floor(min(self.stride, (horizon_s - self.now) / period))
            gone = np.exp(-self.rate * period * count)
            fixed = calm + np.where(fades, add / np.where(fades, 1.0 - keep, 1.0), 0.0)
            future = np.where(fades, fixed + gone * (past - fixed), past + count * (calm * period + add))
            worst = np.where(
                self.cell.signs > 0.0, future, np.maximum(np.maximum(past, future), calm) + self.tables.peak
            )
            self.stride //= 2
            if count > 0 and self._safe(worst):
                self.tally.repeat(count, period)
                self.now += count * period
                self.state = CellState(tuple(future.tolist()))
                return (done + count - 0.5) * period  # half-way to the next arrival
        return begin_s

    def _modes(self, path: Ints, start: Array, done: Array) -> Array:
        ends = np.empty((self.rate.size, path.size))
        past_s = done - self.now
        for m, rate in enumerate(self.rate):
            add, calm, z = _of(self.tables.add[m], path), float(self.tables.asleep[m]), self.state.modes[m]
            if rate == 0.0:
                ends[m] = z + calm * past_s + _sums(add, path.size)
            elif rate * past_s[-1] < 600.0:
                grown = np.exp(rate * past_s)
                ends[m] = calm + (z - calm + np.cumsum(add * grown)) / grown
            else:
                gap = np.append(start[0] - self.now, start[1:] - done[:-1])
                ends[m] = calm + _scan(
                    np.exp(-rate * gap) * self.tables.keep[m][path], np.broadcast_to(add, path.size), z - calm
                )
        return ends

    def _take(self, window: _Window, count: int) -> None:
        """Book the first events of a window."""
        if count:
            until = float(window.end_s[count - 1])
            self.tally.add(window.response_s[:count], window.path[:count], until - self.now)
            self.now = until
            self.state = CellState(tuple(window.ends[:, count - 1].tolist()))

    def _past(self, window: _Window, n: int) -> tuple[float, CellState]:
        """End and state of the event before number n of a window."""
        if n == 0:
            return self.now, self.state
        return float(window.end_s[n - 1]), CellState(tuple(window.ends[:, n - 1].tolist()))

    def _first_empty(self, window: _Window) -> tuple[int, Lifetime] | None:
        """First event in which, or in the sleep before which, the cell gets empty.

        Charge only falls; another mode stays below the larger of its past and its steady state asleep, plus the peak of
        a path. A stretch that is safe even with the worst of these is done, any other is halved.
        """
        stack = [(0, window.path.size)]
        while stack:
            a, b = stack.pop()
            past = np.array(self._past(window, a)[1].modes)
            highest = np.maximum(np.maximum(past, window.ends[:, a:b].max(axis=1)), self.tables.asleep)
            worst = np.where(self.cell.signs > 0.0, window.ends[:, b - 1], highest + self.tables.peak)
            if self._safe(worst):
                continue
            if b - a == 1:
                life = self._within(window, a)
                if life is not None:
                    return a, life
                continue
            middle = (a + b) // 2
            stack.append((middle, b))
            stack.append((a, middle))
        return None

    def _safe(self, modes: Array) -> bool:
        """Whether every current that occurs leaves every margin above 0."""
        currents = self.tables.currents_a
        return all(bool((self.cell.margin_terms(modes, float(i)).sum(axis=1) > 0.0).all()) for i in currents)

    def _within(self, window: _Window, n: int) -> Lifetime | None:
        """The cell's own closed form over the sleep before event n and its work."""
        then, state = self._past(window, n)
        parts = [(self.sleep_a, float(window.start_s[n]) - then)]
        phases = self.plan.paths[window.path[n]].phases
        parts += [(self.plan.battery.drawn_a(self.plan.rail_a(p)), p.duration_s) for p in phases]
        parts = [(current, time) for current, time in parts if time > 0.0]
        load = LoadProfile(tuple(i for i, _ in parts), tuple(t for _, t in parts))
        life = self.cell.lifetime(load, state)
        return life if life.time_s <= load.period_s else None

    def _stop(self, window: _Window, n: int, life: Lifetime) -> Run:
        """Empty after `life` of the sleep before event n and its work."""
        self._take(window, n)
        gap = float(window.start_s[n]) - self.now
        self.tally.slept_s += min(life.time_s, gap)
        left, cut = life.time_s - gap, []
        for phase in self.plan.paths[window.path[n]].phases:
            if left <= 0.0:
                break
            cut.append(replace(phase, duration_s=min(phase.duration_s, left)))
            left -= phase.duration_s
        self.tally.cut = tuple(cut)
        self.state = life.state
        return self._report(self.now + life.time_s, life.cause)

    def _rest(self, horizon_s: float) -> Run:
        """Sleep to the horizon."""
        until = self.cell.time_to_empty(self.state, self.sleep_a)
        empty = self.now + until <= horizon_s
        slept = until if empty else horizon_s - self.now
        self.state = self.cell.advance(self.state, self.sleep_a, slept)
        self.tally.slept_s += slept
        left = self.cell.margins(self.state, self.sleep_a)
        return self._report(self.now + slept, min(left, key=lambda name: left[name]) if empty else "")

    def _report(self, time_s: float, cause: str) -> Run:
        tally = self.tally
        ledger = close(tally, time_s, self.state)
        return Run(time_s, cause, tally.by_activity(tally.taken), tally.by_activity(tally.late), ledger, self.state)
