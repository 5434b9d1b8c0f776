"""Description of an accelerator: engines, memories, clock and set-up costs, each figure with its source.

An architect edits a number in the YAML file and sees the change; inconsistent descriptions are refused with the path
of the field.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from tinysim.cost.accelerator.ethos.hardware import EthosHardware
from tinysim.device.library import read_yaml, spec_folder, validated
from tinysim.errors import UnknownDevice, nearest
from tinysim.figures import Figure, Spec, in_unit
from tinysim.network.kinds import KIND_CODE

__all__ = ["AXES", "Accelerator", "Engine", "Limits", "LocalMemory", "list_accelerators", "load_accelerator"]

#: Loop axes of a layer that an array can unroll: output and input channels, kernel positions, output rows and columns.
AXES = ("out_c", "in_c", "taps", "rows", "columns")

Dataflow = Literal["output_stationary", "weight_stationary", "input_stationary"]

Hertz = Annotated[Figure, in_unit("Hz")]


class Limits(Spec):
    """Largest layer that an engine takes; unset means any."""

    kernel: int | None = Field(default=None, gt=0)
    """Longest side of a kernel."""
    kernel_area: int | None = Field(default=None, gt=0)
    """Most kernel positions."""
    stride: int | None = Field(default=None, gt=0)
    """Longest stride."""
    dilation: int | None = Field(default=None, gt=0)
    """Largest dilation."""
    channels: int | None = Field(default=None, gt=0)
    """Most input or output channels."""
    extent: int | None = Field(default=None, gt=0)
    """Most rows or columns."""


class Unroll(Spec):
    """Elements of each loop axis that an array does at once."""

    out_c: int = Field(default=1, gt=0)
    """Output channels."""
    in_c: int = Field(default=1, gt=0)
    """Input channels."""
    taps: int = Field(default=1, gt=0)
    """Kernel positions."""
    rows: int = Field(default=1, gt=0)
    """Output rows."""
    columns: int = Field(default=1, gt=0)
    """Output columns."""

    @property
    def product(self) -> int:
        """Multiply-accumulates at once."""
        return self.out_c * self.in_c * self.taps * self.rows * self.columns


class Engine(Spec):
    """An array of multipliers or lanes, the operators it runs, and how much of its peak they reach."""

    name: str
    """Name, unique in the accelerator."""
    kinds: tuple[str, ...] = Field(min_length=1)
    """Operators it runs, in the names of `LayerTable`."""
    unroll: Unroll
    """Elements of each loop axis done at once; an axis left out is done one by one."""
    also: tuple[Unroll, ...] = ()
    """Other ways in which the array can be laid over the loops; each layer takes the fastest."""
    discards_strided: bool = False
    """Whether a strided convolution computes the outputs between the strides as well and drops them."""
    dataflow: Dataflow = "output_stationary"
    """Operand that stays in the array while the others stream through it."""
    source: str = Field(min_length=1)
    """Key of the source of shape, operators and limits."""
    where: str
    """Place in the source."""
    skips: tuple[Literal["weights", "activations"], ...] = ()
    """Operands whose zeros cost neither a step nor energy."""
    weight_bits: tuple[int, ...] = (8,)
    """Widths of weights it takes."""
    activation_bits: tuple[int, ...] = (8,)
    """Widths of activations it takes."""
    serial_weight_bits: int | None = Field(default=None, gt=0)
    """Bits of a weight done per pass, for bit-serial arrays."""
    limits: Limits = Limits()
    """Largest layer."""
    utilization: Annotated[Figure, in_unit("1")]
    """Share of the mapped peak that is reached: pipeline fill, bank conflicts, control."""
    setup: Annotated[Figure, in_unit("cycle")]
    """Cycles from one operator to the next: configuration, start, interrupt."""
    output_cycles: Annotated[Figure, in_unit("cycle")] | None = None
    """Cycles per output element after its sum: bias, requantization, store."""
    input_cycles: Annotated[Figure, in_unit("cycle")] | None = None
    """Cycles per input element before its use: layout change, im2col."""
    position_cycles: Annotated[Figure, in_unit("cycle")] | None = None
    """Cycles per output position (row and column) before its sums: pointers, window, pipeline."""
    block: Unroll | None = None
    """Elements of each loop axis in a block: outputs that are summed up together, and inputs of one step to them."""
    block_cycles: Annotated[Figure, in_unit("cycle")] | None = None
    """Cycles per block of outputs beside its sums: scaling, store, start of the next."""
    step_cycles: Annotated[Figure, in_unit("cycle")] | None = None
    """Cycles per step of a block beside its sums: load of its inputs, pipeline."""
    weights_from: str | None = None
    """Memory whose ports feed weights to the array, if it is modelled."""
    activations_from: str | None = None
    """Memory whose ports feed activations to the array, if it is modelled."""
    mac_energy: Annotated[Figure, in_unit("J")] | None = None
    """Energy of one multiply-accumulate with its registers."""
    busy_power: Annotated[Figure, in_unit("W")] | None = None
    """Power while it computes, beside that of the whole while it waits."""

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle at full use."""
        return self.unroll.product

    @property
    def operand_bytes(self) -> dict[str, float]:
        """Bytes per cycle of the operands that stream through the array at full use."""
        lanes, depth = self.unroll, self.unroll.in_c * self.unroll.taps
        streams = {
            "weights": lanes.out_c * depth * min(self.weight_bits) / 8,
            "activations": lanes.rows * lanes.columns * depth * min(self.activation_bits) / 8,
        }
        stays = {"weight_stationary": "weights", "input_stationary": "activations"}.get(self.dataflow)
        return {name: 0.0 if name == stays else rate for name, rate in streams.items()}

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        return _checked(kinds)

    @model_validator(mode="after")
    def _blocks(self) -> Engine:
        if self.block is None and (self.block_cycles is not None or self.step_cycles is not None):
            raise ValueError("block: needed to count what block_cycles and step_cycles are spent on")
        most = self.macs_per_cycle
        for i, other in enumerate(self.also):
            if other.product > most:
                raise ValueError(f"also.{i}: {other.product} multipliers, the array of unroll has {most}")
        return self


