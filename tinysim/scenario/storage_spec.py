"""The store of a battery-free scenario file: a capacitor, its supervisor's thresholds, and perhaps a cell behind it."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, model_validator

from tinysim.errors import SpecError, TinysimError
from tinysim.figures import Spec
from tinysim.scenario.units import Farads, Ohms, Share, Volts, Watts, quantity
from tinysim.supply.capacitors import Capacitor, effective_capacitance_f
from tinysim.supply.hybrid import BackupCell
from tinysim.supply.presets import load_battery, load_capacitor

__all__ = ["BackupSpec", "BiasSpec", "Storage"]

Efficiency = Annotated[float, quantity("1"), Field(gt=0, le=1)]
NotNegativeVolts = Annotated[float, quantity("V"), Field(ge=0, allow_inf_nan=False)]


class BiasSpec(Spec):
    """How the capacitance of a ceramic part falls with its voltage (`effective_capacitance_f`)."""

    voltages: Annotated[tuple[NotNegativeVolts, ...], Field(min_length=2)]
    """Bias, rising; from turn_off or below to turn_on or above."""
    shares: Annotated[tuple[Share, ...], Field(min_length=2)]
    """Share of the nominal capacitance that is left at each."""


class BackupSpec(Spec):
    """A small cell behind the capacitor (`tinysim.supply.hybrid`)."""

    battery: str
    """Battery of the library."""
    assist_below: Volts
    """Capacitor voltage below which the cell carries the load."""
    assist_until: Volts
    """Capacitor voltage at which the capacitor takes over again."""
    charge: Watts = 0.0
    """Power that the capacitor gives to charge the cell; 0: it is not charged."""
    charge_above: Volts | None = None
    """Capacitor voltage above which the cell is charged."""
    charge_until: Volts | None = None
    """Capacitor voltage at which charging stops."""
    charge_efficiency: Efficiency = 0.9
    """From capacitor to cell: charger, and what the cell does not give back."""
    discharge_efficiency: Efficiency = 0.9
    """From cell to load, before the node's own efficiency."""
    start: Share = 0.5
    """State of charge at the beginning."""

    @model_validator(mode="after")
    def _charges(self) -> BackupSpec:
        given = (self.charge_above is not None, self.charge_until is not None)
        if given != ((self.charge > 0.0),) * 2:
            raise ValueError("charge, charge_above and charge_until belong together")
        try:
            if self.charge and not load_battery(self.battery).rechargeable:
                raise ValueError(f"{self.battery} is no rechargeable battery: give no charge")
            self.cell()
        except TinysimError as error:
            raise ValueError(str(error)) from error
        return self

    def cell(self) -> BackupCell:
        """The cell."""
        battery = load_battery(self.battery)
        capacity = battery.capacity.si * battery.nominal.si
        leak = battery.self_discharge
        return BackupCell(
            capacity_j=capacity,
            start_j=capacity * self.start,
            assist_v=self.assist_below,
            assist_until_v=self.assist_until,
            charge_w=self.charge,
            charge_v=math.inf if self.charge_above is None else self.charge_above,
            charge_until_v=math.inf if self.charge_until is None else self.charge_until,
            charge_efficiency=self.charge_efficiency,
            discharge_efficiency=self.discharge_efficiency,
            self_discharge_per_s=leak.si if leak is not None and leak.known else 0.0,
        )

    def max_power_w(self) -> float:
        """Highest power that the cell may give; inf if nobody says."""
        battery = load_battery(self.battery)
        limit = battery.max_current
        return limit.si * battery.nominal.si if limit is not None and limit.known else math.inf


class Storage(Spec):
    """The capacitor and the supervisor's thresholds."""

    part: str | None = None
    """Capacitor of the library, instead of capacitance, rated, esr and leakage."""
    parallel: int = Field(default=1, ge=1)
    """Such parts in parallel."""
    capacitance: Farads | None = None
    """Capacitance over the swing, or nominal with `bias`."""
    leakage: Ohms | None = None
    """Leakage resistance; None: none, or the part's."""
    esr: Ohms | None = None
    """Equivalent series resistance between the capacitor and everything else; None: none, or the part's."""
    rated: Volts | None = None
    """Highest voltage; the surplus is clipped."""
    bias: BiasSpec | None = None
    """DC-bias derating."""
    turn_on: Volts
    """Voltage at which the load is switched on (YAML reads a bare `on` as true)."""
    turn_off: Volts
    """Voltage at which it is switched off."""
    start: NotNegativeVolts = 0.0
    """Voltage at the beginning."""
    cell: BackupSpec | None = None
    """A small cell behind the capacitor."""

    @model_validator(mode="after")
    def _order(self) -> Storage:
        own = (self.capacitance is not None, self.rated is not None)
        if self.part is None and own != (True, True):
            raise ValueError("give a part of the library, or capacitance and rated")
        if self.part is not None and own != (False, False):
            raise ValueError("a part has its own capacitance and rated voltage")
        if self.part is None and self.parallel != 1:
            raise ValueError("parallel belongs to a part")
        try:
            rated = self.capacitor().rated_v
        except TinysimError as error:
            raise ValueError(str(error)) from error
        if not self.turn_off < self.turn_on <= rated:
            raise ValueError(
                f"thresholds the wrong way round: needed is turn_off {self.turn_off:g} V < turn_on {self.turn_on:g} V "
                f"<= rated {rated:g} V"
            )
        self._check_cell(rated)
        return self

    def _check_cell(self, rated_v: float) -> None:
        cell = self.cell
        if cell is None:
            return
        if cell.assist_below < self.turn_off:
            raise ValueError(
                f"cell.assist_below {cell.assist_below:g} V lies below turn_off {self.turn_off:g} V, where it is off"
            )
        if cell.charge_until is not None and cell.charge_until < self.turn_on:
            raise ValueError(f"cell.charge_until {cell.charge_until:g} V lies below turn_on {self.turn_on:g} V")
        if cell.charge_above is not None and cell.charge_above > rated_v:
            raise ValueError(f"cell.charge_above {cell.charge_above:g} V lies above rated {rated_v:g} V")

    def capacitor(self) -> Capacitor:
        """The capacitor.

        Raises:
            SpecError: no such part.
            MissingFigure: the part has no sourced leakage, and none is given.
            InputError: the swing lies outside the table of `bias`.
        """
        if self.part is not None:
            part = load_capacitor(self.part).capacitor(leakage_ohm=self.leakage, parallel=self.parallel)
            farads, leakage, esr, rated = part.capacitance_f, part.leakage_ohm, part.esr_ohm, part.rated_v
        elif self.capacitance is not None and self.rated is not None:
            farads, rated = self.capacitance, self.rated
            leakage, esr = self.leakage or math.inf, 0.0
        else:
            raise SpecError("storage: needs a part, or capacitance and rated")
        if self.bias is not None:
            farads = effective_capacitance_f(
                bias_v=self.bias.voltages,
                capacitance_fraction=self.bias.shares,
                nominal_f=farads,
                low_v=self.turn_off,
                high_v=self.turn_on,
            )
        return Capacitor(farads, leakage_ohm=leakage, esr_ohm=esr if self.esr is None else self.esr, rated_v=rated)
