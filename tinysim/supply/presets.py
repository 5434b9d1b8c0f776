"""Batteries, capacitors and harvesters shipped with tinysim, each figure with its source; none without is there."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from tinysim.errors import MissingFigure, SpecError, nearest
from tinysim.figures import Figure, FigureKind, Spec, in_unit
from tinysim.supply.battery_spec import BatterySpec
from tinysim.supply.capacitors import Capacitor
from tinysim.supply.converters import BoostCharger, Buck, EfficiencyTable
from tinysim.supply.harvesters import SolarCell, Thermoelectric, beyond_sweep
from tinysim.supply.port import Port, iv_curve

__all__ = [
    "AmbientSpec",
    "BatterySpec",
    "CapacitorSpec",
    "ChargerSpec",
    "SolarSpec",
    "list_batteries",
    "list_capacitors",
    "list_chargers",
    "list_harvesters",
    "load_battery",
    "load_capacitor",
    "load_harvester",
]

T = TypeVar("T")


class Curve(Spec):
    """A measured I-V curve at one illuminance."""

    lux: float
    voltage_v: tuple[float, ...]
    current_a: tuple[float, ...]


class SolarSpec(Spec):
    """A solar cell: measured I-V curves, and its data under standard conditions where known."""

    type: Literal["solar"]
    name: str
    title: str
    curves: tuple[Curve, ...] = ()
    kind: FigureKind = "measured"
    source: str
    where: str
    short: Annotated[Figure, in_unit("A")] | None = None
    open: Annotated[Figure, in_unit("V")] | None = None
    mpp_voltage: Annotated[Figure, in_unit("V")] | None = None
    mpp_current: Annotated[Figure, in_unit("A")] | None = None

    def curve(self, lux: float) -> Curve:
        """The measured curve at an illuminance.

        Raises:
            SpecError: it was not measured there.
        """
        for curve in self.curves:
            if curve.lux == lux:
                return curve
        raise SpecError(f"harvester {self.name}: no curve at {lux:g} lux; measured: {[c.lux for c in self.curves]}")

    def port(self, lux: float, *, diode_drop_v: float = 0.0) -> Port:
        """The cell at an illuminance, wired to a capacitor; carried on past a short sweep (`beyond_sweep`)."""
        curve = self.curve(lux)
        return iv_curve(*beyond_sweep(curve.voltage_v, curve.current_a), diode_drop_v=diode_drop_v)

    def cell(self) -> SolarCell:
        """Single-diode model through the standard-condition data.

        Raises:
            MissingFigure: the preset has none.
        """
        figures = (self.short, self.open, self.mpp_voltage, self.mpp_current)
        if any(f is None for f in figures):
            raise MissingFigure(f"harvester {self.name}: no sourced standard-condition data (I_sc, V_oc, V_mpp, I_mpp)")
        short, open_v, mpp_v, mpp_a = (f.si for f in figures if f is not None)
        return SolarCell(short_a=short, open_v=open_v, mpp_v=mpp_v, mpp_a=mpp_a)


class Grid(Spec):
    """A table of efficiencies over voltage and current, row by row."""

    voltage_v: tuple[float, ...]
    current_a: tuple[float, ...]
    efficiency: tuple[tuple[float, ...], ...]
    layout: Literal["linear", "steps"]
    kind: FigureKind
    source: str
    where: str

    def table(self) -> EfficiencyTable:
        """The table as a function."""
        return EfficiencyTable(
            np.array(self.voltage_v), np.array(self.current_a), np.array(self.efficiency), self.layout
        )


class BuckSpec(Spec):
    """The buck stage at one output voltage."""

    output_v: float
    table: Grid


class ChargerSpec(Spec):
    """A harvesting power-management chip: boost charger, and perhaps a buck stage."""

    type: Literal["charger"]
    name: str
    title: str
    boost: Grid
    min_input: Annotated[Figure, in_unit("V")]
    max_input: Annotated[Figure, in_unit("V")]
    max_input_current: Annotated[Figure, in_unit("A")] | None = None
    mppt_interval: Annotated[Figure, in_unit("s")]
    mppt_sampling: Annotated[Figure, in_unit("s")]
    cold_end: Annotated[Figure, in_unit("V")] | None = None
    cold_input: Annotated[Figure, in_unit("V")] | None = None
    cold_efficiency: Annotated[Figure, in_unit("1")] | None = None
    cold_min_power: Annotated[Figure, in_unit("W")] | None = None
    peak_efficiency: Annotated[Figure, in_unit("1")] | None = None
    quiescent: Annotated[Figure, in_unit("A")] | None = None
    bucks: tuple[BuckSpec, ...] = ()

    def charger(self, *, mppt_fraction: float = 0.8) -> BoostCharger:
        """The boost charger with its table, set to a fraction of the open-circuit voltage."""
        return BoostCharger(
            table=self.boost.table(),
            min_input_v=self.min_input.si,
            max_input_v=self.max_input.si,
            max_input_a=self.max_input_current.si if self.max_input_current else np.inf,
            cold_end_v=self.cold_end.si if self.cold_end else 0.0,
            cold_input_v=self.cold_input.si if self.cold_input else 0.0,
            cold_efficiency=self.cold_efficiency.si if self.cold_efficiency else 1.0,
            cold_min_power_w=self.cold_min_power.si if self.cold_min_power else 0.0,
            mppt_fraction=mppt_fraction,
            interval_s=self.mppt_interval.si,
            sampling_s=self.mppt_sampling.si,
        )

    def buck(self, output_v: float) -> Buck:
        """The buck stage at an output voltage.

        Raises:
            SpecError: it was not measured there.
        """
        for stage in self.bucks:
            if stage.output_v == output_v:
                return Buck(
                    table=stage.table.table(),
                    output_v=output_v,
                    quiescent_a=self.quiescent.si if self.quiescent else 0.0,
                )
        known = [stage.output_v for stage in self.bucks]
        raise SpecError(f"harvester {self.name}: no buck stage at {output_v:g} V; known: {known or 'none'}")


class AmbientSpec(Spec):
    """A rule of thumb or a data-sheet point for another source: power per area, or power of one part."""

    type: Literal["ambient"]
    name: str
    title: str
    density: Annotated[Figure, in_unit("W/m**2")] | None = None
    power: Annotated[Figure, in_unit("W")] | None = None
    seebeck: Annotated[Figure, in_unit("V/kelvin")] | None = None
    resistance: Annotated[Figure, in_unit("ohm")] | None = None

    @model_validator(mode="after")
    def _something(self) -> AmbientSpec:
        if self.density is None and self.power is None:
            raise ValueError("needs a density or a power")
        return self

    def power_w(self, area_m2: float = 0.0) -> float:
        """Power of the part, or of an area."""
        if self.power is not None:
            return self.power.si
        assert self.density is not None
        return self.density.si * area_m2

    def generator(self) -> Thermoelectric:
        """The thermoelectric generator.

        Raises:
            MissingFigure: this source is none.
        """
        if self.seebeck is None or self.resistance is None:
            raise MissingFigure(f"harvester {self.name}: no sourced Seebeck coefficient and resistance")
        return Thermoelectric(seebeck_v_per_k=self.seebeck.si, resistance_ohm=self.resistance.si)


class CapacitorSpec(Spec):
    """A capacitor or supercapacitor. Its ESR is its data sheet's (1 kHz mostly); pulses of seconds see more."""

    name: str
    title: str
    technology: Literal["mlcc", "tantalum", "edlc"]
    capacitance: Annotated[Figure, in_unit("F")]
    """Nominal; without DC bias."""
    rated: Annotated[Figure, in_unit("V")]
    """Highest voltage."""
    esr: Annotated[Figure, in_unit("ohm")] | None = None
    """None: negligible."""
    leakage: Annotated[Figure, in_unit("ohm")] | None = None
    """Leakage resistance; None: nobody says."""

    def capacitor(self, *, leakage_ohm: float | None = None, parallel: int = 1) -> Capacitor:
        """The part as a store, several in parallel; `leakage_ohm` of the whole replaces the part's.

        Raises:
            MissingFigure: the part has no sourced leakage, and none is given.
        """
        if leakage_ohm is None:
            if self.leakage is None:
                raise MissingFigure(f"capacitor {self.name}: no sourced leakage; give one")
            leakage_ohm = self.leakage.si / parallel
        return Capacitor(
            self.capacitance.si * parallel,
            leakage_ohm=leakage_ohm,
            esr_ohm=self.esr.si / parallel if self.esr is not None else 0.0,
            rated_v=self.rated.si,
        )