def _checked(kinds: tuple[str, ...]) -> tuple[str, ...]:
    for kind in kinds:
        if kind not in KIND_CODE:
            raise ValueError(f"unknown operator {kind!r}; {nearest(kind, KIND_CODE)}")
    return kinds


class LocalMemory(Spec):
    """A memory that the engines read and write, on the chip or beside it."""

    name: str
    """Name, unique in the accelerator."""
    holds: tuple[Literal["weights", "activations"], ...] = Field(min_length=1)
    """What is kept there; the first memory with room takes it."""
    role: Literal["buffer", "store"] = "store"
    """`buffer`: tiles pass through it, twice buffered; `store`: tensors live in it."""
    overlaps: bool = True
    """Whether its transfers run while the engine computes; if not, their cycles add up."""
    size: Annotated[Figure, in_unit("byte")]
    """Bytes."""
    clock: Hertz
    """Clock of its ports."""
    ports: int = Field(default=1, gt=0)
    """Ports that work at the same time."""
    banks: int = Field(default=1, gt=0)
    """Banks."""
    width: Annotated[Figure, in_unit("byte")]
    """Bytes per port and clock, sustained."""
    read_latency: Annotated[Figure, in_unit("cycle")] | None = None
    """Cycles to the first byte of a transfer."""
    read_energy: Annotated[Figure, in_unit("J")] | None = None
    """Energy of reading a byte."""
    write_energy: Annotated[Figure, in_unit("J")] | None = None
    """Energy of writing a byte."""

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """All ports together."""
        return self.width.si * self.ports * self.clock.si


class OperatingPoint(Spec):
    """A clock and the supply of the logic that it takes."""

    clock: Hertz
    """Highest clock at this supply."""
    supply: Annotated[Figure, in_unit("V")]
    """Supply of the logic, behind any regulator."""


