"""`Target`: a device, a clock and a runtime, resolved to the plain numbers that the cost formulas take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tinysim.cost.energy import EnergyPrices
from tinysim.cost.latency import MemoryPath, Real, StackFactors
from tinysim.cost.timing import CoreTiming
from tinysim.deploy.prices import Regulator, energy_prices
from tinysim.device.effects import (
    INFERENCE_OVERHEAD_CYCLES,
    OP_OVERHEAD_CYCLES,
    WEIGHTS_IN_RAM,
    WORK,
    coefficients,
    levels_of,
    read_effects,
    shipped_effects,
)
from tinysim.device.library import is_shipped, load_device, load_runtime
from tinysim.device.spec import Core, Device, Memory, Runtime
from tinysim.errors import SpecError, UnknownRuntime, nearest

if TYPE_CHECKING:
    from tinysim.cost.accelerator.spec import Accelerator
    from tinysim.network.table import LayerTable

__all__ = [
    "Options",
    "Placement",
    "Target",
    "is_timed",
    "path_to",
    "precision_of",
    "precision_of_bits",
    "resolve_target",
]

What = Literal["code", "weights", "activations"]


@dataclass(frozen=True)
class Options:
    """What a user may choose beyond device and runtime; None means the device's or the runtime's own."""

    clock_hz: float | None = None
    """core clock [Hz]"""
    code_in: str | None = None
    """memory of the code, by name"""
    weights_in: str | None = None
    """memory of the weights"""
    activations_in: str | None = None
    """memory of the activations"""
    precision: str = "int8"
    """int8, int16x8 or float32: which fitted factors apply (`deploy` reads it off the network)"""
    build: str = ""
    """how the build differs: compiler level (``-Os``, ``-O3+dcheck``), ``nofpu``, and names of measured builds"""
    supply_v: float | None = None
    """supply voltage [V]"""
    temperature_c: float | None = None
    """junction temperature [degC]"""
    regulator: Regulator | None = None
    """converter between supply and core: ldo, smps or none"""
    calibration: str | None = None
    """file of effects that replace shipped ones (written by `tinysim calibrate`)"""


@dataclass(frozen=True)
class Placement:
    """Which memory holds what."""

    code: Memory
    weights: Memory
    activations: Memory


@dataclass(frozen=True)
class Target:
    """Everything that prices a layer table on one device with one runtime."""

    device: Device
    runtime: Runtime
    core: Core
    timing: CoreTiming
    fpu: bool
    """whether float kernels may use an FPU"""
    clock_hz: float
    placement: Placement
    factors: StackFactors
    weights: MemoryPath
    code: MemoryPath
    activations: MemoryPath
    prices: EnergyPrices | None
    """None if the board's currents are unknown; energy is withheld then."""
    levels: Mapping[str, str]
    """Family, stack, precision, build, core, die, board: whose effects the coefficients are made of."""
    ln_coefficients: Mapping[str, float]
    """Logarithm of the fitted coefficient of each feature."""
    gaps: tuple[str, ...] = ()
    """Figures that are unknown and what they withhold."""
    options: Options = Options()
    """What was chosen beyond device and runtime."""
    accelerator: Accelerator | None = None
    """Description in place of that which the device names; a design to be."""

    @property
    def once_cycles(self) -> int:
        """Core cycles per inference outside the operators, all of them on the core."""
        return round(float(self.factors.inference_overhead_cycles))


def resolve_target(device: str | Device, runtime: str | None = None, **options: Any) -> Target:
    """Resolve a device and a runtime.

    Args:
        device: name, path of a YAML file, or `Device`.
        runtime: name; the device's first one if None.
        **options: fields of `Options`.

    Raises:
        UnknownDevice, UnknownRuntime: no such name, or a runtime that the device lacks.
        SpecError: a clock above the device's, a memory that does not exist, or an option that does not exist.
    """
    board = load_device(device)
    try:
        chosen = Options(**options)
    except TypeError as error:
        names = [f.name for f in fields(Options)]
        unknown = next(name for name in options if name not in names)
        raise SpecError(f"unknown option {unknown!r}; {nearest(unknown, names)}") from error
    # A calibration file may change between calls, and so may a board that is not the library's.
    keep = is_shipped(board) and chosen.calibration is None
    return _resolved(board.name, runtime, chosen) if keep else _resolve(board, runtime, chosen)


def precision_of(table: LayerTable) -> str:
    """The number format of a network: that of its widest layer with weights.

    A layer of 32-bit activations is float32, one of 16 bits int16x8.
    """
    weighted = table.is_family("conv", "matmul", "recurrent")
    return precision_of_bits(int(table.activation_bits[weighted].max(initial=8)))


def precision_of_bits(bits: int) -> str:
    """The number format of a network whose widest layer with weights has activations of so many bits."""
    return "float32" if bits > 16 else "int16x8" if bits > 8 else "int8"


