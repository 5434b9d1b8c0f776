"""Does a network fit a board, and if not, what would make it fit, at which price?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tinysim.deploy.costs import layer_costs
from tinysim.deploy.memory import MemoryPolicy, MemorySchedule, cheapest_schedule, memory_schedules, plan_arena
from tinysim.deploy.memory.in_place import IN_PLACE_RULES
from tinysim.deploy.policy import arena_policy
from tinysim.deploy.target import Target, resolve_target
from tinysim.errors import InputError, NetworkError, UnsupportedOperator
from tinysim.network.graph import Network
from tinysim.network.load import load_network
from tinysim.network.transforms.scale import scale_resolution
from tinysim.quantities import parse_quantity

if TYPE_CHECKING:
    from tinysim.deploy.deployment import Deployment
    from tinysim.device.spec import Device, Memory

__all__ = ["Remedy", "fit_memory", "misfits", "remedies", "ways_out"]

#: shares of the input's height and width that are tried
_RESOLUTIONS = (0.75, 0.5)
_IN_PLACE = frozenset({"view", "elementwise", "depthwise", "pool"})


@dataclass(frozen=True, slots=True)
class Remedy:
    """A way to need less of the arena's memory."""

    what: str
    peak_bytes: int
    """arena with it, 0 if the arena moves to another memory"""
    extra_latency_s: float | None
    """time that an inference takes more; None if it cannot be priced"""
    price: str
    """what else it takes"""
    changes_result: bool = False
    """whether the network's accuracy changes"""

    def __str__(self) -> str:
        size = f"{self.peak_bytes:,} B" if self.peak_bytes else "the whole arena"
        time = ", time unknown" if self.extra_latency_s is None else f", {self.extra_latency_s * 1e3:+.3g} ms"
        return f"{self.what} ({size}{time})"


def misfits(deployment: Deployment) -> tuple[str, ...]:
    """What does not fit its memory, in sentences that name memory, need and have; empty if all fits."""
    layout, flash = deployment.layout, deployment.flash.total_bytes
    code = 0 if flash is None else flash - deployment.flash.model_bytes
    stored: dict[str, tuple[Memory, int]] = {layout.code.name: (layout.code, code)}
    for memory, n_bytes in layout.stored(deployment.flash.model_bytes, deployment.table.weight_bytes):
        stored[memory.name] = (memory, n_bytes + stored.get(memory.name, (memory, 0))[1])
    needs = [(pool.memory, pool.peak_bytes, "arena") for pool in layout.pools]
    needs += [(memory, n_bytes, "model and code") for memory, n_bytes in stored.values()]
    return tuple(
        f"the {what} needs {need:,} B of {memory.name}, which has {int(memory.size.si):,} B"
        for memory, need, what in needs
        if memory.size.known and need > memory.size.si
    )


def ways_out(deployment: Deployment, *, count: int = 3) -> tuple[Remedy, ...]:
    """The cheapest remedies after which the arena fits, results unchanged first; the smallest if none suffices."""
    memory = deployment.target.placement.activations
    limit = memory.size.si if memory.size.known else float("inf")
    known = list(remedies(deployment))
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
    latency = _latencies(deployment.network, deployment.target)
    memory = deployment.target.placement.activations
    limit = memory.size.si if memory.size.known else float("inf")
    for schedule in _best_of_each_kind(network, policy, limit):
        if schedule.peak_bytes < have:
            extra = _repeated(schedule, network, latency)
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
            yield Remedy(what, peak, 0.0, price)
    yield from _other_memories(deployment, latency)
    yield from _smaller_inputs(deployment, latency)


def _best_of_each_kind(network: Network, policy: MemoryPolicy, limit: float) -> list[MemorySchedule]:
    """Of each kind the one that fits with the least repeated work, else the smallest; of patches the best 2 x 2 too."""
    best: dict[tuple[str, int], MemorySchedule] = {}

    def worse(s: MemorySchedule) -> tuple[bool, float, float]:
        fits = s.peak_bytes <= limit
        return (not fits, s.overhead, s.peak_bytes) if fits else (not fits, s.peak_bytes, s.overhead)

    for s in memory_schedules(network, policy):
        for key in ((s.kind, 0), (s.kind, 4))[: 2 if (s.rows, s.columns) == (2, 2) else 1]:
            best[key] = min(best.get(key, s), s, key=worse)
    chosen = {s.detail: s for (kind, _), s in best.items() if kind != "layers"}
    return list(chosen.values())


def _other_memories(deployment: Deployment, latency: np.ndarray | None) -> Iterator[Remedy]:
    target = deployment.target
    place = target.placement
    for memory in target.device.memories:
        roomy = memory.size.known and memory.size.si >= deployment.arena.peak_bytes
        if "activations" not in memory.holds or memory.name == place.activations.name or not roomy:
            continue
        moved = resolve_target(
            target.device,
            target.runtime.name,
            clock_hz=target.clock_hz,
            code_in=place.code.name,
            weights_in=place.weights.name,
            activations_in=memory.name,
        )
        there = _latencies(deployment.network, moved)
        timed = not memory.external or bool(memory.wait_states) or memory.read_latency is not None
        extra = None if there is None or latency is None or not timed else float(there.sum() - latency.sum())
        price = "none" if timed else f"stalls of {memory.name}, whose latency the board's description lacks"
        yield Remedy(f"activations in {memory.name}", 0, extra, price)


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
    try:
        return layer_costs(network.table(), target).latency_s
    except UnsupportedOperator:
        return None


def _repeated(schedule: MemorySchedule, network: Network, latency: np.ndarray | None) -> float | None:
    """Time of the work that a schedule repeats: an operator's, in proportion to its multiply-accumulates."""
    if latency is None:
        return None
    if not schedule.macs:
        return 0.0
    plain = np.maximum(network.table().macs, 1)
    return float((latency * (np.asarray(schedule.macs) / plain - (network.table().macs > 0))).sum())


def fit_memory(
    network: Network | str,
    sram: str | int | None = None,
    device: str | Device | None = None,
    runtime: str | None = None,
) -> MemorySchedule:
    """The cheapest way to run a network whose arena fits: as it is, reordered, streamed, in patches or channel groups.

    With a device, schedules are priced by the time that repeated work takes there, and `sram` is the memory that its
    linker script gives to the arena unless said; without one, by repeated multiply-accumulates under TFLM's policy.
    Not priced: writing patches' borders, a loop over tiles instead of one.

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
    latency = _latencies(net, target)

    def price(schedule: MemorySchedule) -> float:
        return schedule.overhead if latency is None else _repeated(schedule, net, latency) or 0.0

    limit = int(memory.size.si) if sram is None else _bytes(sram)
    found = cheapest_schedule(net, limit, arena_policy(target), cost=price)
    extra = _repeated(found, net, latency)
    return replace(found, latency_s=None if latency is None or extra is None else float(latency.sum()) + extra)


def _bytes(sram: str | int) -> int:
    return round(parse_quantity(sram, "byte", where="sram"))
