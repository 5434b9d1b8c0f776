"""Which clock spends least: race to idle, or run slow and low.

    E(f) = E_inference(f) + E_wake(f) + P_sleep (T - t(f) - t_wake)

A faster clock pays wait states of the flash, a slower one leakage while it runs and less time asleep. The core voltage
stays: boards state no currents at their lower voltage ranges.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from tinysim.deploy.prices import energy_prices, sleep_power
from tinysim.errors import InfeasibleError, InputError, MissingFigure
from tinysim.estimate.engine import estimate_deployment

if TYPE_CHECKING:
    import pandas as pd

    from tinysim.deploy.target import Target
    from tinysim.estimate.result import Estimate

__all__ = ["ClockChoice", "ClockPoint", "best_clock"]


@dataclass(frozen=True)
class ClockPoint:
    """Energy of one period at one clock."""

    clock_hz: float
    wait_cycles: float
    """wait states of the memory that holds the weights"""
    latency_s: float
    inference_j: float
    wake_j: float
    """core running while it wakes up"""
    sleep_j: float
    energy_j: float
    """sum of the three"""
    meets_deadline: bool


@dataclass(frozen=True)
class ClockChoice:
    """The clock of least energy, and what the others cost."""

    best: ClockPoint
    points: tuple[ClockPoint, ...]
    """by rising clock"""
    period_s: float | None
    sleep: str | None
    """sleep state between inferences; None without a period"""

    @property
    def clock_hz(self) -> float:
        """The clock of least energy [Hz]."""
        return self.best.clock_hz

    @property
    def strategy(self) -> str:
        """`race to idle` at the fastest clock, `slow and low` at the slowest that is in time, `between` otherwise."""
        in_time = [point for point in self.points if point.meets_deadline]
        if self.best == in_time[-1]:
            return "race to idle"
        return "slow and low" if self.best == in_time[0] else "between"

    def to_frame(self) -> pd.DataFrame:
        """A row per clock; the units are in the column names."""
        import pandas as pd

        return pd.DataFrame([asdict(point) for point in self.points])


def best_clock(
    estimate: Estimate,
    *,
    period_s: float | None = None,
    deadline_s: float | None = None,
    sleep: str | None = None,
) -> ClockChoice:
    """The core clock at which one inference a period takes least energy.

    The candidates are the clock of the estimate, the fastest clock of every number of wait states, and the clocks at
    which the board's current is known. The core wakes up once a period, at running power.

    Args:
        estimate: an inference on a core.
        period_s: time from one inference to the next; None counts the inference alone.
        deadline_s: time for wake-up and inference; the period if None.
        sleep: sleep state in between; the one of lowest current that keeps the arena if None.

    Raises:
        MissingFigure: the board's currents are unknown.
        InputError: a period or deadline that is no positive number, or an estimate with an accelerator.
        SpecError: no such sleep state.
        InfeasibleError: no clock meets the deadline.
    """
    target = estimate.deployment.target
    if target.prices is None:
        raise MissingFigure(f"{'; '.join(target.gaps)}: best_clock needs the energy")
    if estimate.deployment.offload is not None:
        raise InputError(f"{estimate.device}: best_clock is for cores; this estimate runs on an accelerator too")
    for name, value in (("period_s", period_s), ("deadline_s", deadline_s)):
        if value is not None and not (0 < value < math.inf):
            raise InputError(f"{name} {value!r} is no positive number of seconds")
    deadline = min((s for s in (period_s, deadline_s) if s is not None), default=math.inf)
    state, sleep_w, wake_s = None, 0.0, 0.0
    if period_s is not None:
        prices = target.prices
        state, sleep_w, wake_s = sleep_power(
            target.device,
            sleep,
            keep_bytes=estimate.memory.sram_peak_bytes,
            supply_v=prices.supply_v,
            temperature_c=prices.temperature_c,
        )
    points = []
    for clock_hz in _clocks(target):
        own = at_clock(target, clock_hz)
        priced = estimate_deployment(replace(estimate.deployment, target=own))
        assert own.prices is not None, "currents are known"
        assert priced.energy_j is not None, "currents are known"
        busy_s = priced.latency_s + wake_s
        wake_j = wake_s * float(own.prices.power_w)
        sleep_j = 0.0 if period_s is None else sleep_w * max(period_s - busy_s, 0.0)
        points.append(
            ClockPoint(
                clock_hz,
                float(own.weights.wait_cycles),
                priced.latency_s,
                priced.energy_j,
                wake_j,
                sleep_j,
                priced.energy_j + wake_j + sleep_j,
                busy_s <= deadline,
            )
        )
    in_time = [point for point in points if point.meets_deadline]
    if not in_time:
        raise InfeasibleError(
            f"{estimate.network} on {estimate.device} takes {points[-1].latency_s + wake_s:.4g} s at "
            f"{points[-1].clock_hz / 1e6:g} MHz; no clock meets {deadline:.4g} s"
        )
    return ClockChoice(min(in_time, key=lambda point: point.energy_j), tuple(points), period_s, state)


def at_clock(target: Target, clock_hz: float) -> Target:
    """A target at another core clock: its wait states and its power follow."""
    board, place, prices = target.device, target.placement, target.prices
    if prices is not None:
        prices, _ = energy_prices(
            board,
            target.runtime,
            clock_hz,
            code=place.code,
            weights=place.weights,
            activations=place.activations,
            supply_v=prices.supply_v,
            temperature_c=prices.temperature_c,
            regulator=prices.regulator,
        )
    paths = {
        what: replace(
            getattr(target, what), wait_cycles=getattr(place, what).wait_cycles(clock_hz, board.voltage_range)
        )
        for what in ("weights", "code", "activations")
    }
    return replace(target, clock_hz=clock_hz, prices=prices, **paths)


def _clocks(target: Target) -> list[float]:
    """Candidate clocks, rising [Hz]."""
    board = target.device
    top = board.clock.si
    steps = {
        limit
        for memory in (target.placement.weights, target.placement.code)
        for table in memory.wait_states
        if board.voltage_range in (None, table.voltage_range)
        for limit in table.max_clock_hz
    }
    known = {p.clock.si for p in board.power.run if p.current.known} if board.power is not None else set()
    return sorted({target.clock_hz, *(hz for hz in steps | known if hz <= top)})
