"""What a scenario file may say. Quantities carry units in the file and become SI floats here.

Everything is frozen and strict: an unknown field or a unit of the wrong dimension is an error that names the field.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tinysim.figures import Spec
from tinysim.scenario.steps import AnyStep
from tinysim.scenario.units import (
    Amperes,
    Bytes,
    Coulombs,
    Farads,
    Hertz,
    Kelvin,
    Ohms,
    PerSecond,
    Seconds,
    Share,
    Volts,
    quantity,
)
from tinysim.supply.battery_spec import BatteryModel

__all__ = [
    "Activity",
    "Buffer",
    "CellSpec",
    "Clock",
    "Converter",
    "Mcu",
    "Scenario",
    "SensorUse",
    "SleepState",
    "Supply",
    "Uncertainty",
    "Watchdog",
    "When",
]


class CellSpec(Spec):
    """A battery: a preset by name (and perhaps which model of it), or a model with its parameters."""

    preset: str | None = None
    """Name of a battery in ``device_specs/batteries``."""
    model: BatteryModel | None = None
    """Battery model of `tinysim.supply.batteries`; of a preset, ideal by default. A circuit needs a preset."""
    temperature: Kelvin | None = None
    """Of a preset whose capacity is known over temperature ("-10 degC")."""
    stored: Annotated[float, quantity("s"), Field(ge=0, allow_inf_nan=False)] = 0.0
    """Time on the shelf before; self-discharge takes its share."""
    capacity: Coulombs | None = None
    """Charge of the full cell ("225 mAh"); alpha of Rakhmatov-Vrudhula."""
    usable: Share = 1.0
    """Share of the capacity that the application may use."""
    exponent: float | None = Field(default=None, ge=1)
    """Peukert's exponent."""
    rated: Seconds | None = None
    """Discharge time of Peukert's rated capacity."""
    available_share: Annotated[float, quantity("1"), Field(gt=0, lt=1)] | None = None
    """KiBaM: share of the available well."""
    well_rate: PerSecond | None = None
    """KiBaM: rate at which the wells flow into each other."""
    beta: float | None = Field(default=None, gt=0)
    """Rakhmatov-Vrudhula: diffusion parameter [s^-1/2]."""
    self_discharge: Share = 0.0
    """Share of the capacity lost per year."""

    @model_validator(mode="after")
    def _complete(self) -> CellSpec:
        needed = {
            "peukert": ("exponent", "rated"),
            "kibam": ("available_share", "well_rate"),
            "rakhmatov": ("beta",),
        }
        if self.preset is None and self.model is None:
            raise ValueError("give a preset or a model")
        common = {"model", "usable", "self_discharge", "stored"}
        if self.preset is None:
            if self.model == "circuit":
                raise ValueError("model circuit needs a preset, whose open-circuit voltage and resistance it takes")
            assert self.model is not None
            missing = [n for n in ("capacity", *needed.get(self.model, ())) if getattr(self, n) is None]
            if missing:
                raise ValueError(f"model {self.model} needs {', '.join(missing)}")
            known = {*common, "capacity", *needed.get(self.model, ())}
        else:
            known = {*common, "preset", "temperature"}
        extra = sorted(self.model_fields_set - known)
        if extra:
            raise ValueError(f"{', '.join(extra)} does not belong to {'a preset' if self.preset else self.model}")
        return self


class Converter(Spec):
    """What stands between cell and rail."""

    kind: Literal["none", "ldo", "buck"] = "none"
    """A linear regulator passes the current; a buck passes the power."""
    efficiency: Annotated[float, quantity("1"), Field(gt=0, le=1)] | None = None
    """Of a buck."""
    quiescent: Amperes = 0.0
    """Drawn from the cell, always."""
    dropout: Annotated[float, quantity("V"), Field(ge=0, allow_inf_nan=False)] = 0.0
    """Voltage that it needs above the rail; below that the load browns out."""

    @model_validator(mode="after")
    def _complete(self) -> Converter:
        if (self.kind == "buck") != (self.efficiency is not None):
            raise ValueError("efficiency belongs to a buck, and a buck needs it")
        if self.kind == "none" and self.dropout:
            raise ValueError("dropout belongs to an ldo or a buck")
        return self


class Buffer(Spec):
    """A capacitor across the load."""

    capacitance: Farads
    """Capacitance at the rail."""
    esr: Ohms = 0.0
    """Series resistance."""


class Supply(Spec):
    """Cell, converter, and what limits them."""

    cell: CellSpec
    """The battery."""
    voltage: Volts
    """Voltage of the fresh cell at rest."""
    rail: Volts | None = None
    """Voltage at the load; the cell's without a converter."""
    resistance: Ohms = 0.0
    """Internal resistance of the cell, for the sag of pulses."""
    brownout: Volts | None = None
    """Lowest cell voltage at which the load works."""
    max_current: Amperes | None = None
    """Highest continuous current that the cell is made for."""
    buffer: Buffer | None = None
    """Capacitor against sag."""
    converter: Converter = Converter()
    """Converter between cell and rail."""


class SleepState(Spec):
    """A state in which nothing computes."""

    name: str
    """Name in the manual."""
    current: Amperes
    """At the rail, all included."""
    wake: Seconds | None = None
    """Time to the first instruction, at the run current."""
    wake_charge: Coulombs = 0.0
    """Charge of a wake-up beyond that."""
    retained: Bytes | None = None
    """SRAM kept; None: all."""


