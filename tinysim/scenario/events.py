"""When things happen: arrivals of events, exact and in bulk.

Arrivals come from a cumulative count L(t) that is piecewise linear over a cycle: deterministic ones where L is a
whole number, Poisson ones where L passes the next point of a unit-rate Poisson process. A constant rate is a cycle with
one piece, a day is a cycle with 24.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import InputError

__all__ = ["Arrivals", "Pattern", "Trace"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pattern:
    """Events at a rate that repeats with a cycle, at even counts or as a Poisson process.

    >>> Pattern(spans_s=(2.0,), rates_hz=(0.5,)).between(0.0, 7.0).tolist()
    [0.0, 2.0, 4.0, 6.0]
    """

    spans_s: tuple[float, ...]
    """Lengths of the pieces of a cycle."""
    rates_hz: tuple[float, ...]
    """Rate in each piece."""
    random: bool = False
    """Poisson instead of even."""

    def __post_init__(self) -> None:
        if len(self.spans_s) != len(self.rates_hz) or not self.spans_s:
            raise InputError("Pattern: needs as many spans as rates, at least one")
        if min(self.spans_s) <= 0 or min(self.rates_hz) < 0 or max(self.rates_hz) <= 0:
            raise InputError("Pattern: spans must be above 0, rates at least 0 and one of them above")

    @classmethod
    def periodic(cls, period_s: float) -> Pattern:
        """One event every period, the first at time 0."""
        return cls((period_s,), (1.0 / period_s,))

    @property
    def cycle_s(self) -> float:
        """Length of a cycle."""
        return math.fsum(self.spans_s)

    @cached_property
    def _marks(self) -> tuple[Array, Array]:
        spans, rates = np.array(self.spans_s), np.array(self.rates_hz)
        time = np.concatenate(([0.0], np.cumsum(spans)))
        count = np.concatenate(([0.0], np.cumsum(spans * rates)))
        if not self.random:  # whole cycles count exactly, so that periods do not creep
            whole = np.rint(count[-1])
            if whole and abs(count[-1] - whole) < 1e-9 * whole:
                count = count * (whole / count[-1])
        return time, count

    @cached_property
    def _rates(self) -> Array:
        time, count = self._marks
        return np.diff(count) / np.diff(time)

    @property
    def per_cycle(self) -> float:
        """Mean number of events in a cycle."""
        return float(self._marks[1][-1])

    @property
    def rate_hz(self) -> float:
        """Mean rate."""
        return self.per_cycle / self.cycle_s

    @property
    def period_s(self) -> float | None:
        """Time after which the same arrivals come again; None if never."""
        whole = self.per_cycle == round(self.per_cycle)
        return self.cycle_s if whole and not self.random else None

    def scaled(self, factor: float) -> Pattern:
        """The same pattern with all rates multiplied (a cycle of one piece keeps one event)."""
        if len(self.spans_s) == 1 and not self.random:
            return Pattern.periodic(self.cycle_s / self.per_cycle / factor)
        return Pattern(self.spans_s, tuple(r * factor for r in self.rates_hz), self.random)

    def _count(self, time_s: float) -> float:
        time, count = self._marks
        cycles = math.floor(time_s / self.cycle_s)
        return cycles * float(count[-1]) + float(np.interp(time_s - cycles * self.cycle_s, time, count))

    def _time(self, count: Array) -> Array:
        if len(self.spans_s) == 1:
            return count / self.rates_hz[0] if self.random else count * (self.cycle_s / self.per_cycle)
        time, marks = self._marks
        cycles = np.floor(count / marks[-1])
        rest = count - cycles * marks[-1]
        piece = np.searchsorted(marks, rest, side="right") - 1  # past pieces of rate 0, in which no count lies
        return np.asarray(cycles * self.cycle_s + time[piece] + (rest - marks[piece]) / self._rates[piece])

    def between(self, start_s: float, end_s: float, rng: np.random.Generator | None = None) -> Array:
        """Arrivals in [start, end), rising."""
        low, high = self._count(start_s), self._count(end_s)
        if self.random:
            if rng is None:
                raise InputError("Pattern: Poisson arrivals need a random generator")
            number = int(rng.poisson(high - low))
            steps = np.cumsum(rng.standard_exponential(number + 1))
            return self._time(low + (high - low) * steps[:-1] / steps[-1])
        counts = np.arange(math.floor(low), math.ceil(high) + 1, dtype=float)
        times = self._time(counts)
        first, last = np.searchsorted(times, (start_s, end_s))
        return np.asarray(times[first:last])


@dataclass(frozen=True)
class Trace:
    """Events at given times, repeated after `period_s`."""

    times_s: tuple[float, ...] = field(repr=False)
    period_s: float
    random: bool = False

    def __post_init__(self) -> None:
        times = self.times_s
        if not times or min(times) < 0 or max(times) >= self.period_s:
            raise InputError(f"Trace: needs times in 0 to {self.period_s:g} s, its period")
        if any(b < a for a, b in itertools.pairwise(times)):
            raise InputError("Trace: times must rise from row to row")

    @property
    def rate_hz(self) -> float:
        """Mean rate."""
        return len(self.times_s) / self.period_s

    def scaled(self, factor: float) -> Trace:
        """The same events closer together."""
        return Trace(tuple(t / factor for t in self.times_s), self.period_s / factor)

    def between(self, start_s: float, end_s: float, rng: np.random.Generator | None = None) -> Array:
        """Arrivals in [start, end), rising.

        >>> Trace((1.0, 4.0), 10.0).between(3.0, 12.0).tolist()
        [4.0, 11.0]
        """
        first, last = math.floor(start_s / self.period_s), math.ceil(end_s / self.period_s)
        rounds = np.arange(first, last + 1, dtype=float)[:, None] * self.period_s
        times = (rounds + np.array(self.times_s)).ravel()
        return np.asarray(times[(times >= start_s) & (times < end_s)])


Arrivals = Pattern | Trace