Harvester = Annotated[SolarSpec | ChargerSpec | AmbientSpec, Field(discriminator="type")]


def list_batteries() -> list[str]:
    """Names of the shipped batteries."""
    return _names("batteries")


def list_capacitors() -> list[str]:
    """Names of the shipped capacitors and supercapacitors."""
    return _names("capacitors")


def list_harvesters() -> list[str]:
    """Names of the shipped harvesters and chargers."""
    return _names("harvesters")


def list_chargers() -> list[str]:
    """Names of the shipped boost chargers."""
    return [name for name in list_harvesters() if isinstance(load_harvester(name), ChargerSpec)]


@cache
def load_battery(name: str) -> BatterySpec:
    """A shipped battery by name, or one from a YAML file.

    >>> load_battery("cr2032").capacity.si
    810.0
    """
    return _load("batteries", name, TypeAdapter(BatterySpec))


@cache
def load_capacitor(name: str) -> CapacitorSpec:
    """A shipped capacitor by name, or one from a YAML file.

    >>> load_capacitor("edlc-avx-scmt7").capacitor().energy_j(5.5)
    113.4375
    """
    return _load("capacitors", name, TypeAdapter(CapacitorSpec))


@cache
def load_harvester(name: str) -> SolarSpec | ChargerSpec | AmbientSpec:
    """A shipped harvester or charger by name, or one from a YAML file."""
    adapter: TypeAdapter[SolarSpec | ChargerSpec | AmbientSpec] = TypeAdapter(Harvester)
    return _load("harvesters", name, adapter)


def _folder(kind: str) -> Path:
    package = Path(str(files("tinysim")))
    for folder in (package / "_device_specs" / kind, package.parent / "device_specs" / kind):
        if folder.is_dir():
            return folder
    raise SpecError(f"device_specs/{kind} not found beside {package}: the installation is incomplete")


def _names(kind: str) -> list[str]:
    return sorted(path.stem for path in _folder(kind).glob("*.yaml"))


def _load(kind: str, name: str, adapter: TypeAdapter[T]) -> T:
    import yaml

    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        path = _folder(kind) / f"{name}.yaml"
        if not path.is_file():
            raise SpecError(f"unknown entry {name!r} of {kind}: {nearest(name, _names(kind))}")
    try:
        return adapter.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise SpecError(f"{path.name}: {place}: {first['msg']}") from error
