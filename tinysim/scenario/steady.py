"""Closed form of the steady state: mean current by consumer, and the lifetime that it means.

Over a long time each activity spends  rate x sum over phases (chance of the phase x duration x current); the rest of
the time is sleep. Exact for any horizon of whole periods; for Poisson arrivals it is the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinysim.scenario.plan import Path, Plan
from tinysim.supply.cell import Lifetime, LoadProfile

__all__ = ["Steady", "busy_share", "steady"]


@dataclass(frozen=True)
class Steady:
    """Long-run means of a plan. Currents by consumer are at the rail."""

    plan: Plan
    busy: float
    """Share of time awake."""
    current_a: dict[str, float]
    """Mean current by consumer at the rail; the converter's own loss is under "converter", as rail current."""
    noise_c2_per_s: float
    """Variance of the charge out of the cell per second, from random arrivals and cascades."""

    @property
    def cell_a(self) -> float:
        """Mean current out of the cell, self-discharge not included."""
        return self.plan.battery.drawn_a(math.fsum(c for n, c in self.current_a.items() if n != "converter"))

    @property
    def power_w(self) -> float:
        """Mean power at the rail."""
        return self.plan.battery.rail_v * math.fsum(c for n, c in self.current_a.items() if n != "converter")

    @property
    def cell_power_w(self) -> float:
        """Mean power out of the cell."""
        return self.plan.battery.voltage_v * self.cell_a

    def profile(self) -> LoadProfile:
        """A periodic load on the cell with the same mean: the heaviest path at its own rate, the rest spread evenly.

        With one periodic activity without a cascade it is the load itself.
        """
        plan = self.plan
        rates = {a.name: a.arrivals.rate_hz for a in plan.activities}
        heavy = max(plan.paths, key=lambda p: (peak_a(plan, p), p.duration_s))
        period = 1.0 / (rates[heavy.activity] * heavy.probability)
        currents = [plan.battery.drawn_a(plan.rail_a(phase)) for phase in heavy.phases]
        durations = [phase.duration_s for phase in heavy.phases]
        rest = period - math.fsum(durations)
        left = self.cell_a * period - math.fsum(i * t for i, t in zip(currents, durations, strict=True))
        if rest <= 0.0:
            return LoadProfile((self.cell_a,), (1.0,), periodic=True)
        return LoadProfile((*currents, max(left, 0.0) / rest), (*durations, rest), periodic=True)

    def lifetime(self) -> Lifetime:
        """Lifetime of the full cell under `profile`."""
        return self.plan.battery.cell.lifetime(self.profile())


def peak_a(plan: Plan, path: Path) -> float:
    """Highest current out of the cell on a path."""
    return plan.battery.drawn_a(max(plan.rail_a(phase) for phase in path.phases))


def busy_share(plan: Plan) -> float:
    """Share of time awake: sum of rate x mean duration. Above 1 the work never ends."""
    return math.fsum(a.arrivals.rate_hz * a.mean_duration_s for a in plan.activities)


def steady(plan: Plan) -> Steady:
    """Long-run means of a plan."""
    battery, busy = plan.battery, busy_share(plan)
    means = dict.fromkeys(plan.consumers, 0.0)
    for name, current in plan.always:
        means[name] += current
    for name, current in plan.asleep:
        means[name] += current * (1.0 - busy)
    asleep_a = sum(current for _, current in plan.asleep)
    noise = 0.0
    for activity in plan.activities:
        rate, first, second = activity.arrivals.rate_hz, 0.0, 0.0
        for path in activity.paths:
            extra = 0.0
            for phase in path.phases:
                for name, current in phase.draws:
                    means[name] += rate * path.probability * phase.duration_s * current
                extra += phase.duration_s * (phase.current_a - asleep_a)
            first += path.probability * extra
            second += path.probability * extra * extra
        noise += rate * (second if activity.arrivals.random else max(second - first * first, 0.0))
    if "converter" in means:
        rail = math.fsum(means.values())
        means["converter"] = battery.drawn_a(rail) * battery.voltage_v / battery.rail_v - rail
    return Steady(plan, busy, means, noise * battery.gain**2)
