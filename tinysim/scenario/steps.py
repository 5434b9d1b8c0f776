"""Steps of an activity, as a scenario file says them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tinysim.figures import Spec
from tinysim.scenario.units import Amperes, Bytes, Hertz, Joules, Seconds, Share, Watts

__all__ = ["AnyStep", "Features", "Infer", "Run", "Send", "Sense"]


class Step(Spec):
    """A step of an activity."""

    name: str | None = None
    """Name in tables and pictures."""
    pass_rate: Share = 1.0
    """Share of the times that the next step follows; otherwise the MCU goes back to sleep."""


class Run(Step):
    """Anything of known duration and current or power."""

    do: Literal["run"]
    duration: Seconds
    """How long."""
    current: Amperes | None = None
    """At the rail; the run current if neither is given."""
    power: Watts | None = None
    """At the rail."""

    @model_validator(mode="after")
    def _one(self) -> Run:
        if self.current is not None and self.power is not None:
            raise ValueError("give a current or a power, not both")
        return self


class Sense(Step):
    """Wait for a sensor."""

    do: Literal["sense"]
    sensor: str
    """Name in `sensors`."""
    duration: Seconds
    """How long it measures, after its start-up."""


class Features(Step):
    """Feature extraction on the core."""

    do: Literal["features"]
    kind: Literal["fft", "mfcc"]
    """Spectrum only, or cepstral coefficients."""
    points: int = Field(ge=4)
    """FFT length, a power of two."""
    frames: int = Field(default=1, ge=1)
    """Frames per event."""
    samples: int | None = None
    """Samples of a frame; the FFT length by default."""
    mels: int = 40
    """Mel bands."""
    coefficients: int = 10
    """Cepstral coefficients."""


class Infer(Step):
    """An inference: of a network on the board, or with latency and energy given."""

    do: Literal["infer"]
    network: str | None = None
    """Name in the zoo, or a model file."""
    runtime: str | None = None
    """Runtime; the MCU's by default."""
    latency: Seconds | None = None
    """Instead of a network."""
    energy: Joules | None = None
    """Instead of a network; at the rail."""
    energy_factor: float | None = Field(default=None, gt=1)
    """90 % interval of the given energy: from energy / factor to energy x factor."""

    @model_validator(mode="after")
    def _one(self) -> Infer:
        given = (self.latency is not None, self.energy is not None)
        if (self.network is None) != all(given) or any(given) != all(given):
            raise ValueError("give a network, or both latency and energy")
        return self


class Send(Step):
    """A radio event."""

    do: Literal["send"]
    radio: str | None = None
    """Part in ``device_specs/peripherals``; none for a UART."""
    how: Literal["advertise", "connection", "lora", "uart"]
    """What is sent."""
    payload: Bytes
    """Bytes of the application."""
    power: str | None = None
    """Output power of the part ("0dBm")."""
    listen: Seconds | None = None
    """Advertising: time of listening for a request after each packet. LoRa: time of listening in each window."""
    windows: int = Field(default=0, ge=0)
    """LoRa: receive windows after the packet."""
    window_delay: Seconds = 1.0
    """LoRa: delay of the first window; the second comes 1 s later."""
    interval: Seconds | None = None
    """Connection interval, for the drift of the clocks."""
    clock_ppm: float = Field(default=50.0, ge=0)
    """Drift of both sleep clocks together."""
    packet: Bytes = 244
    """Largest payload of a connection packet."""
    spreading_factor: int = Field(default=7, ge=6, le=12)
    """LoRa."""
    bandwidth: Hertz = 125e3
    """LoRa."""
    coding_rate: int = Field(default=1, ge=1, le=4)
    """LoRa: 1 means 4/5."""
    baud: Hertz = 115200.0
    """UART."""

    @model_validator(mode="after")
    def _complete(self) -> Send:
        if self.how != "uart" and self.radio is None:
            raise ValueError(f"{self.how} needs a radio")
        if self.how == "connection" and self.interval is None:
            raise ValueError("connection needs its interval")
        if self.windows and self.listen is None:
            raise ValueError("windows need the time of listening (listen)")
        return self


AnyStep = Annotated[Run | Sense | Features | Infer | Send, Field(discriminator="do")]
