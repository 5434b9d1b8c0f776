"""What a battery-free scenario file may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tinysim.figures import Spec
from tinysim.scenario.harvest_sources import (
    CellSource,
    PeriodicSource,
    PiezoSource,
    RfSource,
    SiteSource,
    ThermoelectricSource,
)
from tinysim.scenario.policies import PolicyName
from tinysim.scenario.storage_spec import Storage
from tinysim.scenario.units import Joules, Seconds, Share, Watts, quantity

__all__ = ["HarvestScenario", "HarvestSource", "NodeSpec", "WorkSpec"]

SquareMetres = Annotated[float, quantity("m**2"), Field(gt=0)]


class HarvestSource(Spec):
    """Where the power comes from: exactly one source."""

    constant: Watts | None = None
    """The same power all the time."""
    per_hour: Annotated[tuple[Watts, ...], Field(min_length=24, max_length=24)] | None = None
    """Mean power in each hour of the day."""
    periodic: PeriodicSource | None = None
    """A pattern that repeats."""
    rf: RfSource | None = None
    """A radio transmitter."""
    thermoelectric: ThermoelectricSource | None = None
    """A temperature difference."""
    piezo: PiezoSource | None = None
    """A vibration."""
    trace: str | None = None
    """CSV of power, or of voltage and current, with units in the headings; beside the scenario file."""
    irradiance: str | None = None
    """CSV with time and irradiance in W/m**2; beside the scenario file."""
    markov_on: Watts | None = None
    """Power of a source that is on and off at random."""
    mean_on: Seconds | None = None
    """Of a Markov source."""
    mean_off: Seconds | None = None
    """Of a Markov source."""
    area: SquareMetres | None = None
    """Of the panel, for irradiance."""
    panel_efficiency: Annotated[float, quantity("1"), Field(gt=0, le=1)] | None = None
    """Of the panel, for irradiance."""
    cell: CellSource | None = None
    """Single-diode cell instead of area and panel_efficiency, for irradiance."""
    site: SiteSource | None = None
    """Irradiance is global horizontal, and the panel is tilted; needs pvlib."""
    flicker: float = Field(default=0.0, ge=0, le=2)
    """Standard deviation of ln(power) around `per_hour`, correlated over `flicker_time`; the mean stays."""
    flicker_time: Seconds = 300.0
    """Correlation time of the flicker."""
    scale: float = Field(default=1.0, gt=0)
    """Factor on the power."""
    efficiency: Annotated[float, quantity("1"), Field(gt=0, le=1)] = 1.0
    """Of the converter between harvester and capacitor."""
    charger: str | None = None
    """Boost charger of the library (`bq25504`, `bq25570`) behind a trace of voltage and current."""
    duration: Seconds | None = None
    """Length of the run; a trace's own by default."""
    step: Seconds = 1.0
    """Interval of a made harvest."""
    max_gap: Seconds | None = None
    """Largest gap that a trace may have."""

    @model_validator(mode="after")
    def _one(self) -> HarvestSource:
        made = ("constant", "periodic", "per_hour", "markov_on", "rf", "thermoelectric", "piezo")
        kinds = (*made, "trace", "irradiance")
        given = [n for n in kinds if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(kinds)}; given: {', '.join(given) or 'none'}")
        if self.trace is None and self.irradiance is None and self.duration is None:
            raise ValueError(f"{given[0]} needs a duration")
        if self.charger is not None and self.trace is None:
            raise ValueError("a charger needs a trace of voltage and current")
        panel = (self.area is not None, self.panel_efficiency is not None)
        if self.irradiance is not None and panel != ((self.cell is None,) * 2):
            raise ValueError("irradiance needs either area and panel_efficiency, or a cell")
        if self.irradiance is None and (any(panel) or self.cell or self.site):
            raise ValueError("area, panel_efficiency, cell and site belong to irradiance")
        if (self.markov_on is not None) != (self.mean_on is not None and self.mean_off is not None):
            raise ValueError("markov_on, mean_on and mean_off belong together")
        return self


class WorkSpec(Spec):
    """What is computed: a network on a board, or on a vector engine fed from non-volatile memory."""

    network: str
    """Name in the zoo, or a model file."""
    device: str | None = None
    """Board of the library."""
    runtime: str | None = None
    """Runtime of the board."""
    engine: str | None = None
    """Vector engine in ``device_specs/peripherals``."""
    nvm: str | None = None
    """Non-volatile memory of checkpoints; the engine's own by default."""
    boot_time: Seconds | None = None
    """From power-on to the first instruction of the task."""
    boot_energy: Joules = 0.0
    """The same."""

    @model_validator(mode="after")
    def _one(self) -> WorkSpec:
        if (self.device is None) == (self.engine is None):
            raise ValueError("give either a device or an engine")
        if self.device is not None and self.nvm is None:
            raise ValueError("a device needs the memory that checkpoints go to (nvm)")
        return self


class NodeSpec(Spec):
    """How the node runs."""

    policy: PolicyName
    """How progress survives a power failure."""
    tasks: Literal["inference", "layer", "tile"] = "layer"
    """What a static checkpoint follows."""
    tiles: int = Field(default=4, ge=1)
    """Tiles of a layer, for tasks: tile."""
    request: Seconds | None = None
    """Period of requests; back to back by default."""
    idle: Watts = 0.0
    """At the load, between requests."""
    off_draw: Watts = 0.0
    """From the capacitor while the load is off."""
    efficiency: Annotated[float, quantity("1"), Field(gt=0, le=1)] = 1.0
    """Of the converter between capacitor and load."""


class HarvestScenario(Spec):
    """A battery-free node."""

    name: str
    """Name in reports."""
    harvest: HarvestSource
    """Where the power comes from."""
    storage: Storage
    """Capacitor and thresholds."""
    work: WorkSpec
    """What is computed."""
    node: NodeSpec
    """How."""
    target: Share = 0.99
    """Completion rate that the inverse questions ask for."""
    seed: int = 0
    """Of a harvest that is made at random."""
    notes: str = ""
    """Where the figures come from."""
