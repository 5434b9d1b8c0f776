"""Does a network fit a board, and if not, what would make it fit, at which price?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from tinysim.deploy.costs import LayerCosts, layer_costs
from tinysim.deploy.flash import flash_use
from tinysim.deploy.layout import holders, room, stores
from tinysim.deploy.memory import MemoryPolicy, MemorySchedule, cheapest_schedule, memory_schedules, plan_arena
from tinysim.deploy.memory.in_place import IN_PLACE_RULES
from tinysim.deploy.place import fastest_layout
from tinysim.deploy.policy import arena_policy
from tinysim.deploy.schedule_time import schedule_extra_s
from tinysim.deploy.target import Target, is_timed, precision_of, resolve_target
from tinysim.errors import InputError, NetworkError, UnsupportedOperator
from tinysim.network.graph import Network
from tinysim.network.load import load_network
from tinysim.network.transforms.quantize import quantize
from tinysim.network.transforms.scale import scale_resolution, scale_width
from tinysim.quantities import parse_quantity

if TYPE_CHECKING:
    from tinysim.deploy.deployment import Deployment
    from tinysim.device.spec import Device, Memory

__all__ = [
    "Remedy",
    "fit_memory",
    "flash_remedies",
    "flash_ways_out",
    "misfits",
    "remedies",
    "speedups",
    "too_small",
    "ways_out",
]

#: shares of the input's height and width that are tried
_RESOLUTIONS = (0.75, 0.5)
#: shares of the channels that are tried
_WIDTHS = (0.75, 0.5, 0.35, 0.25)
_IN_PLACE = frozenset({"view", "elementwise", "depthwise", "pool"})


@dataclass(frozen=True, slots=True)
class Remedy:
    """A way to need less of a memory, or less time."""

    what: str
    peak_bytes: int
    """arena (or model and code) with it, 0 if it moves to another memory"""
    extra_latency_s: float | None
    """time that an inference takes more, below 0 if it gains; None if it cannot be priced"""
    price: str
    """what else it takes"""
    changes_result: bool = False
    """whether the network's accuracy changes"""

    def __str__(self) -> str:
        size = f"{self.peak_bytes:,} B" if self.peak_bytes else "all of it"
        time = ", time unknown" if self.extra_latency_s is None else f", {self.extra_latency_s * 1e3:+.3g} ms"
        return f"{self.what} ({size}{time})"


@dataclass(slots=True)
class _Held:
    """What lies in one memory [B]."""

    memory: Memory
    arena: int = 0
    stored: int = 0
    """model and code"""

    @property
    def misses(self) -> bool:
        return self.arena + self.stored > room(self.memory)

    def __str__(self) -> str:
        has = f"of {self.memory.name}, which has {room(self.memory):,.0f} B"
        if self.arena and self.stored:
            parts = f"({self.arena:,} + {self.stored:,})"
            return f"the arena with model and code needs {self.arena + self.stored:,} B {parts} {has}"
        return f"the {'arena' if self.arena else 'model and code'} needs {self.arena + self.stored:,} B {has}"


def _held(deployment: Deployment) -> dict[str, _Held]:
    """By memory, what lies in it."""
    layout, flash = deployment.layout, deployment.flash.total_bytes
    held: dict[str, _Held] = {}

    def of(memory: Memory) -> _Held:
        return held.setdefault(memory.name, _Held(memory))

    for pool in layout.pools:
        of(pool.memory).arena += pool.peak_bytes
    of(layout.code).stored += 0 if flash is None else flash - deployment.flash.model_bytes
    for memory, n_bytes in layout.stored(deployment.flash.model_bytes, deployment.table.weight_bytes):
        of(memory).stored += n_bytes
    return held


def misfits(deployment: Deployment) -> tuple[str, ...]:
    """What does not fit its memory, in sentences that name memory, need and have; empty if all fits.

    Arena, model and code count together where they share a memory.
    """
    return tuple(str(held) for held in _held(deployment).values() if held.misses)


def too_small(deployment: Deployment) -> tuple[bool, bool]:
    """Whether a memory is too small for the arena and what lies beside it, and whether one is for model or code."""
    wrong = [held for held in _held(deployment).values() if held.misses]
    return any(held.arena for held in wrong), any(held.stored for held in wrong)


def ways_out(deployment: Deployment, *, count: int = 3) -> tuple[Remedy, ...]:
    """The cheapest remedies after which the arena fits, results unchanged first; the smallest if none suffices."""
    return _cheapest(list(remedies(deployment)), _arena_room(deployment), count)


def flash_ways_out(deployment: Deployment, *, count: int = 3) -> tuple[Remedy, ...]:
    """The same for model and code in their memory."""
    memory = deployment.target.placement.weights
    beside = _held(deployment).get(memory.name, _Held(memory))
    return _cheapest(list(flash_remedies(deployment)), room(memory) - beside.arena, count)


