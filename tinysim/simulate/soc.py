"""The moving parts of a system on chip: memories behind ports, bus, arbiter, DMA, accelerator, scheduler and sleep.

`SocSpec.from_target` derives them from a board; what a board's description does not say (arbiter, banks, channels) has
a default here and can be overridden.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from tinysim.deploy.target import Target
from tinysim.device.library import validated
from tinysim.errors import SpecError, nearest
from tinysim.figures import Spec

__all__ = ["AcceleratorSpec", "MemorySpec", "SleepSpec", "SocSpec", "burst_cycles"]


def burst_cycles(
    n_bytes: int, *, bytes_per_cycle: float, line_bytes: int = 4, wait_cycles: int = 0, prefetch: bool = False
) -> int:
    """Cycles for which one burst holds the port of a memory.

    N = beats + wait * lines;  beats = ceil(bytes / bytes per cycle), lines = ceil(bytes / line)
    with prefetch: N = beats + wait + (lines - 1) * max(wait - beats per line, 0): the next line is read while one is
    delivered, so that only the first wait shows.

    n_bytes [B], bytes_per_cycle [B/cycle], line_bytes [B], wait_cycles [cycle].
    Valid: sequential addresses from the start of a line.
    Source: flash read with wait states and prefetch buffer, ST RM0432 sec. 3.3.3 and 3.3.4.

    >>> burst_cycles(32, bytes_per_cycle=4, line_bytes=8, wait_cycles=5)
    28
    >>> burst_cycles(32, bytes_per_cycle=4, line_bytes=8, wait_cycles=5, prefetch=True)
    22
    """
    if n_bytes <= 0:
        return 0
    beats = math.ceil(n_bytes / bytes_per_cycle)
    lines = -(-n_bytes // line_bytes)
    if not prefetch:
        return beats + wait_cycles * lines
    hidden = math.ceil(line_bytes / bytes_per_cycle)
    return beats + wait_cycles + (lines - 1) * max(wait_cycles - hidden, 0)


class MemorySpec(Spec):
    """A memory behind one port of the bus, or behind one port for each bank."""

    name: str
    """Name of the memory."""
    bytes_per_cycle: float = Field(default=4.0, gt=0)
    """Bytes that a beat moves: width of the port, or less where the memory's bandwidth is."""
    line_bytes: int = Field(default=4, ge=1)
    """Bytes that one access of the array delivers."""
    wait_cycles: int = Field(default=0, ge=0)
    """Wait states of one access of the array."""
    prefetch: bool = False
    """Whether the next line is read while one is delivered."""
    banks: int = Field(default=1, ge=1)
    """Banks with a port each. The core's data are in the first, what other masters move is in the last."""
    read_byte_j: float = Field(default=0.0, ge=0)
    """Energy of reading one byte."""
    write_byte_j: float = Field(default=0.0, ge=0)
    """Energy of writing one byte."""

    def burst_cycles(self, n_bytes: int) -> int:
        """Cycles for which a burst of `n_bytes` holds the port."""
        return burst_cycles(
            n_bytes,
            bytes_per_cycle=self.bytes_per_cycle,
            line_bytes=self.line_bytes,
            wait_cycles=self.wait_cycles,
            prefetch=self.prefetch,
        )


class AcceleratorSpec(Spec):
    """An accelerator that fetches its own tiles."""

    name: str = "npu"
    """Name of its tracks."""
    buffers: int = Field(default=2, ge=1)
    """Tile buffers; 2 fetch one tile while another computes."""
    burst_bytes: int = Field(default=64, ge=1)
    """Bytes of one burst on the bus."""
    power_w: float = Field(default=0.0, ge=0)
    """Power while it computes, beside the core's."""


class SleepSpec(Spec):
    """What a core does when nothing is ready."""

    name: str = "sleep"
    """Name of the state."""
    power_w: float = Field(ge=0)
    """Power asleep."""
    wake_s: float = Field(default=0.0, ge=0)
    """From the interrupt to the first instruction."""
    after_s: float = Field(default=0.0, ge=0)
    """Idle time after which the core enters it."""


