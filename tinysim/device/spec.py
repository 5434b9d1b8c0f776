"""The description of a board: core, memories, power, and the runtimes that exist for it.

Everything is frozen and strict: an unknown field, a figure without a source or a unit of the wrong dimension is an
error that names the field.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from tinysim.figures import Amperes, Bytes, BytesPerSecond, Cycles, Figure, Hertz, Joules, Seconds, Spec, Volts

__all__ = ["Cache", "Core", "Device", "Memory", "OperatingPoint", "Power", "PowerState", "Runtime", "WaitStates"]


class Core(Spec):
    """A processor core and its instruction timing (cycles per instruction with zero-wait-state memory)."""

    name: str
    """Key, e.g. ``cortex-m4``."""
    title: str
    """Name in full."""
    isa: str
    """Instruction set, e.g. ``armv7e-m``."""
    fpu: bool = False
    """Whether this core can have a single-precision FPU."""
    vector: Literal["none", "dsp", "helium", "pie", "xpulp", "rvp"] = "none"
    """SIMD unit that the kernel libraries use."""
    timing: dict[str, Cycles]
    """Cycles by instruction class; the classes are those of `tinysim.cost.timing.CoreTiming`."""
    notes: str = ""
    """What the table leaves out."""


class WaitStates(Spec):
    """Wait states of a flash as a step function of the clock in one voltage range."""

    voltage_range: str
    """Name of the range in the manual."""
    max_clock_hz: tuple[float, ...]
    """Highest clock of each step, rising [Hz]."""
    wait_cycles: tuple[int, ...]
    """Wait states of each step [cycles]."""
    source: str
    """Key into the sources."""
    where: str | None = None
    """Table or section."""

    @model_validator(mode="after")
    def _steps(self) -> WaitStates:
        if len(self.max_clock_hz) != len(self.wait_cycles) or not self.max_clock_hz:
            raise ValueError("max_clock_hz and wait_cycles need the same length, at least 1")
        if list(self.max_clock_hz) != sorted(self.max_clock_hz):
            raise ValueError("max_clock_hz must rise")
        return self

    def at(self, clock_hz: float) -> int:
        """Wait states at a clock; above the last step, those of the last step."""
        for limit, wait in zip(self.max_clock_hz, self.wait_cycles, strict=True):
            if clock_hz <= limit * (1 + 1e-9):
                return wait
        return self.wait_cycles[-1]


class Cache(Spec):
    """A cache in front of a memory."""

    size: Bytes
    """Capacity."""
    line: Bytes
    """Line size."""
    ways: int = Field(default=1, ge=1)
    """Associativity."""


class Memory(Spec):
    """One memory that code, weights or activations can live in."""

    name: str
    """Name in the manual, lower case (``flash``, ``dtcm``, ``sram1``, ``octospi-flash``, ``sdram``)."""
    kind: Literal["flash", "sram", "tcm", "psram", "dram", "mram", "fram", "rom"]
    """Technology."""
    size: Bytes
    """Capacity."""
    external: bool = False
    """Off chip."""
    holds: tuple[Literal["code", "weights", "activations"], ...]
    """What the linker script puts there by default, or may put there."""
    wait_states: tuple[WaitStates, ...] = ()
    """Wait states by clock, for each voltage range."""
    read_latency: Cycles | None = None
    """Cycles of a read beyond the first, where no wait-state table applies."""
    bus_bytes: int = Field(default=4, ge=1)
    """Width of the port that the core sees [byte]."""
    line_bytes: int = Field(default=4, ge=1)
    """Bytes that one access of the array delivers (the flash word of a prefetch buffer)."""
    row: Bytes | None = None
    """Open row (page) of a DRAM: what one activation gives access to."""
    instruction_cache: Cache | None = None
    """Cache for instruction fetches."""
    data_cache: Cache | None = None
    """Cache for data reads."""
    prefetch: bool = False
    """Whether the next line is fetched while the current one executes."""
    bandwidth: BytesPerSecond | None = None
    """Sustained bandwidth, for external memories."""
    read_energy: Joules | None = None
    """Energy of reading one byte."""
    write_energy: Joules | None = None
    """Energy of writing one byte."""

    def wait_cycles(self, clock_hz: float, voltage_range: str | None = None) -> float:
        """Wait states of one access at `clock_hz`; 0 if the memory has none."""
        if self.wait_states:
            tables = [t for t in self.wait_states if voltage_range in (None, t.voltage_range)] or list(self.wait_states)
            return float(tables[0].at(clock_hz))
        return float(self.read_latency.si) if self.read_latency is not None else 0.0


class OperatingPoint(Spec):
    """Measured or specified current of a running core."""

    clock: Hertz
    """Core clock."""
    supply: Volts
    """Supply voltage at which the current holds."""
    regulator: Literal["ldo", "smps", "none"] = "ldo"
    """Converter between supply and core."""
    current: Amperes
    """Supply current."""
    running: str = "inference"
    """What runs: ``inference``, ``coremark``, ``while1`` ..."""


class PowerState(Spec):
    """A sleep state."""

    name: str
    """Name in the manual, lower case (``stop2``, ``standby``, ``system-off``)."""
    current: Amperes
    """Supply current."""
    supply: Volts | None = None
    """Supply voltage at which the current holds."""
    wake_latency: Seconds | None = None
    """Time to the first instruction."""
    retained: Bytes | None = None
    """SRAM kept."""


class Power(Spec):
    """Supply and currents of a board's MCU."""

    supply: Volts
    """Supply voltage of a plain estimate."""
    regulator: Literal["ldo", "smps", "none"] = "ldo"
    """Converter that a plain estimate assumes."""
    run: tuple[OperatingPoint, ...] = ()
    """Running currents."""
    sleep: tuple[PowerState, ...] = ()
    """Sleep states, deepest last."""


