"""A capacitor backed by a small cell: the surplus of a full capacitor charges the cell, the cell carries a lean time.

As in Prometheus (Jiang, Polastre and Culler, "Perpetual environmentally powered sensor networks", IPSN 2005): above
`charge_v` the capacitor charges the cell at constant power until it has fallen to `charge_until_v`; below `assist_v`
the load changes over to the cell until the capacitor has recovered to `assist_until_v`. The capacitor sees constant
draws between crossings, so the stepping stays exact; the cell is a tank of energy with efficiencies and self-
discharge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import InputError
from tinysim.supply.capacitors import Capacitor
from tinysim.supply.feed import Feed
from tinysim.supply.stepping import Demand, Outcome, Policy, SupplyRun, run

__all__ = ["BackupCell", "HybridRun", "run_hybrid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupCell:
    """The cell behind the capacitor, and when it is charged and asked: energies [J], voltages [V], powers [W].

    Raises:
        InputError: energies, voltages, efficiencies or powers that contradict each other; names them.
    """

    capacity_j: float
    """Energy of the full cell [J]."""
    start_j: float
    """Energy of the cell at the start [J]."""
    assist_v: float
    """Capacitor voltage below which the cell carries the load."""
    assist_until_v: float
    """Capacitor voltage at which the capacitor takes over again."""
    charge_w: float = 0.0
    """Power taken from the capacitor to charge the cell; 0 for a primary cell."""
    charge_v: float = math.inf
    """Capacitor voltage above which the cell is charged."""
    charge_until_v: float = math.inf
    """Capacitor voltage at which charging stops."""
    charge_efficiency: float = 1.0
    """Share of the power taken from the capacitor that the cell keeps [1]."""
    discharge_efficiency: float = 1.0
    """Share of the energy taken from the cell that reaches the load's converter [1]."""
    self_discharge_per_s: float = 0.0
    """Share of the capacity lost per second while there is any."""
    recharge_share: float = 0.95
    """A full cell is charged again below this share."""
    restart_share: float = 0.05
    """An empty cell is asked again above this share."""

    def __post_init__(self) -> None:
        if not 0.0 < self.capacity_j < math.inf or not 0.0 <= self.start_j <= self.capacity_j:
            raise InputError(
                f"BackupCell: needs 0 <= start_j {self.start_j:g} <= capacity_j {self.capacity_j:g}, capacity above 0"
            )
        if not 0.0 <= self.assist_v < self.assist_until_v:
            raise InputError(
                f"BackupCell: assist_v {self.assist_v:g} must be below assist_until_v {self.assist_until_v:g}"
            )
        if self.charge_w and not self.assist_until_v <= self.charge_until_v < self.charge_v:
            raise InputError(
                f"BackupCell: needs assist_until_v {self.assist_until_v:g} <= charge_until_v {self.charge_until_v:g} "
                f"< charge_v {self.charge_v:g}"
            )
        shares = (self.charge_efficiency, self.discharge_efficiency)
        if not all(0.0 < share <= 1.0 for share in shares) or min(self.charge_w, self.self_discharge_per_s) < 0.0:
            raise InputError("BackupCell: needs efficiencies in 0 to 1, and no negative power or self-discharge")
        if self.charge_w and self.charge_w * self.charge_efficiency <= self.self_discharge_per_s * self.capacity_j:
            raise InputError("BackupCell: charge_w does not even make up for the self-discharge")


@dataclass(frozen=True)
class HybridRun:
    """A finished run: phases and one ledger of both stores, and what the cell did."""

    supply: SupplyRun
    """`stored_j` of the ledger is that of both stores, `leakage_j` includes the cell's self-discharge."""
    cell: BackupCell
    time_s: NDArray[np.float64]
    energy_j: NDArray[np.float64]
    """Energy of the cell at the beginning of each phase, and at the end."""
    charged_j: float
    """Energy that the capacitor gave to charge the cell."""
    given_j: float
    """Energy that the cell gave to the load's converter."""


@dataclass
class _Tank:
    """The cell's energy, and where it went."""

    cell: BackupCell
    energy_j: float
    levels: list[float] = field(default_factory=list)
    given: list[float] = field(default_factory=list)
    """Energy to the load in each phase."""
    useful: list[float] = field(default_factory=list)
    charged_j: float = 0.0
    lost_j: float = 0.0
    """Between load and cell."""
    self_j: float = 0.0

    def span_s(self, *, draw_w: float, charge_w: float) -> float:
        """Time until the cell is empty or full at constant powers."""
        cell = self.cell
        out = draw_w / cell.discharge_efficiency + cell.self_discharge_per_s * cell.capacity_j
        into = charge_w * cell.charge_efficiency
        if into > out:
            return (cell.capacity_j - self.energy_j) / (into - out)
        return self.energy_j / (out - into) if out > into and draw_w else math.inf

    def book(self, span_s: float, *, draw_w: float, charge_w: float, useful: float) -> None:
        """A phase has passed."""
        cell, begin = self.cell, self.energy_j
        gave, took = draw_w * span_s, charge_w * span_s
        left = begin + took * cell.charge_efficiency - gave / cell.discharge_efficiency
        full = cell.self_discharge_per_s * cell.capacity_j * span_s
        self_j = min(full, max(left, 0.0))
        self.energy_j = min(max(left - self_j, 0.0), cell.capacity_j)
        if self.energy_j <= 1e-9 * cell.capacity_j:
            self_j, self.energy_j = self_j + self.energy_j, 0.0
        self.charged_j += took
        self.self_j += self_j
        self.lost_j += gave * (1.0 / cell.discharge_efficiency - useful)
        self.given.append(gave)
        self.useful.append(gave * useful)
        self.levels.append(begin)


