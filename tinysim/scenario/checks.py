"""Why a scenario cannot work: which field, and by how much."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinysim.scenario.plan import Activity, Path, Plan
from tinysim.scenario.steady import busy_share, peak_a, steady
from tinysim.supply.pulse import pulse_voltage_v

__all__ = ["Fault", "faults"]


@dataclass(frozen=True)
class Fault:
    """Something that makes a scenario impossible."""

    field: tuple[str | int, ...]
    """Where it stands in the scenario."""
    message: str


def faults(plan: Plan) -> list[Fault]:
    """All reasons why a plan cannot work: duty, current, brown-out, queues that miss the watchdog or a FIFO."""
    found = list(_duty(plan))
    if not found:
        found = [*_average(plan), *_pulses(plan), *_blocking(plan)]
    return found


def _duty(plan: Plan) -> list[Fault]:
    busy = busy_share(plan)
    if busy <= 1.0:
        return []
    worst = max(plan.activities, key=lambda a: a.arrivals.rate_hz * a.mean_duration_s)
    share = worst.arrivals.rate_hz * worst.mean_duration_s
    return [
        Fault(
            worst.field,
            f"duty over 100 %: the MCU would be awake {busy:.0%} of the time, {share:.0%} for {worst.name} "
            f"({worst.mean_duration_s:.4g} s every {1.0 / worst.arrivals.rate_hz:.4g} s)",
        )
    ]


def _average(plan: Plan) -> list[Fault]:
    limit = plan.battery.max_current_a
    state = steady(plan)
    if limit is None or state.cell_a <= limit:
        return []
    name, most = max(state.current_a.items(), key=lambda item: item[1])
    return [
        Fault(
            ("supply", "cell"),
            f"the average of {_milli(state.cell_a)} mA ({state.cell_power_w * 1e3:.4g} mW) is above the "
            f"{_milli(limit)} mA that the cell is made for; most of it is {name!r}, {_milli(most)} mA at the rail",
        )
    ]


def _pulses(plan: Plan) -> list[Fault]:
    """Fresh cell, rested buffer: if the first pulse browns out, every pulse does."""
    battery = plan.battery
    if battery.brownout_v is None:
        return []
    if battery.voltage_v <= battery.brownout_v:
        text = f"the fresh cell's {battery.voltage_v:g} V is not above the {battery.brownout_v:g} V that the load needs"
        return [Fault(("supply", "brownout"), text)]
    for activity in plan.activities:
        path = max(activity.paths, key=lambda p: peak_a(plan, p))
        lowest, label, current = _sag(plan, path)
        if lowest < battery.brownout_v:
            return [
                Fault(
                    activity.field,
                    f"brown-out at the first pulse: {label!r} draws {_milli(current)} mA, the cell of "
                    f"{battery.voltage_v:g} V behind {battery.resistance_ohm:g} ohm {_falls(lowest)} and "
                    f"the load needs {battery.brownout_v:g} V (a larger supply.buffer may help)",
                )
            ]
    return []


def _sag(plan: Plan, path: Path) -> tuple[float, str, float]:
    """(lowest voltage, phase, current) of a path on a fresh cell.

    Each phase is taken alone from rest: with a buffer the true sag of a train of phases is deeper by what the ones
    before it left uncharged.
    """
    battery = plan.battery
    worst = (math.inf, "", 0.0)
    for phase in path.phases:
        current = battery.drawn_a(plan.rail_a(phase))
        volts = float(
            pulse_voltage_v(
                open_v=battery.voltage_v,
                resistance_ohm=battery.resistance_ohm,
                current_a=current,
                duration_s=phase.duration_s,
                buffer_f=battery.buffer_f,
                buffer_esr_ohm=battery.buffer_esr_ohm,
            )
        )
        worst = min(worst, (volts, phase.label, current))
    return worst


def _blocking(plan: Plan) -> list[Fault]:
    """Work that cannot be interrupted and outlasts a watchdog or a FIFO."""
    found = []
    longest = max(plan.paths, key=lambda p: p.duration_s)
    for activity in plan.activities:
        if activity.field and activity.field[0] in {"watchdog", "sensors"} and activity.deadline_s is not None:
            own = activity.mean_duration_s
            wait = longest.duration_s if longest.activity != activity.name else 0.0
            if wait + own > activity.deadline_s:
                found.append(Fault(activity.field, _blocked(activity, longest, wait + own)))
    return found


def _blocked(activity: Activity, longest: Path, time_s: float) -> str:
    what = "the watchdog bites" if activity.field[0] == "watchdog" else f"the FIFO overflows before '{activity.name}'"
    return (
        f"{what}: {longest.activity} keeps the MCU for {longest.duration_s:.4g} s, so service takes up to "
        f"{time_s:.4g} s and there are {activity.deadline_s:.4g} s"
    )


def _falls(lowest_v: float) -> str:
    return f"sags to {lowest_v:.3g} V" if lowest_v > 0.0 else "cannot give that"


def _milli(current_a: float) -> str:
    return f"{current_a * 1e3:.4g}"