class Clock(Spec):
    """Start-up of a clock after each wake-up."""

    time: Seconds
    """Until it is stable."""
    current: Amperes
    """Meanwhile."""


class Mcu(Spec):
    """The microcontroller."""

    device: str | None = None
    """Board of the library: gives clock, core, run current and sleep states where the scenario does not."""
    runtime: str | None = None
    """Runtime of inferences; the board's first one by default."""
    clock: Hertz | None = None
    """Core clock."""
    run: Amperes | None = None
    """Current while the core computes."""
    idle: Amperes | None = None
    """Current while the core waits for DMA or a radio; the board's with its clocks running, else the run current."""
    sleep: tuple[SleepState, ...] = ()
    """Sleep states to choose from."""
    use: str = "auto"
    """Sleep state by name; auto: the one that costs least between wake-ups and keeps enough memory."""
    keep: Bytes = 0
    """Memory that must survive sleep."""
    clock_start: Clock | None = None
    """Start-up of the main clock after each wake-up."""


class SensorUse(Spec):
    """A sensor in the scenario."""

    part: str | None = None
    """Name in ``device_specs/peripherals``."""
    mode: str | None = None
    """Mode of the part."""
    current: Amperes | None = None
    """Current while it measures, instead of the part's."""
    sleep_current: Amperes | None = None
    """Current while it does not, instead of the part's."""
    always: bool = True
    """Measures all the time; otherwise during `sense` steps only."""
    duty: Share = 1.0
    """Share of the time in which an always-on sensor measures by its own timer; it draws the mean."""
    rate: Hertz | None = None
    """Samples per second."""
    sample: Bytes = 2
    """Bytes of a sample."""
    fifo: Bytes | None = None
    """FIFO size; the part's by default."""
    watermark: Bytes | None = None
    """Fill at which the sensor wakes the MCU to read it; None: nobody reads it."""
    bus: Hertz = 1e6
    """Bits per second of the bus."""
    dma: bool = True
    """Whether the core idles while it is read."""

    @model_validator(mode="after")
    def _complete(self) -> SensorUse:
        if (self.part is None) == (self.current is None):
            raise ValueError("give either a part or a current")
        if self.watermark is not None and self.rate is None:
            raise ValueError("a FIFO with a watermark needs the rate at which it fills")
        if self.watermark is not None and not self.always:
            raise ValueError("a FIFO fills only if the sensor is always on")
        if self.duty < 1.0 and not self.always:
            raise ValueError("duty belongs to an always-on sensor; others measure during sense steps")
        return self


class When(Spec):
    """When an activity happens; exactly one of the four."""

    every: Seconds | None = None
    """Period."""
    poisson: Seconds | None = None
    """Mean time between events that come at random."""
    per_hour: Annotated[tuple[float, ...], Field(min_length=24, max_length=24)] | None = None
    """Events per hour of the day, at random."""
    times: tuple[Annotated[float, quantity("s"), Field(ge=0)], ...] | None = None
    """Times of events, repeated after `repeat`."""
    repeat: Seconds | None = None
    """Period of `times`."""

    @model_validator(mode="after")
    def _one(self) -> When:
        given = [n for n in ("every", "poisson", "per_hour", "times") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of every, poisson, per_hour, times; given: {', '.join(given) or 'none'}")
        if (self.times is None) != (self.repeat is None):
            raise ValueError("times and repeat belong together")
        if self.per_hour is not None and (min(self.per_hour) < 0 or max(self.per_hour) == 0):
            raise ValueError("per_hour must not be negative, nor all 0")
        return self


class Activity(Spec):
    """Something that wakes the MCU."""

    when: When
    """When it happens."""
    steps: Annotated[tuple[AnyStep, ...], Field(min_length=1)]
    """What happens, in order."""
    deadline: Seconds | None = None
    """From the event to the end of its last step."""


class Watchdog(Spec):
    """A timer that resets the MCU unless it is served."""

    timeout: Seconds
    """Time to reset."""
    serve: Seconds
    """Time between services; each wakes the MCU."""
    duration: Seconds = 20e-6
    """Work of a service."""
    current: Amperes = 0.0
    """Of the timer, always."""


class Uncertainty(Spec):
    """How well the figures are known: relative half-widths of 90 % intervals."""

    capacity: Share | None = None
    """Of the cell."""
    consumers: dict[str, Share] = Field(default_factory=dict)
    """By consumer, as the tables name them."""
    rates: dict[str, Share] = Field(default_factory=dict)
    """How often an activity happens, by activity."""


class Scenario(Spec):
    """An always-on node: supply, MCU, sensors, and what wakes it."""

    name: str
    """Name in reports."""
    supply: Supply
    """Battery and converter."""
    mcu: Mcu
    """Microcontroller."""
    sensors: dict[str, SensorUse] = Field(default_factory=dict)
    """Sensors by name."""
    activities: Annotated[dict[str, Activity], Field(min_length=1)]
    """What wakes the MCU, by name."""
    watchdog: Watchdog | None = None
    """Watchdog timer."""
    other: dict[str, Amperes] = Field(default_factory=dict)
    """Further constant currents at the rail, by consumer."""
    uncertainty: Uncertainty = Uncertainty()
    """How well the figures are known."""
    notes: str = ""
    """Where the figures come from."""
