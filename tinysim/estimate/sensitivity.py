"""`Estimate.sensitivity`: what one per cent of each figure is worth, by pricing the deployment again with it changed.

One figure changes at a time; placement, arena and partition stay. Figures of a memory act on all that lives there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from tinysim.cost.latency import MemoryPath, StackFactors
from tinysim.cost.timing import CoreTiming
from tinysim.deploy.deployment import Deployment
from tinysim.deploy.prices import energy_prices
from tinysim.errors import InputError, SpecError
from tinysim.estimate.clock import at_clock
from tinysim.estimate.engine import estimate_deployment

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from tinysim.deploy.target import Target
    from tinysim.device.spec import Memory
    from tinysim.estimate.result import Estimate

__all__ = ["FigureEffect", "Sensitivity", "sensitivity"]

#: What a figure of a memory path is called, and its unit.
_PATH = {
    "wait_cycles": ("wait states", "cycle"),
    "line_bytes": ("bus width (bytes per access)", "B"),
    "cache_bytes": ("cache size", "B"),
    "exposure": ("share of the waits that shows", "1"),
}
_WORK = {
    "conv": "kernels' cycles over counted, convolutions",
    "conv_1d": "kernels' cycles over counted, 1 x k convolutions",
    "stem": "kernels' cycles over counted, convolutions of few channels",
    "mono_stem": "kernels' cycles over counted, convolutions of one channel",
    "pointwise": "kernels' cycles over counted, 1 x 1 convolutions",
    "depthwise": "kernels' cycles over counted, depthwise convolutions",
    "matmul": "kernels' cycles over counted, matrix products",
    "other": "kernels' cycles over counted, other operators",
    "per_output": "kernels' cycles over counted, work per output of a convolution",
    "op_overhead_cycles": "overhead per operator",
    "inference_overhead_cycles": "overhead per inference",
}
_TIMING = {
    "load": "load",
    "store": "store",
    "mac": "multiply-accumulate",
    "mul": "multiplication",
    "alu": "other arithmetic",
    "div": "division",
    "branch": "branch",
    "branch_taken": "taken branch, further cycles",
    "vector": "vector instruction, further cycles",
    "extra_word": "further word of a load or store",
}
_ROLES = ("weights", "code", "activations")


@dataclass(frozen=True)
class FigureEffect:
    """What a change of one figure does to an inference."""

    part: str
    """the core, a memory, the runtime, the supply or the accelerator"""
    figure: str
    value: float
    """before the change, in `unit`"""
    unit: str
    latency_change: float
    """relative change of latency for a relative change of the figure by `step` [1]"""
    energy_change: float | None
    """the same of energy; None if it is unknown"""
    note: str = ""
    """what else changed with it"""


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Effects of every figure on one inference, the largest on latency first."""

    title: str
    step: float
    """relative change of each figure, one at a time [1]"""
    rows: tuple[FigureEffect, ...]

    def to_frame(self) -> pd.DataFrame:
        """A row per figure; changes are relative [1]."""
        import pandas as pd

        names = [f.name for f in fields(FigureEffect)]
        frame = pd.DataFrame([asdict(row) for row in self.rows], columns=names)
        return frame.astype({"energy_change": "float64"})

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        return {"title": self.title, "step": self.step, "figures": [asdict(row) for row in self.rows]}

    def plot(self, ax: Axes | None = None, *, top: int = 12) -> Axes:
        """Bars of the `top` figures: change of latency and of energy. Needs matplotlib (extra ``plot``)."""
        from tinysim.estimate.pictures import tornado

        return tornado(self, ax, top)

    def __repr__(self) -> str:
        acting = [row for row in self.rows if row.latency_change][:3]
        said = ", ".join(f"{row.part} {row.figure} {row.latency_change:+.2%}" for row in acting)
        return (
            f"Sensitivity({self.title}: {self.step * 100:+.3g} % of a figure changes latency by: {said or 'nothing'})"
        )


Change = Callable[[Deployment, float], Deployment]


@dataclass(frozen=True)
class _Knob:
    part: str
    figure: str
    value: float
    unit: str
    changed: Change
    """(deployment, factor on the figure) -> the deployment with it"""
    note: str = ""