class SocSpec(Spec):
    """A system on chip as its moving parts. One tick is one cycle of `clock_hz`."""

    clock_hz: float = Field(gt=0)
    """Base clock."""
    memories: tuple[MemorySpec, ...]
    """Memories on the bus."""
    cores: int = Field(default=1, ge=1)
    """Cores at the base clock."""
    bus: Literal["matrix", "shared"] = "matrix"
    """A matrix arbitrates at each memory; a shared bus carries one burst at a time."""
    arbiter: Literal["round-robin", "fixed"] = "round-robin"
    """Who goes next: in turn, or by `priority`."""
    priority: tuple[Literal["core", "dma", "accelerator"], ...] = ("dma", "accelerator", "core")
    """Kinds of master under the fixed arbiter, most urgent first."""
    core_burst_bytes: int = Field(default=16, ge=1)
    """Bytes that a core moves before the arbiter may choose again."""
    dma_channels: int = Field(default=2, ge=0)
    """Transfers that can be under way at a time."""
    dma_burst_bytes: int = Field(default=16, ge=1)
    """Bytes of one DMA burst."""
    accelerator: AcceleratorSpec | None = None
    """Accelerator, if there is one."""
    scheduler: Literal["preemptive", "cooperative"] = "preemptive"
    """Whether a more urgent task takes the core at once, or at the end of a layer."""
    switch_cycles: int = Field(default=0, ge=0)
    """Cycles of a change of task."""
    interrupt_cycles: int = Field(default=24, ge=0)
    """Entry and exit of an interrupt (12 + 12 on a Cortex-M with zero-wait-state memory: Arm 100166, sec. 3.9)."""
    run_w: float | None = Field(default=None, ge=0)
    """Power of a running core; None withholds energy."""
    idle_w: float = Field(default=0.0, ge=0)
    """Power of a core that waits for an interrupt."""
    sleep: SleepSpec | None = None
    """Sleep state entered when idle; None: the core only waits."""

    @model_validator(mode="after")
    def _names(self) -> SocSpec:
        names = [memory.name for memory in self.memories]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"memories: names must be there and differ, got {names}")
        if sorted(self.priority) != ["accelerator", "core", "dma"]:
            raise ValueError(f"priority: each of core, dma and accelerator once, got {self.priority}")
        return self

    @classmethod
    def from_target(cls, target: Target, **overrides: Any) -> SocSpec:
        """The parts of a board at the clock of a target.

        overrides: fields of `SocSpec` that differ; `banks={"sram": 2}` sets the banks of a memory by name;
        `sleep="stop2"` takes a sleep state of the board.

        Raises:
            SpecError: an unknown field, memory or sleep state, or a value out of range.
        """
        clock, prices = target.clock_hz, target.prices
        memories = {memory.name: _memory(memory, target) for memory in target.device.memories}
        for name, banks in dict(overrides.pop("banks", {})).items():
            if name not in memories:
                raise SpecError(f"{target.device.name}: banks of unknown memory {name!r}; {nearest(name, memories)}")
            memories[name]["banks"] = banks
        if isinstance(overrides.get("sleep"), str):
            overrides["sleep"] = _sleep(target, overrides["sleep"])
        fields = {
            "clock_hz": clock,
            "memories": tuple(memories.values()),
            "run_w": None if prices is None else prices.power_w,
            "idle_w": 0.0 if prices is None else prices.static_w,
        }
        return validated(cls, fields | overrides, f"parts of {target.device.name}")

    def memory(self, name: str) -> MemorySpec:
        """A memory by name.

        Raises:
            SpecError: no such memory.
        """
        for memory in self.memories:
            if memory.name == name:
                return memory
        raise SpecError(f"no memory {name!r} on the bus; {nearest(name, [m.name for m in self.memories])}")

    def ticks(self, seconds: float) -> int:
        """Whole ticks that cover a time."""
        return math.ceil(seconds * self.clock_hz - 1e-6)


def _memory(memory: Any, target: Target) -> dict[str, Any]:
    rate = float(memory.bus_bytes)
    if memory.bandwidth is not None and memory.bandwidth.known:
        rate = min(rate, memory.bandwidth.si / target.clock_hz)
    found: dict[str, Any] = {
        "name": memory.name,
        "bytes_per_cycle": rate,
        "line_bytes": memory.line_bytes,
        "wait_cycles": round(memory.wait_cycles(target.clock_hz, target.device.voltage_range)),
        "prefetch": memory.prefetch,
    }
    for field, figure in (("read_byte_j", memory.read_energy), ("write_byte_j", memory.write_energy)):
        if figure is not None and figure.known:
            found[field] = figure.si
    return found


def _sleep(target: Target, name: str) -> dict[str, Any]:
    power = target.device.power
    states = {state.name: state for state in power.sleep} if power is not None else {}
    state = states.get(name)
    if state is None or power is None or not state.current.known:
        raise SpecError(f"{target.device.name} has no sleep state {name!r} of known current; {nearest(name, states)}")
    supply = state.supply if state.supply is not None else power.supply
    wake = state.wake_latency
    return {
        "name": name,
        "power_w": state.current.si * supply.si,
        "wake_s": wake.si if wake is not None and wake.known else 0.0,
    }
