"""`Target`: a device, a clock and a runtime, resolved to the plain numbers that the cost formulas take."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Literal, get_args

from tinysim.cost.energy import EnergyPrices
from tinysim.cost.latency import MemoryPath, StackFactors
from tinysim.cost.timing import CoreTiming
from tinysim.deploy.prices import energy_prices
from tinysim.device.calibration import Calibration, calibration_files, load_calibration
from tinysim.device.library import is_shipped, load_device, load_runtime
from tinysim.device.spec import Core, Device, Memory, Runtime
from tinysim.errors import SpecError, UnknownRuntime, nearest

__all__ = ["Placement", "Spread", "Target", "resolve_target"]

What = Literal["code", "weights", "activations"]

#: Fraction of a wait state that a core sees where no measurement says otherwise.
_EXPOSURE = {"weights": 1.0, "code": 0.1, "activations": 1.0}


@dataclass(frozen=True)
class Placement:
    """Which memory holds what."""

    code: Memory
    weights: Memory
    activations: Memory


@dataclass(frozen=True)
class Spread:
    """What the intervals are made of."""

    residuals: tuple[float, ...]
    """Out-of-fold ln(measured / predicted) of the most similar calibrated rows."""
    basis: str
    """Whose residuals they are, and how similar that is."""
    widening: float = 1.0
    """Factor on the residuals where nothing similar enough was measured."""


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
    spread: Spread
    gaps: tuple[str, ...] = ()
    """Figures that are unknown and what they withhold."""


def resolve_target(
    device: str | Device,
    runtime: str | None = None,
    *,
    clock_hz: float | None = None,
    code_in: str | None = None,
    weights_in: str | None = None,
    activations_in: str | None = None,
) -> Target:
    """Resolve a device and a runtime.

    Args:
        device: name, path of a YAML file, or `Device`.
        runtime: name; the device's first one if None.
        clock_hz: core clock [Hz]; the device's if None.
        code_in: memory of the code by name; the device's default if None.
        weights_in: memory of the weights.
        activations_in: memory of the activations.

    Raises:
        UnknownDevice, UnknownRuntime: no such name, or a runtime that the device lacks.
        SpecError: a clock above the device's, or a memory that does not exist.
    """
    board = load_device(device)
    key = (runtime, clock_hz, code_in, weights_in, activations_in)
    return _resolved(board.name, key) if is_shipped(board) else _resolve(board, *key)


@lru_cache(maxsize=256)
def _resolved(name: str, key: tuple[str | None, float | None, str | None, str | None, str | None]) -> Target:
    return _resolve(load_device(name), *key)


def _resolve(
    board: Device,
    runtime: str | None,
    clock_hz: float | None,
    code_in: str | None,
    weights_in: str | None,
    activations_in: str | None,
) -> Target:
    stack = _runtime_of(board, runtime)
    clock = board.clock.si if clock_hz is None else clock_hz
    if not 0 < clock <= board.clock.si * 1.001:
        raise SpecError(
            f"{board.name}: clock {clock / 1e6:g} MHz is outside 0 to {board.clock.si / 1e6:g} MHz of the specification"
        )
    placement = Placement(
        code=_memory(board, "code", code_in),
        weights=_memory(board, "weights", weights_in),
        activations=_memory(board, "activations", activations_in),
    )
    own = load_calibration(board.name)
    stack_fit, spread = _stack_fit(stack, board)
    prices, gaps = energy_prices(
        board, stack, clock, code=placement.code, weights=placement.weights, activations=placement.activations
    )
    return Target(
        device=board,
        runtime=stack,
        core=board.core,
        timing=CoreTiming(**{name: figure.si for name, figure in board.core.timing.items()}),
        fpu=board.fpu,
        clock_hz=clock,
        placement=placement,
        factors=_factors(stack_fit),
        weights=_path(board, placement.weights, "weights", clock, own),
        code=_path(board, placement.code, "code", clock, own),
        activations=_path(board, placement.activations, "activations", clock, own),
        prices=prices,
        spread=spread,
        gaps=gaps,
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


def _path(board: Device, memory: Memory, what: What, clock_hz: float, own: Calibration | None) -> MemoryPath:
    cache = memory.instruction_cache if what == "code" else memory.data_cache
    exposure = own.parameters.get(f"{what}_exposure") if own is not None else None
    return MemoryPath(
        wait_cycles=memory.wait_cycles(clock_hz, board.voltage_range),
        line_bytes=float(memory.line_bytes),
        cache_bytes=cache.size.si if cache is not None else 0.0,
        exposure=exposure.si if exposure is not None else _EXPOSURE[what],
    )


def _stack_fit(stack: Runtime, board: Device) -> tuple[Calibration | None, Spread]:
    """The fit of this runtime on this core, or of the nearest one, and what its residuals are worth."""
    core = board.core.name
    exact = load_calibration(f"{stack.name}@{core}")
    if exact is not None:
        return exact, Spread(exact.residuals, f"{stack.name} on {core}, {exact.split}")
    family = stack.name.rstrip("0123456789.").rstrip("-")
    for subject in calibration_files():
        if subject.startswith(family) and subject.endswith(f"@{core}"):
            near = load_calibration(subject)
            if near is not None:
                return near, Spread(near.residuals, f"{subject}, another version of the stack", widening=2.0)
    return None, Spread((), f"nothing measured with {stack.name} on {core}", widening=1.0)


def _factors(fit: Calibration | None) -> StackFactors:
    if fit is None:
        return StackFactors()
    names = {f.name for f in fields(StackFactors)}
    return StackFactors(**{name: figure.si for name, figure in fit.parameters.items() if name in names})


assert set(_EXPOSURE) == set(get_args(What))