def sensitivity(estimate: Estimate, step: float = 0.01) -> Sensitivity:
    """Effect of a relative change of every figure on latency and energy, one figure at a time.

    step: relative change, above -1; 0.01 for one per cent more, 1.0 for twice, -0.5 for half. A clock takes the wait
    states that the memories' tables give it, which the note then says. What the model refuses at that step is left out.

    Raises:
        InputError: a step that is 0, not above -1 or not finite.
    """
    if not (math.isfinite(step) and step > -1 and step != 0):
        raise InputError(f"step {step!r} of sensitivity must be above -1 and not 0, for example 0.01 for 1 %")
    before = estimate.deployment
    rows = []
    for knob in _knobs(before):
        try:
            after = knob.changed(before, 1 + step)
        except SpecError:  # for example a supply above what is plausible
            continue
        priced = estimate_deployment(after)
        latency = _relative(estimate.latency_s, priced.latency_s)
        known = estimate.energy_j is not None and priced.energy_j is not None
        energy = _relative(estimate.energy_j or 0.0, priced.energy_j or 0.0) if known else None
        note = knob.note or (_note(before.target, after.target) if knob.figure == "clock" else "")
        rows.append(FigureEffect(knob.part, knob.figure, knob.value, knob.unit, latency, energy, note))
    rows.sort(key=lambda row: (-abs(row.latency_change), -abs(row.energy_change or 0.0)))
    title = f"{estimate.network} on {estimate.device} with {estimate.runtime}"
    return Sensitivity(title, step, tuple(rows))


def _relative(before: float, after: float) -> float:
    """Change relative to before; 0 where it is rounding."""
    change = after / before - 1 if before else 0.0
    return change if abs(change) > 1e-12 else 0.0


def _note(before: Target, after: Target) -> str:
    moved = [
        f"{getattr(before.placement, role).name} waits {getattr(before, role).wait_cycles:g} -> "
        f"{getattr(after, role).wait_cycles:g} cycles"
        for role in _ROLES
        if getattr(before, role).wait_cycles != getattr(after, role).wait_cycles
    ]
    return "; ".join(dict.fromkeys(moved))


def _knobs(deployment: Deployment) -> Iterator[_Knob]:
    """Every figure that is not zero."""
    target = deployment.target
    core = target.core.name
    yield _Knob(core, "clock", target.clock_hz, "Hz", lambda d, f: _on(d, at_clock(d.target, d.target.clock_hz * f)))
    for cls, name, part, words, unit in (
        (CoreTiming, "timing", core, _TIMING, "cycle"),
        (StackFactors, "factors", target.runtime.name, _WORK, "1"),
    ):
        for field in fields(cls):
            value = float(getattr(getattr(target, name), field.name))
            if value:
                in_unit = "cycle" if field.name.endswith("_cycles") else unit
                yield _Knob(part, words.get(field.name, field.name), value, in_unit, _scaled(name, field.name))
    yield from _memory_knobs(target)
    memory = target.placement.activations
    if memory.size.known:
        note = f"the arena takes {deployment.arena.peak_bytes / memory.size.si:.0%} of it"
        yield _Knob(memory.name, "size", memory.size.si, "B", _resized, note)
    yield from _power_knobs(target)
    yield from _accelerator_knobs(deployment)


def _scaled(group: str, field: str) -> Change:
    """Scale one number of the target."""

    def change(deployment: Deployment, factor: float) -> Deployment:
        part = getattr(deployment.target, group)
        changed = replace(part, **{field: getattr(part, field) * factor})
        return _on(deployment, replace(deployment.target, **{group: changed}))

    return change


def _memory_knobs(target: Target) -> Iterator[_Knob]:
    """Figures of the memories in use; one of a memory with two tenants changes for both, a fitted share for one."""
    for field in fields(MemoryPath):
        groups: dict[tuple[str, ...], list[str]] = {}
        for role in _ROLES:
            memory = getattr(target.placement, role)
            if field.name == "cache_bytes":
                key = (memory.name, "instruction cache size" if role == "code" else "data cache size")
            elif field.name == "exposure":
                key = (memory.name, f"{_PATH[field.name][0]}, {role}")
            else:
                key = (memory.name, _PATH.get(field.name, (field.name.replace("_", " "), ""))[0])
            groups.setdefault(key, []).append(role)
        for (memory_name, figure), roles in groups.items():
            value = getattr(getattr(target, roles[0]), field.name)
            waits = any(getattr(target, role).wait_cycles for role in roles)
            if not isinstance(value, float | int) or not value or not waits:
                continue
            unit = _PATH.get(field.name, ("", "1"))[1]
            yield _Knob(memory_name, figure, float(value), unit, _scaled_paths(field.name, tuple(roles)))


