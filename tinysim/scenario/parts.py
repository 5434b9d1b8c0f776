"""Radios, sensors, non-volatile memories and vector engines: figures of `device_specs/peripherals`, with sources."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from tinysim.device.library import read_yaml, spec_folder
from tinysim.errors import MissingFigure, SpecError, nearest
from tinysim.figures import Amperes, Bytes, Cycles, Hertz, Joules, Seconds, Spec

__all__ = ["Nvm", "Part", "Radio", "Sensor", "VectorEngine", "list_parts", "load_part"]

P = TypeVar("P", bound=Spec)


class Radio(Spec):
    """A radio: currents at the rail by state."""

    kind: Literal["radio"]
    name: str
    title: str
    protocol: Literal["ble", "lora"]
    """What it speaks."""
    tx: dict[str, Amperes]
    """Transmitting, by output power ("0dBm")."""
    default_tx: str
    """Output power unless the scenario says otherwise."""
    rx: Amperes
    """Receiving."""
    standby: Amperes | None = None
    """Between packets of one event; the sleep current if unknown."""
    sleep: Amperes | None = None
    """Asleep, always drawn; None where the MCU's sleep current includes it."""
    ramp: Seconds | None = None
    """From standby to transmitting or receiving."""

    def tx_a(self, power: str | None) -> float:
        """Current while transmitting at an output power.

        Raises:
            SpecError: no figure for this power.
        """
        key = power or self.default_tx
        if key not in self.tx:
            raise SpecError(f"radio {self.name} has no figure for {key!r}; accepted: {', '.join(self.tx)}")
        return self.tx[key].si


class Sensor(Spec):
    """A sensor: currents at the rail by mode."""

    kind: Literal["sensor"]
    name: str
    title: str
    modes: dict[str, Amperes]
    """Measuring, by mode."""
    sleep: Amperes | None = None
    """Asleep; drawn whenever it does not measure."""
    start: Seconds | None = None
    """From sleep to the first good sample."""
    fifo: Bytes | None = None
    """Size of its own FIFO."""

    def mode_a(self, mode: str | None) -> float:
        """Current in a mode; the only one if none is named.

        Raises:
            SpecError: no such mode, or several to choose from.
        """
        if mode is None and len(self.modes) == 1:
            return next(iter(self.modes.values())).si
        if mode not in self.modes:
            raise SpecError(f"sensor {self.name} needs a mode; accepted: {', '.join(self.modes)}, given: {mode}")
        return self.modes[mode].si

    def sleep_a(self) -> float:
        """Current asleep.

        Raises:
            MissingFigure: it is unknown.
        """
        if self.sleep is None:
            raise MissingFigure(f"the sleep current of {self.name} is unknown; an on-demand sensor needs it")
        return self.sleep.si


class Nvm(Spec):
    """A non-volatile memory: cost of a transfer = setup + bytes x price."""

    kind: Literal["nvm"]
    name: str
    title: str
    write_energy: Joules
    """Per byte."""
    read_energy: Joules
    """Per byte."""
    write_time: Seconds | None = None
    """Per byte; None: hidden behind the core."""
    read_time: Seconds | None = None
    """Per byte."""
    write_setup_energy: Joules | None = None
    """Per transfer."""
    read_setup_energy: Joules | None = None
    """Per transfer."""
    write_setup_time: Seconds | None = None
    """Per transfer."""
    read_setup_time: Seconds | None = None
    """Per transfer."""

    def write(self, n_bytes: float) -> tuple[float, float]:
        """(energy [J], time [s]) of writing so many bytes in one transfer.

        >>> round(load_part("flash-stm32l152", Nvm).write(128)[0] * 1e6, 4)
        12.9888
        """
        return _cost(n_bytes, self.write_energy, self.write_setup_energy, self.write_time, self.write_setup_time)

    def read(self, n_bytes: float) -> tuple[float, float]:
        """(energy [J], time [s]) of reading so many bytes in one transfer."""
        return _cost(n_bytes, self.read_energy, self.read_setup_energy, self.read_time, self.read_setup_time)


def _cost(
    n_bytes: float, energy: Joules, setup_energy: Joules | None, time: Seconds | None, setup_time: Seconds | None
) -> tuple[float, float]:
    if n_bytes <= 0:
        return 0.0, 0.0
    extra_j = setup_energy.si if setup_energy else 0.0
    extra_s = setup_time.si if setup_time else 0.0
    return energy.si * n_bytes + extra_j, (time.si * n_bytes if time else 0.0) + extra_s


class VectorEngine(Spec):
    """A vector multiply-accumulate unit fed from non-volatile memory, priced by micro-benchmarks."""

    kind: Literal["vector-engine"]
    name: str
    title: str
    clock: Hertz
    """Clock of the cycles below."""
    mac_energy: Joules
    """Per multiply-accumulate of a vector."""
    call_energy: Joules
    """Per call."""
    mac_cycles: Cycles
    """Per multiply-accumulate of a vector."""
    call_cycles: Cycles
    """Per call."""
    working_memory: Bytes
    """SRAM that the operands of one tile share."""
    element_bytes: int = Field(ge=1)
    """Bytes of an operand."""
    nvm: str
    """Name of the non-volatile memory that holds weights and activations."""
    boot_energy: Joules
    """From power-on to the first instruction of the task."""
    boot_time: Seconds
    """The same."""


Part = Annotated[Radio | Sensor | Nvm | VectorEngine, Field(discriminator="kind")]


def list_parts() -> list[str]:
    """Names of the shipped parts."""
    return sorted(path.stem for path in (spec_folder() / "peripherals").glob("*.yaml"))


@cache
def _load(name: str) -> Radio | Sensor | Nvm | VectorEngine:
    path = spec_folder() / "peripherals" / f"{name}.yaml"
    if "/" in name or not path.is_file():
        raise SpecError(f"unknown part {name!r}; {nearest(name, list_parts())}")
    try:
        part: Radio | Sensor | Nvm | VectorEngine = TypeAdapter(Part).validate_python(read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise SpecError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    return part


def load_part(name: str, kind: type[P]) -> P:
    """A part by name.

    Raises:
        SpecError: no such part, or one of another kind.

    >>> load_part("bmi270", Sensor).mode_a("normal")
    0.000685
    """
    part = _load(name)
    if not isinstance(part, kind):
        raise SpecError(f"part {name!r} is a {type(part).__name__}, a {kind.__name__} is needed")
    return part