class Device(Spec):
    """A board."""

    name: str
    """Key in kebab case, e.g. ``nucleo-l4r5zi``."""
    title: str
    """Name in full."""
    vendor: str
    """Who makes the MCU."""
    soc: str
    """MCU."""
    die: str = ""
    """Die of the MCU where several share one, and so the memory system; the MCU itself if empty."""
    core: Core
    """The core that runs the network (in YAML: its name)."""
    fpu: bool = False
    """Whether the MCU has the FPU."""
    clock: Hertz
    """Core clock of a plain estimate."""
    voltage_range: str | None = None
    """Voltage range of the wait-state table that applies at this clock."""
    memories: tuple[Memory, ...]
    """Memories; the first that holds a thing is the default place."""
    power: Power | None = None
    """Currents; absent if nothing is known."""
    runtimes: tuple[str, ...]
    """Runtimes that exist for the board; the first is the default."""
    accelerator: str | None = None
    """Key of a description in ``device_specs/accelerators``, or a YAML file beside the board's own."""
    aliases: tuple[str, ...] = ()
    """Other names of the board in published tables."""
    notes: str = ""
    """What a reader should know."""

    @model_validator(mode="after")
    def _complete(self) -> Device:
        names = [m.name for m in self.memories]
        if len(set(names)) != len(names):
            raise ValueError(f"memories: two have one name in {names}")
        for what in ("code", "weights", "activations"):
            if not any(what in m.holds for m in self.memories):
                raise ValueError(f"memories: none holds {what}")
        if not self.runtimes:
            raise ValueError("runtimes: at least one is needed")
        if self.fpu and not self.core.fpu:
            raise ValueError(f"fpu: {self.core.name} cannot have one")
        return self

    def memory_for(self, what: Literal["code", "weights", "activations"]) -> Memory:
        """The default memory of code, weights or activations: the first that holds it."""
        return next(m for m in self.memories if what in m.holds)

    def memory(self, name: str) -> Memory:
        """A memory by name.

        Raises:
            KeyError: no memory has this name.
        """
        for m in self.memories:
            if m.name == name:
                return m
        raise KeyError(name)

    def figures(self) -> list[tuple[str, Figure]]:
        """Every figure of the board and its core with its path, e.g. ``("memories.flash.size", ...)``."""
        return list(_walk("", self))

    def __repr__(self) -> str:
        return f"Device({self.name!r}, {self.soc}, {self.core.name} at {self.clock.si / 1e6:g} MHz)"


def _walk(path: str, value: Any) -> Any:
    if isinstance(value, Figure):
        yield path, value
    elif isinstance(value, Spec):
        for name in type(value).model_fields:
            yield from _walk(f"{path}.{name}" if path else name, getattr(value, name))
    elif isinstance(value, (tuple, list)):
        for position, item in enumerate(value):
            yield from _walk(f"{path}.{getattr(item, 'name', position)}", item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _walk(f"{path}.{name}", item)


class Runtime(Spec):
    """A software stack that runs networks: kernel library, arena planner, overheads, code size."""

    name: str
    """Key, e.g. ``tflm-cmsis-nn``."""
    title: str
    """Name in full."""
    family: str | None = None
    """Name that its versions share; the name without the version if absent."""
    version: str | None = None
    """Version of the measurements behind it."""
    library: str
    """Kernel library whose structure counts the instructions (``cmsis-nn``, ``tflm-reference``, ...)."""
    library_on: dict[str, str] = Field(default_factory=dict)
    """Kernel library on some cores, by name, where it differs: a library with kernels for other cores only."""
    opt_on: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Compiler level on some cores, by name of the core and precision, where the measured builds show it."""
    counted: bool = False
    """Whether its kernels are those that were counted; else the library only lends its structure."""
    opt: str = Field(default="-O3", pattern=r"^-O(3|2|s|fast)(\+dcheck)?$")
    """Compiler level; ``+dcheck`` for a build without NDEBUG, whose reference kernels check every index."""
    planner: str = "tflm-greedy"
    """Arena planner."""
    memory_pools: Literal["none", "filled", "shared"] = "none"
    """What becomes of an arena that exceeds its memory: `none`: it moves as a whole; `filled`: its buffers fill one
    memory after the other, and all pools together are the RAM; `shared`: the same, but pools are reused so well that
    their sum is that of one arena."""
    persistent_arena: bool = True
    """Whether the arena holds interpreter structures too (TFLM's tail)."""
    removes_dead_channels: bool = False
    """Whether all-zero channels are removed when the model carries its weights."""
    folds: tuple[str, ...] = ()
    """Operators that cost nothing at run time because the compiler folds them (``reshape``, ``pad``, ``quantize``)."""
    model_in_flash: Literal["flatbuffer", "weights"] = "weights"
    """What the flash holds of a model: the whole file, or the constants only."""
    code_bytes: Figure | None = None
    """Code and tables of runtime and kernels."""
    cores: tuple[str, ...] = ()
    """Cores that it runs on; empty: any."""
    accelerators: tuple[str, ...] = ()
    """Accelerators that it drives, by name; ``*`` stands for any letters. Empty: all runs on the core."""
    offload: Literal["optimal", "greedy"] = "optimal"
    """What it puts there: the cheapest partition, or all that the accelerator supports, as most compilers do."""
    aliases: tuple[str, ...] = ()
    """Other names of the stack in published tables."""
    notes: str = ""
    """What a reader should know."""