def _arena_room(deployment: Deployment) -> float:
    """What model and code leave to the arena of the memory where the linker script puts it [B]."""
    memory = deployment.target.placement.activations
    return room(memory) - _held(deployment).get(memory.name, _Held(memory)).stored


def _cheapest(known: list[Remedy], limit: float, count: int) -> tuple[Remedy, ...]:
    fitting = [r for r in known if r.peak_bytes <= limit]
    if not fitting:
        return tuple(sorted(known, key=lambda r: r.peak_bytes)[:count])

    def dearer(r: Remedy) -> tuple[bool, bool, float, int]:
        return r.changes_result, r.extra_latency_s is None, r.extra_latency_s or 0.0, r.peak_bytes

    return tuple(sorted(fitting, key=dearer)[:count])


def remedies(deployment: Deployment) -> Iterator[Remedy]:
    """Everything that lowers the arena: order, in-place kernels, planner, partial execution, memory, resolution."""
    network, policy = deployment.network, deployment.arena.policy
    have = deployment.arena.peak_bytes
    costs = _costs(deployment.network, deployment.target)
    latency = None if costs is None else costs.latency_s
    limit = _arena_room(deployment)
    # an arena that fits again no longer waits for the memory it moved to
    gain = _stalls_of_moving(deployment, latency)

    def cost_of(schedule: MemorySchedule) -> float:
        return schedule.overhead if costs is None else schedule_extra_s(schedule, costs, deployment.target)

    for schedule in _best_of_each_kind(network, policy, limit, cost_of):
        if schedule.peak_bytes < have:
            extra = None if costs is None else cost_of(schedule) - gain * (schedule.peak_bytes <= limit)
            price = "none at run time" if schedule.kind == "reordered" else "kernels that work on parts of tensors"
            yield Remedy(schedule.detail, schedule.peak_bytes, extra, price)
    better = (
        ("in-place kernels", replace(policy, in_place=policy.in_place | _IN_PLACE), "other kernels"),
        ("a planner that finds the least arena", replace(policy, planner="optimum"), "a plan made offline"),
    )
    assert IN_PLACE_RULES.keys() >= _IN_PLACE
    for what, other, price in better:
        peak = plan_arena(network, other).peak_bytes
        if peak < have:
            yield Remedy(what, peak, 0.0 - gain * (peak <= limit), price)
    yield from _other_memories(deployment, latency, "activations", have)
    yield from _smaller_inputs(deployment, latency)


def _best_of_each_kind(
    network: Network, policy: MemoryPolicy, limit: float, price: Callable[[MemorySchedule], float]
) -> list[MemorySchedule]:
    """Of each kind the one of least price that fits, else the smallest; of patches the best 2 x 2 too."""
    best: dict[tuple[str, int], tuple[tuple[bool, float, float], MemorySchedule]] = {}
    for s in memory_schedules(network, policy):
        fits = s.peak_bytes <= limit
        worse = (not fits, price(s), s.peak_bytes) if fits else (not fits, s.peak_bytes, s.overhead)
        for key in ((s.kind, 0), (s.kind, 4))[: 2 if (s.rows, s.columns) == (2, 2) else 1]:
            if key not in best or worse < best[key][0]:
                best[key] = worse, s
    chosen = {s.detail: s for (kind, _), (_, s) in best.items() if kind != "layers"}
    return list(chosen.values())


def _stalls_of_moving(deployment: Deployment, latency: np.ndarray | None) -> float:
    """Time that the deployment takes more than with everything where the linker script puts it [s]."""
    if latency is None or deployment.offload is not None:
        return 0.0
    return max(0.0, float(deployment.costs.latency_s.sum() - latency.sum()))


def flash_remedies(deployment: Deployment) -> Iterator[Remedy]:
    """Everything that lowers the model's memory: another store, 8-bit weights, fewer channels."""
    network, target, flash = deployment.network, deployment.target, deployment.flash
    latency = _latencies(network, target)
    yield from _other_memories(deployment, latency, "weights", flash.model_bytes)
    smaller: list[tuple[str, Callable[[], Network]]] = [
        (f"{share:.0%} of the channels", partial(scale_width, network, share)) for share in _WIDTHS
    ]
    if precision_of(deployment.table) == "float32":
        smaller.insert(0, ("8-bit weights and activations", partial(quantize, network, "int8")))
    for what, make in smaller:
        try:
            other = make()
        except NetworkError:
            continue  # an operator that has no such variant: no remedy
        use = flash_use(other, target.runtime)
        there = _latencies(other, target)
        extra = None if there is None or latency is None else float(there.sum() - latency.sum())
        size = use.model_bytes if use.total_bytes is None else use.total_bytes
        yield Remedy(what, size, extra, "accuracy, not predicted", True)