def _scaled_paths(field: str, roles: tuple[str, ...]) -> Change:
    def change(deployment: Deployment, factor: float) -> Deployment:
        target = deployment.target
        paths = {role: getattr(target, role) for role in roles}
        changed = {role: replace(path, **{field: getattr(path, field) * factor}) for role, path in paths.items()}
        return _on(deployment, replace(target, **changed))

    return change


def _power_knobs(target: Target) -> Iterator[_Knob]:
    prices = target.prices
    if prices is None or target.device.power is None:
        return
    volts = target.device.power.supply.si if prices.supply_v is None else prices.supply_v
    yield _Knob("supply", "voltage", volts, "V", lambda d, f: _repriced(d, supply_v=volts * f))
    for field, figure in (("power_w", "power while running"), ("static_w", "power that flows whatever runs")):
        yield _Knob("supply", figure, float(getattr(prices, field)), "W", _scaled("prices", field))
    if prices.instruction_share:
        share = float(prices.instruction_share)
        figure = "share of the power that follows instructions"
        yield _Knob(target.core.name, figure, share, "1", _scaled("prices", "instruction_share"))


def _resized(deployment: Deployment, factor: float) -> Deployment:
    """Activations in a larger memory, whose accesses cost more."""
    memory = deployment.target.placement.activations
    size = memory.size.model_copy(update={"value": (memory.size.value or 0.0) * factor})
    return _repriced(deployment, activations=memory.model_copy(update={"size": size}))


def _repriced(
    deployment: Deployment, *, supply_v: float | None = None, activations: Memory | None = None
) -> Deployment:
    target = deployment.target
    place, prices = target.placement, target.prices
    if prices is None:
        return deployment
    changed, _ = energy_prices(
        target.device,
        target.runtime,
        target.clock_hz,
        code=place.code,
        weights=place.weights,
        activations=activations or place.activations,
        supply_v=prices.supply_v if supply_v is None else supply_v,
        temperature_c=prices.temperature_c,
        regulator=prices.regulator,
    )
    return _on(deployment, replace(target, prices=changed))


def _accelerator_knobs(deployment: Deployment) -> Iterator[_Knob]:
    if deployment.offload is None:
        return
    from tinysim.deploy.offload.plan import repriced  # most boards never need it

    spec = deployment.offload.engine.spec

    def clocked(d: Deployment, factor: float) -> Deployment:
        clock = spec.clock.model_copy(update={"value": (spec.clock.value or 0.0) * factor})
        return repriced(d, accelerator=spec.model_copy(update={"clock": clock}))

    def resized(position: int, field: str) -> Change:
        def change(d: Deployment, factor: float) -> Deployment:
            memory = spec.memories[position]
            figure = getattr(memory, field)
            figure = figure.model_copy(update={"value": figure.value * factor})
            memories = list(spec.memories)
            memories[position] = memory.model_copy(update={field: figure})
            return repriced(d, accelerator=spec.model_copy(update={"memories": tuple(memories)}))

        return change

    yield _Knob(spec.name, "clock", spec.clock.si, "Hz", clocked)
    if deployment.offload.engine.model == "vela":
        return  # whose memories are those of the compiler's configuration
    for position, memory in enumerate(spec.memories):
        for field, figure in (("width", "bus width (bytes per clock)"), ("size", "size")):
            value = getattr(memory, field)
            if value.known:
                yield _Knob(f"{spec.name} {memory.name}", figure, value.si, "B", resized(position, field))


def _on(deployment: Deployment, target: Target) -> Deployment:
    """The deployment on a changed target, its partition kept."""
    if deployment.offload is None:
        return replace(deployment, target=target)
    from tinysim.deploy.offload.plan import repriced

    return repriced(deployment, target=target)