@lru_cache(maxsize=512)
def _resolved(name: str, runtime: str | None, options: Options) -> Target:
    return _resolve(load_device(name), runtime, options)


def _resolve(board: Device, runtime: str | None, options: Options) -> Target:
    stack = _runtime_of(board, runtime)
    words = options.build.split()
    stack = stack.model_copy(
        update={
            "library": stack.library_on.get(board.core.name, stack.library),
            "opt": stack.opt_on.get(board.core.name, {}).get(options.precision, stack.opt),
        }
    )
    for level in (word for word in words if word.startswith("-O")):
        stack = stack.model_copy(update={"opt": level})
    if "reference" in words:
        stack = stack.model_copy(update={"library": "tflm-reference"})
    if "armclang" in words and stack.library == "cmsis-nn":
        stack = stack.model_copy(update={"library": "cmsis-nn-armclang"})
    clock = board.clock.si if options.clock_hz is None else options.clock_hz
    if not 0 < clock <= board.clock.si * 1.001:
        raise SpecError(
            f"{board.name}: clock {clock / 1e6:g} MHz is outside 0 to {board.clock.si / 1e6:g} MHz of the specification"
        )
    weights_in = options.weights_in
    if weights_in is None and not WEIGHTS_IN_RAM.isdisjoint(words):
        weights_in = board.memory_for("activations").name
    placement = Placement(
        code=_memory(board, "code", options.code_in),
        weights=_memory(board, "weights", weights_in),
        activations=_memory(board, "activations", options.activations_in),
    )
    effects = shipped_effects()
    if options.calibration is not None:
        effects = {**effects, **read_effects(Path(options.calibration))}
    levels = levels_of(stack, board, precision=options.precision, build=options.build)
    fitted_ln = coefficients(levels, effects)
    fitted = {name: math.exp(value) for name, value in fitted_ln.items()}
    prices, gaps = energy_prices(
        board,
        stack,
        clock,
        code=placement.code,
        weights=placement.weights,
        activations=placement.activations,
        supply_v=options.supply_v,
        temperature_c=options.temperature_c,
        regulator=options.regulator,
    )
    return Target(
        device=board,
        runtime=stack,
        core=board.core,
        timing=CoreTiming(**{name: figure.si for name, figure in board.core.timing.items()}),
        fpu=board.fpu and "nofpu" not in words,
        clock_hz=clock,
        placement=placement,
        factors=StackFactors(
            **{name: fitted[name] for name in WORK},
            op_overhead_cycles=OP_OVERHEAD_CYCLES * fitted["op_overhead"],
            inference_overhead_cycles=INFERENCE_OVERHEAD_CYCLES * fitted["inference_overhead"],
        ),
        weights=_path(board, placement.weights, "weights", clock, fitted["weights_stall"]),
        code=_path(board, placement.code, "code", clock, fitted["code_stall"]),
        activations=_path(board, placement.activations, "activations", clock, fitted["activations_stall"]),
        prices=prices,
        levels=levels,
        ln_coefficients=fitted_ln,
        gaps=gaps,
        options=options,
    )


def _runtime_of(board: Device, name: str | None) -> Runtime:
    if name is None:
        return load_runtime(board.runtimes[0])
    stack = load_runtime(name)
    if name not in board.runtimes:
        raise UnknownRuntime(
            f"device {board.name} has no runtime {name!r}; {nearest(name, board.runtimes)} "
            f"(it has {', '.join(board.runtimes)})"
        )
    return stack


def _memory(board: Device, what: What, name: str | None) -> Memory:
    if name is None:
        return board.memory_for(what)
    names = [m.name for m in board.memories]
    if name not in names:
        raise SpecError(f"device {board.name} has no memory {name!r} for {what}; {nearest(name, names)}")
    return board.memory(name)


def _path(board: Device, memory: Memory, what: What, clock_hz: float, exposure: Real) -> MemoryPath:
    cache = memory.instruction_cache if what == "code" else memory.data_cache
    return MemoryPath(
        wait_cycles=memory.wait_cycles(clock_hz, board.voltage_range),
        line_bytes=float(memory.line_bytes),
        cache_bytes=cache.size.si if cache is not None else 0.0,
        exposure=exposure,
    )


def is_timed(memory: Memory) -> bool:
    """Whether the latency of a memory is known: on the chip none means none, outside it means unknown."""
    return not memory.external or bool(memory.wait_states) or memory.read_latency is not None


def path_to(target: Target, memory: Memory, what: What) -> MemoryPath:
    """Path to a memory of the target's board at its clock; that of the target's own placement if it is not timed."""
    own: MemoryPath = getattr(target, what)
    if memory.name == getattr(target.placement, what).name or not is_timed(memory):
        return own
    return _path(target.device, memory, what, target.clock_hz, own.exposure)
