"""Batteries as decoupled linear modes: exact advance over constant current, exact first moment of emptiness.

Ideal, Peukert, KiBaM, Rakhmatov-Vrudhula and RC-circuit cells are all dz_k/dt = -lambda_k z_k + b_k(I) after a change
of coordinates, so over a segment of constant current

    z_k(t) = z_k e^{-lambda t} + b_k (1 - e^{-lambda t}) / lambda          (b_k t for lambda = 0)

and over N equal periods each mode is again a closed form. A cell is empty as soon as one of its margins (charge left,
voltage above cut-off, ...) is <= 0. A margin is a sum of terms, each monotone in one mode, and a mode is monotone
within a segment: the sum of the termwise minima at both ends bounds the margin from below. Bisection on that bound
finds the first crossing, also one that a recovery would hide from a look at the ends.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InfeasibleError, InputError

__all__ = ["Cell", "CellState", "Lifetime", "LoadProfile"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CellState:
    """State of a cell: its modes, the first being the charge left in coulomb."""

    modes: tuple[float, ...]

    @property
    def charge_c(self) -> float:
        """Charge left, coulomb."""
        return self.modes[0]


@dataclass(frozen=True)
class LoadProfile:
    """Currents in amperes held for durations in seconds; `periodic` repeats them for ever.

    Without `periodic` the load is zero after the last segment.
    """

    currents_a: tuple[float, ...]
    durations_s: tuple[float, ...]
    periodic: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "currents_a", tuple(map(float, self.currents_a)))
        object.__setattr__(self, "durations_s", tuple(map(float, self.durations_s)))
        if len(self.currents_a) != len(self.durations_s) or not self.currents_a:
            raise InputError(
                f"LoadProfile: needs as many currents as durations, at least one; got {len(self.currents_a)} "
                f"and {len(self.durations_s)}"
            )
        for n, (current, duration) in enumerate(zip(self.currents_a, self.durations_s, strict=True)):
            if not math.isfinite(current) or current < 0.0:
                raise InputError(f"LoadProfile segment {n}: current_a = {current}: accepted is a finite number >= 0")
            if math.isnan(duration) or duration <= 0.0 or (math.isinf(duration) and self.periodic):
                raise InputError(f"LoadProfile segment {n}: duration_s = {duration}: accepted is a finite number > 0")

    @classmethod
    def from_stamps(cls, currents_a: ArrayLike, starts_s: ArrayLike) -> LoadProfile:
        """Profile from the start of each segment; the last one never ends.

        >>> LoadProfile.from_stamps([1.0, 2.0], [0.0, 60.0]).durations_s
        (60.0, inf)
        """
        starts = np.asarray(starts_s, float)
        return cls(tuple(np.asarray(currents_a, float)), (*np.diff(starts), math.inf))

    @property
    def period_s(self) -> float:
        """Sum of the durations."""
        return math.fsum(self.durations_s)

    @property
    def mean_current_a(self) -> float:
        """Mean current over one pass.

        >>> LoadProfile((7e-3, 3e-6), (3e-3, 0.997), periodic=True).mean_current_a
        2.3991e-05
        """
        return math.fsum(i * t for i, t in self) / self.period_s

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return iter(zip(self.currents_a, self.durations_s, strict=True))


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a cell lasts: inf if the load never empties it."""

    time_s: float
    """Time from the start to the first moment of emptiness."""
    periods: int
    """Whole periods of the load completed before (0 for a profile that does not repeat)."""
    state: CellState
    """State of the cell at that moment (at the last segment, or in steady state, if it never comes)."""
    cause: str
    """Which margin ran out; empty if none does."""