def run_hybrid(
    capacitor: Capacitor,
    feed: Feed,
    policy: Policy,
    cell: BackupCell,
    *,
    start_v: float = 0.0,
    swing_v: tuple[float, float] | None = None,
) -> HybridRun:
    """Run a policy on a capacitor that a cell backs; arguments as of `tinysim.supply.stepping.run`.

    A load that waits for a voltage (a node that is off) goes on at once while the cell can carry it. The ledger closes
    over both stores. start_v, swing_v [V].

    Raises:
        InputError: a feed that is no power.

    >>> from tinysim.supply.stepping import hysteresis
    >>> cell = BackupCell(capacity_j=1.0, start_j=0.1, assist_v=2.0, assist_until_v=2.5)
    >>> node = hysteresis(on_draw=10e-3, off_draw=0.0, on_v=3.0, off_v=1.8)
    >>> result = run_hybrid(Capacitor(100e-6), Feed.sampled([0.0], 20.0), node, cell, start_v=3.0)
    >>> float(result.supply.durations_s("on", complete=False).sum().round(9))  # 0.1 J at 10 mW, and the swing to 1.8 V
    10.0288
    """
    if feed.kind != "power":
        raise InputError("run_hybrid: needs a power feed: cell and capacitor meet behind converters")
    tank = _Tank(cell, cell.start_j)
    shared = _shared(policy, tank, float(feed.edges_s[0]), start_v)
    supply = run(capacitor, feed, shared, start_v=start_v, swing_v=swing_v)
    energy = np.array([*tank.levels, tank.energy_j])
    ledger, useful = supply.ledger, np.array(tank.useful)
    both = replace(
        ledger,
        used_j=ledger.used_j + float(useful.sum()),
        converter_loss_j=ledger.converter_loss_j - tank.charged_j * cell.charge_efficiency + tank.lost_j,
        leakage_j=ledger.leakage_j + tank.self_j,
        stored_j=ledger.stored_j + tank.energy_j - cell.start_j,
    ).check(cell.start_j + capacitor.energy_j(start_v))
    supply = replace(supply, used_j=supply.used_j + useful, ledger=both)
    times = np.append(supply.start_s, supply.end_s[-1])
    return HybridRun(supply, cell, times, energy, tank.charged_j, float(np.sum(tank.given)))


def _shared(policy: Policy, tank: _Tank, now: float, volts: float) -> Policy:
    """The policy's demands shared between capacitor and cell."""
    cell = tank.cell
    usable, topped = tank.energy_j > 0.0, tank.energy_j > cell.recharge_share * cell.capacity_j
    backed = charging = False
    demand = next(policy, None)
    while demand is not None:
        if usable and demand.high_v < math.inf:  # what waits for a voltage has it from the cell
            backed = backed or volts < cell.assist_until_v
            demand = _next(policy, Outcome(now, volts, "high"))
            continue
        left = demand.duration_s
        while True:
            draw, charge = demand.draw if backed else 0.0, cell.charge_w if charging else 0.0
            span = min(left, tank.span_s(draw_w=draw, charge_w=charge))
            if backed:
                part = Demand(demand.label, 0.0, 0.0, min(demand.high_v, cell.assist_until_v), span, 0.0)
            else:
                low = max(demand.low_v, cell.assist_v if usable else 0.0, cell.charge_until_v if charging else 0.0)
                begin = cell.charge_v if cell.charge_w and not charging and not topped else math.inf
                whole = demand.draw + charge
                share = demand.useful_share * demand.draw / whole if whole else 1.0
                part = Demand(demand.label, whole, low, min(demand.high_v, begin), span, share)
            outcome = yield part
            passed = outcome.time_s - now
            tank.book(passed, draw_w=draw, charge_w=charge, useful=demand.useful_share)
            now, volts, reason = outcome
            usable = tank.energy_j > (0.0 if usable else cell.restart_share * cell.capacity_j)
            topped = tank.energy_j >= (cell.recharge_share if topped else 1.0 - 1e-9) * cell.capacity_j
            if reason == "high" and part.high_v < demand.high_v:
                backed, charging = False, not backed
            elif reason == "low" and part.low_v > demand.low_v:
                backed, charging = not charging, False
            elif reason == "time" and span < left:  # the cell is empty, or full
                backed, charging = backed and usable, charging and not topped
            else:
                break
            left -= passed
        demand = _next(policy, outcome)


def _next(policy: Policy, outcome: Outcome) -> Demand | None:
    try:
        return policy.send(outcome)
    except StopIteration:
        return None
