"""Where the energy of a battery went: cell = used + converter + self-discharge + rate loss + left.

Energies out of the cell are charge times the voltage of the fresh cell; energies used are charge times the voltage of
the rail, so what a linear regulator burns is the converter's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysim.scenario.plan import Phase, Plan
from tinysim.supply.cell import CellState

__all__ = ["Ledger", "Tally", "close"]


@dataclass(frozen=True, slots=True)
class Ledger:
    """Energy of a run, in joules."""

    cell_j: float
    """In the cell at the start."""
    used_j: dict[str, float]
    """By consumer, at the rail."""
    converter_j: float
    """Lost between cell and rail."""
    self_discharge_j: float
    rate_loss_j: float
    """Lost to discharging faster than rated (Peukert)."""
    left_j: float
    """Still in the cell."""

    @property
    def residual_j(self) -> float:
        """What does not add up; rounding only."""
        spent = (*self.used_j.values(), self.converter_j, self.self_discharge_j, self.rate_loss_j, self.left_j)
        return math.fsum((self.cell_j, *(-e for e in spent)))

    def check(self) -> Ledger:
        """The ledger itself if it closes to 1e-9 of the cell's energy.

        Raises:
            ArithmeticError: it does not close, which would be a defect of tinysim.
        """
        if abs(self.residual_j) > 1e-9 * self.cell_j:
            raise ArithmeticError(f"energy ledger open by {self.residual_j:g} J of {self.cell_j:g} J: {self}")
        return self


@dataclass
class Tally:
    """What a run counts as it goes."""

    plan: Plan
    taken: NDArray[np.int64]
    """Completed events, by path."""
    late: NDArray[np.int64]
    """Of them, after their deadline."""
    slept_s: float = 0.0
    cut: tuple[Phase, ...] = ()
    """Phases of the event in which the cell got empty, the last one shortened."""

    @classmethod
    def empty(cls, plan: Plan) -> Tally:
        """Nothing happened yet."""
        return cls(plan, np.zeros(len(plan.paths), np.int64), np.zeros(len(plan.paths), np.int64))

    def add(self, response_s: NDArray[np.float64], path: NDArray[np.int64], span_s: float) -> None:
        """Count completed events in a stretch of time; what they leave of it was sleep."""
        count = len(self.plan.paths)
        taken = np.bincount(path, minlength=count)
        self.taken += taken
        self.slept_s += span_s - math.fsum(
            n * path.duration_s for n, path in zip(taken.tolist(), self.plan.paths, strict=True)
        )
        limits = {a.name: a.deadline_s for a in self.plan.activities if a.deadline_s is not None}
        if limits:
            deadline = np.array([limits.get(p.activity, math.inf) for p in self.plan.paths])
            self.late += np.bincount(path[response_s > deadline[path] * (1.0 + 1e-9)], minlength=count)

    def repeat(self, count: int, period_s: float) -> None:
        """Count equal events of the only path of a plan, one a period."""
        path = self.plan.paths[0]
        self.taken[0] += count
        self.slept_s += count * (period_s - path.duration_s)
        deadline = self.plan.activities[0].deadline_s
        if deadline is not None and path.duration_s > deadline * (1.0 + 1e-9):
            self.late[0] += count

    def by_activity(self, counts: NDArray[np.int64]) -> dict[str, int]:
        """Counts of paths added up by activity."""
        out = dict.fromkeys((a.name for a in self.plan.activities), 0)
        for path, count in zip(self.plan.paths, counts.tolist(), strict=True):
            out[path.activity] += count
        return out

    def phases(self) -> list[tuple[float, Phase]]:
        """(times that it ran, phase) of everything awake."""
        done = [
            (float(count), phase)
            for path, count in zip(self.plan.paths, self.taken.tolist(), strict=True)
            for phase in path.phases
        ]
        return done + [(1.0, phase) for phase in self.cut]


def close(tally: Tally, time_s: float, end: CellState) -> Ledger:
    """Ledger of a run from the full cell."""
    plan, battery = tally.plan, tally.plan.battery
    cell, volts = battery.cell, battery.voltage_v
    charge = dict.fromkeys(plan.consumers, 0.0)
    for name, current in plan.always:
        charge[name] += current * time_s
    for name, current in plan.asleep:
        charge[name] += current * tally.slept_s
    leak_c = cell.self_discharge_per_s * cell.capacity_c * time_s
    held = [(battery.drawn_a(plan.sleep_a), tally.slept_s)]
    for count, phase in tally.phases():
        for name, current in phase.draws:
            charge[name] += count * phase.duration_s * current
        held.append((battery.drawn_a(plan.rail_a(phase)), count * phase.duration_s))
    rate_loss = math.fsum(t * (-float(cell.drive(current)[0]) - current) for current, t in held)
    charge.pop("converter", None)
    rail_c = math.fsum(charge.values())
    drawn_c = battery.gain * rail_c + battery.quiescent_a * time_s
    return Ledger(
        cell_j=cell.capacity_c * volts,
        used_j={name: c * battery.rail_v for name, c in charge.items()},
        converter_j=drawn_c * volts - rail_c * battery.rail_v,
        self_discharge_j=leak_c * volts,
        rate_loss_j=rate_loss * volts,
        left_j=end.charge_c * volts,
    ).check()