def speedups(deployment: Deployment) -> Iterator[Remedy]:
    """Placements that cost RAM and save time: code and weights in the memories where they wait least."""
    if deployment.offload is not None:
        return
    arena, flash, target, table = deployment.arena, deployment.flash, deployment.target, deployment.table
    found = fastest_layout(deployment.network, table, deployment.priced, arena, flash, target)
    there = layer_costs(table, target, deployment.priced, layout=found)
    gain = float(deployment.costs.latency_s.sum() - there.latency_s.sum())
    if gain > 0:
        told = [text for text in found.moved if text not in deployment.layout.moved]
        yield Remedy("; ".join(told[:-1]), 0, -gain, "a copy at start, and that memory")


def _other_memories(
    deployment: Deployment, latency: np.ndarray | None, what: Literal["activations", "weights"], need: int
) -> Iterator[Remedy]:
    target = deployment.target
    place = target.placement
    own: Memory = getattr(place, what)
    held = _held(deployment)
    for memory in stores(target) if what == "weights" else holders(target, what, own):
        beside = held.get(memory.name, _Held(memory))
        if room(memory) < need + beside.arena + beside.stored:
            continue
        where = {"code_in": place.code.name, "weights_in": place.weights.name, "activations_in": place.activations.name}
        moved = resolve_target(
            target.device, target.runtime.name, clock_hz=target.clock_hz, **(where | {f"{what}_in": memory.name})
        )
        there = _latencies(deployment.network, moved)
        timed = is_timed(memory)
        extra = None if there is None or latency is None or not timed else float(there.sum() - latency.sum())
        price = "none" if timed else f"stalls of {memory.name}, whose latency the board's description lacks"
        yield Remedy(f"{what} in {memory.name}", 0, extra, price)


def _smaller_inputs(deployment: Deployment, latency: np.ndarray | None) -> Iterator[Remedy]:
    network = deployment.network
    image = next((network.tensors[t].shape for t in network.inputs if len(network.tensors[t].shape) == 4), None)
    if image is None:
        return
    for share in _RESOLUTIONS:
        height, width = (max(1, round(side * share)) for side in image[1:3])
        try:
            smaller = scale_resolution(network, height, width)
        except NetworkError:
            continue  # a smaller image leaves a layer nothing to do: no remedy
        plan = plan_arena(smaller, deployment.arena.policy)
        there = _latencies(smaller, deployment.target)
        extra = None if there is None or latency is None else float(there.sum() - latency.sum())
        yield Remedy(f"input of {height} x {width}", plan.peak_bytes, extra, "accuracy, not predicted", True)


def _latencies(network: Network, target: Target) -> np.ndarray | None:
    """Time of each operator on the core [s]; None if the kernel library cannot price one."""
    costs = _costs(network, target)
    return None if costs is None else costs.latency_s


def _costs(network: Network, target: Target) -> LayerCosts | None:
    """The same with its causes."""
    try:
        return layer_costs(network.table(), target)
    except UnsupportedOperator:
        return None


def fit_memory(
    network: Network | str,
    sram: str | int | None = None,
    device: str | Device | None = None,
    runtime: str | None = None,
) -> MemorySchedule:
    """The cheapest way to run a network whose arena fits: as it is, reordered, streamed, in patches or channel groups.

    With a device, schedules are priced by the time that repeated work, calls per part and copies of parts take there,
    and `sram` is the memory that its linker script gives to the arena unless said; without one, by repeated
    multiply-accumulates under TFLM's policy.

    Args:
        network: `Network`, path of a model file, or name in the zoo.
        sram: bytes, or a quantity like "192 KiB".
        device: name, path or `Device`.
        runtime: name of a runtime of the device; its first one if None.

    Raises:
        DoesNotFit: nothing does; the message names need, have and the three smallest schedules.
        InputError: neither `sram` nor `device` is given, or the memory's size is unknown.
    """
    net = load_network(network) if isinstance(network, str) else network
    if device is None:
        if sram is None:
            raise InputError("fit_memory needs sram (for example '192 KiB') or a device")
        return cheapest_schedule(net, _bytes(sram))
    target = resolve_target(device, runtime)
    memory = target.placement.activations
    if sram is None and not memory.size.known:
        raise InputError(
            f"{target.device.name}: the size of {memory.name} is unknown; give sram, for example '192 KiB'"
        )
    costs = _costs(net, target)

    def price(schedule: MemorySchedule) -> float:
        return schedule.overhead if costs is None else schedule_extra_s(schedule, costs, target)

    limit = int(memory.size.si) if sram is None else _bytes(sram)
    found = cheapest_schedule(net, limit, arena_policy(target), cost=price)
    if costs is None:
        return found
    return replace(found, latency_s=float(costs.latency_s.sum()) + schedule_extra_s(found, costs, target))


def _bytes(sram: str | int) -> int:
    return round(parse_quantity(sram, "byte", where="sram"))