@dataclass(frozen=True, kw_only=True)
class Cell(ABC):
    """Base of the battery models. `self_discharge_per_s` is the share of the capacity lost per second at rest."""

    capacity_c: float
    self_discharge_per_s: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.capacity_c) and self.capacity_c > 0.0):
            raise InputError(f"{type(self).__name__}.capacity_c = {self.capacity_c}: accepted is a finite number > 0")
        if not (math.isfinite(self.self_discharge_per_s) and self.self_discharge_per_s >= 0.0):
            raise InputError(f"{type(self).__name__}.self_discharge_per_s = {self.self_discharge_per_s}: must be >= 0")

    # -- what a model says of itself ----------------------------------------------------------------------------

    @property
    @abstractmethod
    def decay_per_s(self) -> Array:
        """Lambda of each mode, 1/s; the first (charge) is 0."""

    @abstractmethod
    def drive(self, current_a: float) -> Array:
        """B of each mode under a current."""

    @property
    @abstractmethod
    def causes(self) -> tuple[str, ...]:
        """Names of the margins."""

    @property
    @abstractmethod
    def signs(self) -> Array:
        """+1 where more of a mode means more margin, -1 where it means less."""

    @abstractmethod
    def margin_terms(self, modes: Array, current_a: float) -> Array:
        """Terms of the margins, one row per cause, columns: a constant, then one monotone term per mode."""

    # -- what follows from it -----------------------------------------------------------------------------------

    def full_state(self) -> CellState:
        """A fresh cell at rest."""
        return CellState((self.capacity_c, *(0.0 for _ in self.decay_per_s[1:])))

    def advance(self, state: CellState, current_a: float, duration_s: float) -> CellState:
        """State after a constant current for a time (discharge positive); does not stop at empty."""
        return CellState(tuple(self._after(np.array(state.modes), current_a, duration_s).tolist()))

    def margins(self, state: CellState, current_a: float) -> dict[str, float]:
        """What is left before the cell counts as empty, by cause, while it gives a current."""
        values = self.margin_terms(np.array(state.modes), current_a).sum(axis=1)
        return dict(zip(self.causes, values.tolist(), strict=True))

    def time_to_empty(self, state: CellState, current_a: float) -> float:
        """Time until a constant current empties the cell; inf if it never does, 0 if it is empty at once."""
        return self.lifetime(LoadProfile((current_a,), (math.inf,)), state).time_s

    def lifetime(self, profile: LoadProfile, state: CellState | None = None) -> Lifetime:
        """First moment at which a load finds the cell empty. Exact: no time step.

        A periodic load of any length costs a few dozen periods: whole runs of periods are ruled out at once.
        """
        modes = np.array((state or self.full_state()).modes)
        return self._repeat(profile, modes) if profile.periodic else self._once(profile, modes)

    def after_periods(self, profile: LoadProfile, periods: ArrayLike, state: CellState | None = None) -> Array:
        """Modes after whole numbers of periods, one row each: the closed form of N affine maps."""
        start = np.array((state or self.full_state()).modes)
        n = np.asarray(periods, float)[..., None]
        decay, rise = self._period_map(profile)
        return np.asarray(np.exp(-decay * n) * start + _series(decay, n) * rise)

    def _after(self, modes: Array, current_a: float, duration_s: float) -> Array:
        rate, drive = self.decay_per_s, self._total_drive(current_a)
        with np.errstate(invalid="ignore", divide="ignore"):
            gain = np.where(rate > 0.0, -np.expm1(-rate * duration_s) / np.where(rate > 0.0, rate, 1.0), duration_s)
        return np.asarray(modes * np.exp(-rate * duration_s) + np.where(drive == 0.0, 0.0, drive * gain))

    def _total_drive(self, current_a: float) -> Array:
        drive = self.drive(current_a)
        if self.self_discharge_per_s:
            drive = drive.copy()
            drive[0] -= self.self_discharge_per_s * self.capacity_c
        return drive

    def _crossing(self, modes: Array, current_a: float, duration_s: float) -> tuple[float, int] | None:
        """First time within a segment at which a margin is <= 0, and which one."""
        if math.isinf(duration_s):
            duration_s = self._horizon(modes, current_a)

        def terms(time_s: float) -> Array:
            return self.margin_terms(self._after(modes, current_a, time_s), current_a)

        first = terms(0.0)
        spent = first.sum(axis=1) <= 0.0
        if spent.any():
            return 0.0, int(np.argmax(spent))
        stack = [(0.0, duration_s, first, terms(duration_s))]
        while stack:
            low, high, at_low, at_high = stack.pop()
            bound = np.minimum(at_low, at_high).sum(axis=1)
            if (bound > 0.0).all():
                continue
            middle = 0.5 * (low + high)
            if not low < middle < high or high - low <= 1e-15 * high:
                return high, int(np.argmin(bound))
            at_middle = terms(middle)
            stack.append((middle, high, at_middle, at_high))
            stack.append((low, middle, at_low, at_middle))
        return None

    def _horizon(self, modes: Array, current_a: float) -> float:
        """A time by which a constant current has surely drained all charge, or all modes have settled."""
        drain = -float(self._total_drive(current_a)[0])
        if drain > 0.0:
            return 1.0 + 2.0 * abs(float(modes[0])) / drain
        rates = self.decay_per_s[self.decay_per_s > 0.0]
        return 50.0 / float(rates.min()) if rates.size else 1.0

    def _once(self, profile: LoadProfile, modes: Array) -> Lifetime:
        time = 0.0
        idle = () if math.isinf(profile.durations_s[-1]) else ((0.0, math.inf),)
        for current, duration in (*profile, *idle):
            hit = self._crossing(modes, current, duration)
            if hit is not None:
                end = self._after(modes, current, hit[0])
                return Lifetime(time + hit[0], 0, CellState(tuple(end.tolist())), self.causes[hit[1]])
            if math.isfinite(duration):
                modes = self._after(modes, current, duration)
                time += duration
        return Lifetime(math.inf, 0, CellState(tuple(modes.tolist())), "")

    def _period_map(self, profile: LoadProfile) -> tuple[Array, Array]:
        """(lambda T, z of an empty start after one period)."""
        rise = np.zeros(self.decay_per_s.size)
        for current, duration in profile:
            rise = self._after(rise, current, duration)
        return self.decay_per_s * profile.period_s, rise

    def _repeat(self, profile: LoadProfile, start: Array) -> Lifetime:
        decay, rise = self._period_map(profile)
        drain = -float(rise[0])
        settled = 50.0 / float(decay[decay > 0.0].min()) if (decay > 0.0).any() else 1.0
        last = start[0] / drain + 2.0 if drain > 0.0 else settled
        if last > 2.0**53:
            raise InfeasibleError(f"the load takes {drain:g} C per period of {start[0]:g} C: too small to count")

        def begin(n: int) -> Array:
            return np.asarray(np.exp(-decay * n) * start + _series(decay, np.array(float(n))) * rise)

        stack = [(0, math.ceil(last))]
        while stack:
            low, high = stack.pop()
            first, final = begin(low), begin(high)
            worst = np.where(self.signs > 0.0, np.minimum(first, final), np.maximum(first, final))
            hit = self._within(profile, worst if low < high else first)
            if hit is None:
                continue
            if low == high:
                time, state, cause = hit
                return Lifetime(low * profile.period_s + time, low, CellState(tuple(state.tolist())), cause)
            middle = (low + high) // 2
            stack.append((middle + 1, high))
            stack.append((low, middle))
        steady = begin(math.ceil(last))
        return Lifetime(math.inf, 0, CellState(tuple(steady.tolist())), "")

    def _within(self, profile: LoadProfile, modes: Array) -> tuple[float, Array, str] | None:
        """First emptiness within one period that starts from given modes."""
        time = 0.0
        for current, duration in profile:
            hit = self._crossing(modes, current, duration)
            if hit is not None:
                return time + hit[0], self._after(modes, current, hit[0]), self.causes[hit[1]]
            modes = self._after(modes, current, duration)
            time += duration
        return None


def _series(decay: Array, n: Array) -> Array:
    """1 + a + ... + a^(n-1) with a = e^-decay."""
    small = decay == 0.0
    safe = np.where(small, 1.0, decay)
    return np.asarray(np.where(small, n, np.expm1(-safe * n) / np.expm1(-safe)))
