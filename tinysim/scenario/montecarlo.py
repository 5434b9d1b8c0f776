"""How sure a lifetime is: Monte Carlo over what is uncertain, and a tornado of what it depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import InputError
from tinysim.scenario.plan import Plan
from tinysim.scenario.steady import steady

__all__ = ["Bar", "Lifetimes", "lifetimes", "tornado"]

_Z90 = NormalDist().inv_cdf(0.95)
#: Change of an input that nobody gave an uncertainty for, to compare by.
_PROBE = 0.1


@dataclass(frozen=True)
class Lifetimes:
    """A sample of lifetimes, in seconds, sorted."""

    sample_s: NDArray[np.float64]
    seed: int

    @cached_property
    def median_s(self) -> float:
        """Median."""
        return float(np.median(self.sample_s))

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """Central interval that holds a share `level` of the sample."""
        if not 0.0 < level < 1.0:
            raise InputError(f"interval level {level!r} is not between 0 and 1 (for example 0.9)")
        low, high = np.quantile(self.sample_s, [0.5 - level / 2, 0.5 + level / 2])
        return float(low), float(high)


def lifetimes(plan: Plan, *, runs: int = 400, seed: int = 0) -> Lifetimes:
    """Lifetimes with every uncertain figure drawn anew.

    A factor on a figure is lognormal with the 90 % interval that the plan states; the inference energy's comes from
    `Estimate.interval`. The lifetime of a draw is the closed form's (`Steady.lifetime`); random arrivals and cascades
    add a normal scatter of  sqrt(variance rate x T) / I, exact for many events.
    """
    if runs < 2:
        raise InputError(f"lifetimes: runs = {runs}; at least 2 are needed")
    rng = np.random.default_rng(seed)
    names = [name for name, _ in plan.spreads]
    widths = np.array([width for _, width in plan.spreads])
    factors = np.exp(rng.standard_normal((runs, len(names))) * widths / _Z90)
    noise = rng.standard_normal(runs)
    out = np.empty(runs)
    for n in range(runs):
        state = steady(plan.scaled(dict(zip(names, factors[n].tolist(), strict=True))) if names else plan)
        life = state.lifetime().time_s
        out[n] = life + noise[n] * math.sqrt(state.noise_c2_per_s * life) / state.cell_a
    return Lifetimes(np.sort(np.maximum(out, 0.0)), seed)


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the tornado: lifetimes with one input low and high."""

    name: str
    low_s: float
    """Lifetime with the input at the low end of its interval."""
    high_s: float
    """With it at the high end."""
    half_width: float
    """Relative half-width of the input's 90 % interval."""
    stated: bool
    """Whether somebody stated it; otherwise it is 10 %, for comparison."""

    @property
    def swing_s(self) -> float:
        """Length of the bar."""
        return abs(self.high_s - self.low_s)


def tornado(plan: Plan) -> list[Bar]:
    """One input at a time, over its 90 % interval (10 % where none is stated): the longest bar first."""
    stated = dict(plan.spreads)
    names = [n for n in plan.consumers if n != "converter"]
    names += ["capacity", *(f"rate of {a.name}" for a in plan.activities)]
    bars = []
    for name in names:
        width = stated.get(name, math.log1p(_PROBE))
        low, high = (steady(plan.scaled({name: math.exp(sign * width)})).lifetime().time_s for sign in (-1.0, 1.0))
        bars.append(Bar(name, low, high, math.expm1(width), name in stated))
    return sorted(bars, key=lambda bar: -bar.swing_s)