class Accelerator(Spec):
    """An accelerator as the cost formulas see it."""

    name: str
    """Key, in kebab case."""
    title: str
    """Name in the data sheet."""
    measured: bool
    """Whether timings of silicon were at hand; if not, the interval must say so."""
    clock: Hertz
    """Clock of the engines."""
    engines: tuple[Engine, ...] = Field(min_length=1)
    """Compute engines; a layer goes to the first that takes it."""
    memories: tuple[LocalMemory, ...] = Field(min_length=1)
    """Memories, nearest first."""
    fused: tuple[str, ...] = ()
    """Operators that run in the pass of the operator before them, at no cost of their own."""
    chained: tuple[str, ...] = ()
    """Operators that take the map of the operator before as it is made: the map between the two is never stored."""
    start_time: Annotated[Figure, in_unit("s")] | None = None
    """Time per inference before the first and after the last operator: start, interrupt, transfer of the input."""
    decoder: Literal["golomb_rice", "zero_map"] | None = None
    """How the weights are encoded: their size then follows from the values that the model carries."""
    decoder_ratio: Annotated[Figure, in_unit("1")] | None = None
    """Weights' bytes in the encoded stream over their plain size, where the weights themselves don't tell."""
    clock_of_core: bool = False
    """Whether its clock is that of the core: a slower core slows it alike."""
    points: tuple[OperatingPoint, ...] = ()
    """Clocks and supplies, rising; between them the supply is interpolated. Its energies hold at its own clock."""
    active_power: Annotated[Figure, in_unit("W")] | None = None
    """Power while it runs that does not depend on what it computes."""
    cycle_energy: Annotated[Figure, in_unit("J")] | None = None
    """Energy of each cycle whatever it computes: clock tree and control."""
    driver: Annotated[Figure, in_unit("cycle")] | None = None
    """Cycles that a core spends to start a run of operators, where the engines' set-up does not contain them."""
    shared_memory: bool = True
    """Whether cores read and write its activations where they lie; if not, a tensor at a border is copied."""
    residuals: tuple[float, ...] = ()
    """ln(measured / predicted) of rows predicted by figures that were fitted without them."""
    residuals_of: str = ""
    """Which rows."""
    silicon_ratio: Annotated[Figure, in_unit("1")] | None = None
    """Measured time over the compiler's estimate, for an Ethos-U whose silicon was timed (`model: measured`)."""
    memory_mode: str = "Shared_Sram"
    """Memory mode of the compiler, unless another is asked for."""
    vela: EthosHardware | None = None
    """Parameters of the compiler's estimate (`model: vela`)."""
    systems: tuple[str, ...] = ()
    """System configurations of the compiler."""
    notes: str = ""
    """What a reader should know."""

    @field_validator("fused", "chained")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        return _checked(kinds)

    @model_validator(mode="after")
    def _consistent(self) -> Accelerator:
        for what, items in (("engines", self.engines), ("memories", self.memories)):
            names = [item.name for item in items]
            if len(set(names)) != len(names):
                raise ValueError(f"{what}: two have one name in {names}")
        for kind in ("weights", "activations"):
            if not any(kind in m.holds and m.role == "store" for m in self.memories):
                raise ValueError(f"memories: no store holds {kind}")
        clocks = [point.clock.si for point in self.points]
        if clocks != sorted(clocks):
            raise ValueError("points: clocks must rise")
        if self.silicon_ratio is not None and self.vela is None:
            raise ValueError("silicon_ratio: of a compiler's estimate, and vela is missing")
        for i, engine in enumerate(self.engines):
            for what, feeder in (("weights", engine.weights_from), ("activations", engine.activations_from)):
                if feeder is not None:
                    self._check_feed(f"engines.{i}.{what}_from", feeder, engine, what)
        return self

    def _check_feed(self, path: str, feeder: str, engine: Engine, what: str) -> None:
        found = {m.name: m for m in self.memories}
        if feeder not in found:
            raise ValueError(f"{path}: no memory {feeder!r}; {nearest(feeder, found)}")
        memory = found[feeder]
        if not (memory.width.known and memory.clock.known and self.clock.known):
            return
        delivered, needed = memory.bandwidth_bytes_per_s / self.clock.si, engine.operand_bytes[what]
        if needed > delivered:
            raise ValueError(
                f"{path}: the array takes {needed:g} B of {what} per cycle, {feeder!r} delivers {delivered:g}"
            )

    def energy_scale(self, clock_hz: float) -> float:
        """Energy at a clock over that at its own: the square of the supplies' ratio, 1 without `points`."""
        if not self.points:
            return 1.0
        clocks, supplies = ([p.clock.si for p in self.points], [p.supply.si for p in self.points])
        here, own = np.interp([clock_hz, self.clock.si], clocks, supplies)
        return float((here / own) ** 2)

    def memory(self, name: str) -> LocalMemory:
        """A memory by name."""
        return next(m for m in self.memories if m.name == name)


def list_accelerators() -> list[str]:
    """Names of the shipped descriptions."""
    return sorted(path.stem for path in (spec_folder() / "accelerators").glob("*.yaml"))


def load_accelerator(accelerator: str | Path | Accelerator) -> Accelerator:
    """An accelerator by name, or from a YAML file.

    Raises:
        UnknownDevice: neither a name of the library nor a file; the message offers the nearest names.
        SpecError: the file is wrong; the message names the field.

    >>> load_accelerator("ethos-u55-128").engines[0].macs_per_cycle
    128
    """
    if isinstance(accelerator, Accelerator):
        return accelerator
    text = str(accelerator)
    path = Path(text) if text.endswith((".yaml", ".yml")) else spec_folder() / "accelerators" / f"{text.lower()}.yaml"
    if not path.is_file():
        raise UnknownDevice(f"unknown accelerator {text!r}; {nearest(text, list_accelerators())}")
    return _load(path)


@cache
def _load(path: Path) -> Accelerator:
    return validated(Accelerator, _merged(path), path.name)


def _merged(path: Path) -> dict[str, Any]:
    """The fields of a file; `like: name` takes those it leaves out from another description."""
    data = read_yaml(path)
    like = data.pop("like", None)
    if like is None:
        return data
    base = spec_folder() / "accelerators" / f"{like}.yaml"
    if not base.is_file():
        raise UnknownDevice(
            f"{path.name}: like: unknown accelerator {like!r}; {nearest(str(like), list_accelerators())}"
        )
    return _over(_merged(base), data)


def _over(base: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """`data` over `base`, mapping by mapping; a figure (a mapping with a value) is replaced whole."""
    merged = dict(base)
    for key, value in data.items():
        deeper = isinstance(value, dict) and isinstance(base.get(key), dict) and "value" not in value
        merged[key] = _over(base[key], value) if deeper else value
    return merged
