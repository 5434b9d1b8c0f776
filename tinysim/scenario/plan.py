"""`Plan`: a scenario resolved to plain numbers: constant currents, activities of constant-current phases, a battery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from tinysim.scenario.events import Arrivals
from tinysim.supply.cell import Cell

__all__ = ["Activity", "Battery", "Path", "Phase", "Plan"]

Draws = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of constant current while the MCU is awake."""

    label: str
    """State, as pictures name it."""
    duration_s: float
    draws: Draws
    """(consumer, current at the rail [A]) besides the constant ones."""
    waits: bool = False
    """Whether nothing needs the core meanwhile, so that it may sleep."""

    @property
    def current_a(self) -> float:
        """Current at the rail, besides the constant ones."""
        return sum(current for _, current in self.draws)


@dataclass(frozen=True, slots=True)
class Path:
    """One way through an activity: the phases up to where its cascade stops, and how often it is taken."""

    activity: str
    phases: tuple[Phase, ...]
    probability: float

    @property
    def duration_s(self) -> float:
        """Time awake."""
        return sum(phase.duration_s for phase in self.phases)


@dataclass(frozen=True)
class Activity:
    """Something that wakes the MCU: when, and what happens then."""

    name: str
    arrivals: Arrivals
    phases: tuple[Phase, ...]
    stops: tuple[tuple[int, float], ...] = ()
    """(number of phases done, probability of going on) where a cascade may stop."""
    deadline_s: float | None = None
    field: tuple[str | int, ...] = ()
    """Where the scenario file says so."""

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """All ways through, shortest first; their probabilities add up to 1."""
        out, reach = [], 1.0
        for done, go_on in self.stops:
            if go_on < 1.0:
                out.append(Path(self.name, self.phases[:done], reach * (1.0 - go_on)))
                reach *= go_on
        out.append(Path(self.name, self.phases, reach))
        return tuple(path for path in out if path.probability > 0.0)

    @property
    def mean_duration_s(self) -> float:
        """Mean time awake per event."""
        return sum(path.probability * path.duration_s for path in self.paths)


@dataclass(frozen=True)
class Battery:
    """A cell with the converter between it and the rail."""

    cell: Cell
    voltage_v: float
    """Of the fresh cell at rest; energies of the ledger are charge times this voltage."""
    rail_v: float
    gain: float = 1.0
    """Cell current per rail current: 1 for none or a linear regulator, V_rail / (efficiency V_cell) for a buck."""
    quiescent_a: float = 0.0
    """Of the converter, from the cell."""
    resistance_ohm: float = 0.0
    brownout_v: float | None = None
    max_current_a: float | None = None
    buffer_f: float = 0.0
    buffer_esr_ohm: float = 0.0

    def drawn_a(self, rail_a: float) -> float:
        """Current out of the cell for a current at the rail."""
        return rail_a * self.gain + self.quiescent_a


@dataclass(frozen=True)
class Plan:
    """Everything that the engines need to know of a scenario."""

    name: str
    battery: Battery
    activities: tuple[Activity, ...]
    always: Draws
    """Constant currents at the rail."""
    asleep: Draws
    """Currents at the rail while nothing happens."""
    spreads: tuple[tuple[str, float], ...] = ()
    """(what, 90 % half-width in ln) of what is uncertain: a consumer, "capacity", "rate of <activity>"."""

    @property
    def always_a(self) -> float:
        """Sum of the constant currents at the rail."""
        return sum(current for _, current in self.always)

    @property
    def sleep_a(self) -> float:
        """Current at the rail while nothing happens."""
        return self.always_a + sum(current for _, current in self.asleep)

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """Paths of all activities."""
        return tuple(path for activity in self.activities for path in activity.paths)

    @cached_property
    def consumers(self) -> tuple[str, ...]:
        """Names of all consumers in order of appearance, the converter last if it draws."""
        names = dict.fromkeys(consumer for draws in self._all_draws() for consumer, _ in draws)
        return (*names, *(("converter",) if self._converts else ()))

    @property
    def _converts(self) -> bool:
        return self.battery.quiescent_a > 0.0 or self.battery.gain * self.battery.voltage_v > self.battery.rail_v

    def _all_draws(self) -> Iterator[Draws]:
        yield self.always
        yield self.asleep
        for activity in self.activities:
            for phase in activity.phases:
                yield phase.draws

    def rail_a(self, phase: Phase) -> float:
        """Current at the rail in a phase."""
        return phase.current_a + self.always_a

    def scaled(self, factors: dict[str, float]) -> Plan:
        """The plan with consumers' currents, the capacity, or rates of activities multiplied.

        Keys: a consumer, "capacity", or "rate of <activity>".
        """

        def draws(given: Draws) -> Draws:
            return tuple((name, current * factors.get(name, 1.0)) for name, current in given)

        cell = self.battery.cell
        size = factors.get("capacity", 1.0)
        activities = tuple(
            replace(
                activity,
                arrivals=activity.arrivals.scaled(factors.get(f"rate of {activity.name}", 1.0)),
                phases=tuple(replace(phase, draws=draws(phase.draws)) for phase in activity.phases),
            )
            for activity in self.activities
        )
        return replace(
            self,
            battery=replace(self.battery, cell=replace(cell, capacity_c=cell.capacity_c * size)),
            activities=activities,
            always=draws(self.always),
            asleep=draws(self.asleep),
        )
