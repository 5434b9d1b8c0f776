"""States and currents over time, for pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinysim.scenario.plan import Plan
from tinysim.scenario.stepping import arrivals

__all__ = ["Stretch", "timeline"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of one state."""

    start_s: float
    end_s: float
    state: str
    activity: str
    current_a: float
    """At the rail."""


def timeline(plan: Plan, duration_s: float, *, seed: int = 0) -> list[Stretch]:
    """What happens from time 0: the same arrivals and paths as `simulate` draws in its first window."""
    rngs = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(len(plan.activities))]
    _, start, path = arrivals(plan, 0.0, duration_s, rngs, 0.0)
    out: list[Stretch] = []
    now = 0.0
    for begin, number in zip(start.tolist(), path.tolist(), strict=True):
        if begin > now:
            out.append(Stretch(now, begin, "sleep", "", plan.sleep_a))
        now = max(begin, now)
        for phase in plan.paths[number].phases:
            end = now + phase.duration_s
            out.append(Stretch(now, end, phase.label, plan.paths[number].activity, plan.rail_a(phase)))
            now = end
    if now < duration_s:
        out.append(Stretch(now, duration_s, "sleep", "", plan.sleep_a))
    return out
