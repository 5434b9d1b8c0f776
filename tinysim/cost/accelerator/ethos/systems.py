"""System configurations and memory modes: which memory holds feature maps, constants and the staged copies."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from tinysim.cost.accelerator.ethos.hardware import MemoryPort, SystemConfig
from tinysim.device.library import read_yaml, spec_folder, validated
from tinysim.errors import SpecError, nearest
from tinysim.figures import Figure, Spec, in_unit

__all__ = ["MEMORY_MODES", "list_systems", "load_system"]


class Port(Spec):
    """One memory behind the NPU's AXI ports."""

    memory: Literal["sram", "dram", "on_chip_flash", "off_chip_flash"]
    """Kind of memory."""
    bytes_per_cycle: int = Field(gt=0)
    """Width of a port."""
    clock_scale: float = Field(gt=0, le=1)
    """Share of the NPU's clock at which the memory keeps up."""
    ports: int = Field(gt=0)
    """Ports to it."""
    burst_bytes: int = Field(gt=0)
    """Longest burst."""
    read_latency: int = Field(ge=0)
    """Cycles."""
    write_latency: int = Field(ge=0)
    """Cycles."""
    max_reads: int = Field(gt=0)
    """Outstanding reads of a port."""
    max_writes: int = Field(ge=0)
    """Outstanding writes of a port."""


class SystemSpec(Spec):
    """A system configuration of the compiler."""

    name: str
    """Name as the compiler writes it."""
    clock: Annotated[Figure, in_unit("Hz")]
    """Clock of the NPU."""
    source: str = Field(min_length=1)
    """Key of the source of the ports' numbers."""
    where: str
    """Place in the source."""
    ports: dict[Literal["axi0", "axi1"], Port]
    """Memories by port."""


class _Mode(NamedTuple):
    feature_maps: Literal["axi0", "axi1"]
    constants: Literal["axi0", "axi1"]
    staging_bytes: float


#: Memory modes: where feature maps and constants live, and the room in the fast memory (axi0) that stages the others.
#: Source: vela.ini, Memory_Mode.*.
MEMORY_MODES: dict[str, _Mode] = {
    "Sram_Only": _Mode("axi0", "axi0", float("inf")),
    "Shared_Sram": _Mode("axi0", "axi1", float("inf")),
    "Dedicated_Sram": _Mode("axi1", "axi1", float("inf")),
    "Dedicated_Sram_256KB": _Mode("axi1", "axi1", 262144),
    "Dedicated_Sram_384KB": _Mode("axi1", "axi1", 393216),
    "Dedicated_Sram_512KB": _Mode("axi1", "axi1", 524288),
}


@cache
def _all_systems() -> dict[str, SystemSpec]:
    paths = sorted((spec_folder() / "accelerators" / "systems").glob("*.yaml"))
    found = [validated(SystemSpec, read_yaml(path), path.name) for path in paths]
    return {system.name: system for system in found}


def list_systems() -> list[str]:
    """Names of the shipped system configurations."""
    return list(_all_systems())


def load_system(name: str, memory_mode: str = "Shared_Sram") -> tuple[SystemConfig, float]:
    """Memories of a system configuration in a memory mode, and the NPU's clock [Hz].

    Raises:
        SpecError: an unknown configuration or mode (the message offers the nearest names), or a mode that would write
            feature maps to flash.

    >>> system, clock_hz = load_system("Ethos_U55_High_End_Embedded", "Shared_Sram")
    >>> system.constants.name, system.constants.bytes_per_cycle, clock_hz
    ('off_chip_flash', 1.0, 500000000.0)
    """
    if name not in _all_systems():
        raise SpecError(f"unknown system configuration {name!r}; {nearest(name, _all_systems())}")
    if memory_mode not in MEMORY_MODES:
        raise SpecError(f"unknown memory mode {memory_mode!r}; {nearest(memory_mode, MEMORY_MODES)}")
    spec, mode = _all_systems()[name], MEMORY_MODES[memory_mode]
    if "flash" in spec.ports[mode.feature_maps].memory:
        raise SpecError(f"{memory_mode} writes feature maps to the flash of {name}; use Sram_Only or Shared_Sram")
    ports = {
        axi: MemoryPort(
            name=port.memory,
            bytes_per_cycle=port.bytes_per_cycle * port.clock_scale * port.ports,
            burst_bytes=port.burst_bytes,
            read_latency=port.read_latency,
            write_latency=port.write_latency,
            ports=port.ports,
            max_reads=port.max_reads,
            max_writes=port.max_writes,
        )
        for axi, port in spec.ports.items()
    }
    system = SystemConfig(
        feature_maps=ports[mode.feature_maps],
        constants=ports[mode.constants],
        staging=ports["axi0"],
        staging_bytes=mode.staging_bytes,
    )
    return system, spec.clock.si
