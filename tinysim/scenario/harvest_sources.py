"""Harvesters that a battery-free scenario file may describe by their physics: periodic, RF, thermoelectric, piezo."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field, model_validator

from tinysim.errors import SpecError
from tinysim.figures import Spec
from tinysim.scenario.units import Amperes, Farads, Hertz, Seconds, Volts, Watts, quantity
from tinysim.supply.harvesters import SolarCell, Thermoelectric, friis_power_w, piezo_power_w
from tinysim.supply.presets import AmbientSpec, SolarSpec, load_harvester

__all__ = ["CellSource", "PeriodicSource", "PiezoSource", "RfSource", "SiteSource", "ThermoelectricSource"]

Metres = Annotated[float, quantity("m"), Field(gt=0, allow_inf_nan=False)]
Ratio = Annotated[float, quantity("1"), Field(gt=0, allow_inf_nan=False)]
Part = Annotated[float, quantity("1"), Field(gt=0, le=1)]
Difference = Annotated[float, quantity("kelvin"), Field(ge=0, allow_inf_nan=False)]
Drop = Annotated[float, quantity("V"), Field(ge=0, allow_inf_nan=False)]
PositiveOhms = Annotated[float, quantity("ohm"), Field(gt=0, allow_inf_nan=False)]
VoltsPerKelvin = Annotated[float, quantity("V/kelvin"), Field(gt=0, allow_inf_nan=False)]


Degrees = Annotated[float, quantity("degree"), Field(allow_inf_nan=False)]


class CellSource(Spec):
    """A single-diode solar cell: a `part` of the library, or its four figures under standard conditions."""

    part: str | None = None
    """Cell of the library with sourced standard-condition data (`solar-engage-gameboy`)."""
    short: Amperes | None = None
    """Short-circuit current."""
    open: Volts | None = None
    """Open-circuit voltage."""
    mpp_voltage: Volts | None = None
    """At the maximum power point."""
    mpp_current: Amperes | None = None
    """At the maximum power point."""

    @model_validator(mode="after")
    def _fits(self) -> CellSource:
        self.cell().parameters()
        return self

    def cell(self) -> SolarCell:
        """The cell.

        Raises:
            SpecError: figures are missing, or `part` is no solar cell of the library.
        """
        figures = (self.short, self.open, self.mpp_voltage, self.mpp_current)
        short, open_v, mpp_v, mpp_a = (0.0 if figure is None else figure for figure in figures)
        if self.part is None and None not in figures:
            return SolarCell(short_a=short, open_v=open_v, mpp_v=mpp_v, mpp_a=mpp_a)
        if self.part is None or figures != (None,) * 4:
            raise SpecError("give either a part, or short, open, mpp_voltage and mpp_current")
        part = load_harvester(self.part)
        if not isinstance(part, SolarSpec):
            raise SpecError(f"part: {self.part} is no solar cell")
        return part.cell()


class SiteSource(Spec):
    """Where a panel stands, for global horizontal irradiance put on its plane (`plane_irradiance`, by pvlib)."""

    start: AwareDatetime
    """Date and time of the series' time 0, with time zone."""
    latitude: Annotated[Degrees, Field(ge=-90, le=90)]
    """North of the equator."""
    longitude: Annotated[Degrees, Field(ge=-180, le=180)]
    """East of Greenwich."""
    tilt: Annotated[Degrees, Field(ge=0, le=180)]
    """From the horizontal."""
    azimuth: Annotated[Degrees, Field(ge=0, le=360)] = 180.0
    """Clockwise from north."""
    albedo: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Of the ground."""


class PeriodicSource(Spec):
    """A pattern of powers that repeats."""

    powers: Annotated[tuple[Watts, ...], Field(min_length=1)]
    """Power in each stretch."""
    spans: Annotated[tuple[Seconds, ...], Field(min_length=1)]
    """How long each stretch lasts."""

    @model_validator(mode="after")
    def _paired(self) -> PeriodicSource:
        if len(self.powers) != len(self.spans):
            raise ValueError(f"needs as many spans as powers, has {len(self.spans)} and {len(self.powers)}")
        return self


class RfSource(Spec):
    """A radio transmitter in free space and a rectifier (`friis_power_w`)."""

    transmit: Watts
    """Power into the transmitting antenna."""
    distance: Metres
    """Between the antennas; in the far field."""
    frequency: Hertz
    """Of the carrier."""
    transmit_gain: Ratio = 1.0
    """Of the transmitting antenna, linear."""
    receive_gain: Ratio = 1.0
    """Of the receiving antenna, linear."""
    rectifier_efficiency: Part
    """At the received power: it falls steeply below a milliwatt, so it has no default."""

    @model_validator(mode="after")
    def _far(self) -> RfSource:
        self.power_w()
        return self

    def power_w(self) -> float:
        """Power behind the rectifier."""
        return float(
            friis_power_w(
                transmit_w=self.transmit,
                distance_m=self.distance,
                frequency_hz=self.frequency,
                transmit_gain=self.transmit_gain,
                receive_gain=self.receive_gain,
                rectifier_efficiency=self.rectifier_efficiency,
            )
        )


class ThermoelectricSource(Spec):
    """A thermoelectric generator under a matched load: a `part` of the library, or `seebeck` and `resistance`."""

    part: str | None = None
    """Generator of the library (`teg-40x40`)."""
    seebeck: VoltsPerKelvin | None = None
    """Seebeck coefficient of the whole module."""
    resistance: PositiveOhms | None = None
    """Of the module."""
    difference: Difference
    """Temperature across the module itself, not between the hot body and the air."""

    @model_validator(mode="after")
    def _generator(self) -> ThermoelectricSource:
        given = (self.seebeck is not None, self.resistance is not None)
        if given != ((self.part is None,) * 2):
            raise ValueError("give either a part, or seebeck and resistance")
        self.generator()
        return self

    def generator(self) -> Thermoelectric:
        """The generator.

        Raises:
            SpecError: `part` is no thermoelectric generator of the library.
        """
        if self.part is None:
            return Thermoelectric(seebeck_v_per_k=self.seebeck or 0.0, resistance_ohm=self.resistance or 0.0)
        part = load_harvester(self.part)
        if not isinstance(part, AmbientSpec):
            raise SpecError(f"part: {self.part} is no thermoelectric generator")
        return part.generator()

    def power_w(self) -> float:
        """Power into a matched load."""
        return float(self.generator().matched_power_w(self.difference))


class PiezoSource(Spec):
    """A vibrating piezo patch behind a full-bridge rectifier (`piezo_power_w`)."""

    open_peak: Volts
    """Peak of the open-circuit voltage."""
    capacitance: Farads
    """Of the patch."""
    frequency: Hertz
    """Of the vibration."""
    output: Volts
    """Voltage behind the rectifier, as its converter holds it; (open_peak - 2 drop) / 2 is best."""
    drop: Drop = 0.0
    """Of one diode."""

    @model_validator(mode="after")
    def _opens(self) -> PiezoSource:
        if self.output + 2.0 * self.drop >= self.open_peak:
            raise ValueError(
                f"the rectifier never opens: needed is output {self.output:g} V + 2 drop {self.drop:g} V "
                f"< open_peak {self.open_peak:g} V"
            )
        return self

    def power_w(self) -> float:
        """Power behind the rectifier."""
        return float(
            piezo_power_w(
                open_peak_v=self.open_peak,
                capacitance_f=self.capacitance,
                frequency_hz=self.frequency,
                output_v=self.output,
                drop_v=self.drop,
            )
        )
