"""`battery_life`: a scenario's answer to "how long, and what eats it?"."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinysim.errors import InfeasibleError, TinysimError
from tinysim.scenario.build import build_plan
from tinysim.scenario.checks import faults
from tinysim.scenario.montecarlo import Bar, Lifetimes, lifetimes, tornado
from tinysim.scenario.plan import Plan
from tinysim.scenario.reader import Origin, read_spec
from tinysim.scenario.spec import Scenario
from tinysim.scenario.steady import Steady, steady
from tinysim.scenario.stepping import Run, regular_period_s, simulate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BatteryLife", "battery_life", "load_scenario"]

SCHEMA_VERSION = 1
DAY_S = 86400.0


@dataclass(frozen=True)
class BatteryLife:
    """Lifetime, its interval, and where the energy goes."""

    plan: Plan
    mean: Steady
    run: Run
    """Exact event stepping from the full cell to its end, or to the horizon."""
    sample: Lifetimes
    bars: tuple[Bar, ...]

    @property
    def lifetime_s(self) -> float:
        """Until the cell is empty: by event stepping, or by the closed form if the run stopped before."""
        return self.run.time_s if self.run.cause else self.mean.lifetime().time_s

    @property
    def cause(self) -> str:
        """What the cell runs out of; empty if it never does."""
        return self.run.cause or self.mean.lifetime().cause

    @property
    def miss_share(self) -> dict[str, float]:
        """Share of events that ended after their deadline, for activities that have one."""
        timed = [a.name for a in self.plan.activities if a.deadline_s is not None]
        return {n: self.run.misses[n] / self.run.events[n] if self.run.events[n] else 0.0 for n in timed}

    def answer(self, level: float = 0.9) -> str:
        """How long, and what eats it, in a sentence."""
        low, high = self.sample.interval(level)
        shares = sorted(self.shares().items(), key=lambda item: -item[1])
        eaters = ", ".join(f"{name} {share:.0%}" for name, share in shares[:3] if share >= 0.005)
        ends = f" It ends for want of {self.cause}." if self.cause else ""
        return (
            f"{self.plan.name}: {in_days(self.lifetime_s)} ({level:.0%} interval {in_days(low)} to {in_days(high)}) "
            f"at {self.mean.cell_a * 1e6:.4g} uA from the cell on average. What eats it: {eaters}.{ends}"
        )

    def shares(self) -> dict[str, float]:
        """Share of the cell's charge by consumer, self-discharge included."""
        battery = self.plan.battery
        leak = battery.cell.self_discharge_per_s * battery.cell.capacity_c
        total = self.mean.cell_a + leak
        scale = battery.rail_v / battery.voltage_v
        shares = {name: current * scale / total for name, current in self.mean.current_a.items()}
        return shares | ({"self-discharge": leak / total} if leak else {})

    def to_frame(self) -> pd.DataFrame:
        """A row per consumer."""
        import pandas as pd

        rail = self.plan.battery.rail_v
        shares = self.shares()
        rows = [
            {"consumer": n, "current_a": c, "energy_j_per_day": c * rail * DAY_S, "share": shares[n]}
            for n, c in self.mean.current_a.items()
        ]
        return pd.DataFrame(rows).set_index("consumer").sort_values("share", ascending=False)

    def to_dict(self, level: float = 0.9) -> dict[str, Any]:
        """Plain data: the document that ``tinysim battery --json`` prints (docs/battery.md)."""
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.plan.name,
            "lifetime_s": finite(self.lifetime_s),
            "lifetime_days": finite(self.lifetime_s / DAY_S),
            "interval": {"level": level, "lifetime_s": [finite(x) for x in self.sample.interval(level)]},
            "closed_form_lifetime_s": finite(self.mean.lifetime().time_s),
            "cause": self.cause,
            "cell_current_a": self.mean.cell_a,
            "power_w": self.mean.power_w,
            "busy_share": self.mean.busy,
            "consumers": [{"consumer": str(n), **row} for n, row in self.to_frame().to_dict(orient="index").items()],
            "events": self.run.events,
            "deadline_misses": self.run.misses,
            "ledger": asdict(self.run.ledger),
            "tornado": [asdict(bar) for bar in self.bars],
            "answer": self.answer(level),
        }


def finite(value: float) -> float | None:
    """The number, or None (JSON's null) for a cell that never gets empty."""
    return value if math.isfinite(value) else None


def in_days(time_s: float) -> str:
    """A span as people say it.

    >>> in_days(3 * 86400.0), in_days(7200.0), in_days(800 * 86400.0), in_days(6.08), in_days(90.0)
    ('3 days', '2 hours', '2.19 years', '6.08 seconds', '1.5 minutes')
    """
    if math.isinf(time_s):
        return "for ever"
    if time_s < 3600.0:
        return f"{time_s:.3g} seconds" if time_s < 60.0 else f"{time_s / 60.0:.3g} minutes"
    if time_s < 2 * DAY_S:
        return f"{time_s / 3600.0:.3g} hours"
    days = time_s / DAY_S
    return f"{days:.3g} days" if days < 730 else f"{days / 365.25:.3g} years"


def load_scenario(path: str | Path) -> tuple[Scenario, Origin]:
    """Read a scenario file.

    Raises:
        SpecError: it cannot be read, or a field is wrong; the message names file, line and field.
    """
    return read_spec(Scenario, path)


def battery_life(
    scenario: Scenario | str | Path, *, runs: int = 200, seed: int = 0, horizon_s: float = math.inf
) -> BatteryLife:
    """Lifetime of a scenario's battery with its interval.

    Args:
        scenario: path of a YAML file, or a `Scenario`.
        runs: draws of the Monte Carlo.
        seed: of all that is random.
        horizon_s: end of the event stepping; the end of the cell by default.

    Raises:
        SpecError: the scenario is wrong, or a figure is missing.
        InfeasibleError: it cannot work; the message says which field is why.
    """
    spec, origin = (scenario, None) if isinstance(scenario, Scenario) else load_scenario(scenario)
    try:
        plan = build_plan(spec)
    except TinysimError as error:
        if origin is None:
            raise
        raise type(error)(origin.annotate(str(error))) from error
    wrong = faults(plan)
    if wrong:
        raise InfeasibleError(
            "; ".join(f"{origin.place(f.field) if origin else '.'.join(map(str, f.field))}: {f.message}" for f in wrong)
        )
    mean = steady(plan)
    events = math.fsum(a.arrivals.rate_hz for a in plan.activities)
    span = horizon_s if regular_period_s(plan) else min(horizon_s, _MAX_EVENTS / events)
    run = simulate(plan, horizon_s=span, seed=seed)
    return BatteryLife(plan, mean, run, lifetimes(plan, runs=runs, seed=seed), tuple(tornado(plan)))


#: Events after which the stepping stops of itself: about two seconds of computing.
_MAX_EVENTS = 2e7
