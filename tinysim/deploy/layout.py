"""`Layout`: which of the board's memories holds which tensor and which weights, and what that makes of the paths.

A runtime puts things where its linker script says. What does not fit there moves on: an arena as a whole to the next
memory with room, or, under runtimes that plan pools, buffer by buffer; weights to an external flash, executed in place;
builds that copy weights to RAM leave in flash what has no room there.
Memories that the user named are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.latency import MemoryPath, blended_path
from tinysim.deploy.flash import FlashUse
from tinysim.deploy.memory import PLANNERS, ArenaPlan, fill_pools
from tinysim.deploy.target import Placement, Target, is_timed, path_to
from tinysim.device.spec import Memory
from tinysim.network.graph import Network

__all__ = ["Layout", "Pool", "holders", "move_limits", "room", "runtime_layout", "single_layout", "stores"]

Floats = NDArray[np.float64]
_KEEPS_WITHOUT_POWER = frozenset({"flash", "mram", "fram", "rom"})


@dataclass(frozen=True, eq=False)
class Pool:
    """A part of the arena in one memory."""

    memory: Memory
    rows: NDArray[np.int64]
    """its buffers, as rows of the arena's"""
    peak_bytes: int


@dataclass(frozen=True, eq=False)
class Layout:
    """Where everything lives."""

    pools: tuple[Pool, ...]
    activation_share: Floats
    """share of each operator's activation bytes in each pool, shape (n_pools, n_ops)"""
    weight_memories: tuple[Memory, ...]
    weight_share: Floats
    """share of each operator's weights in each of `weight_memories`: 0 or 1, shape (n_memories, n_ops)"""
    code: Memory
    pool_of: Mapping[int, int] = field(default_factory=dict)
    """pool of each tensor, by tensor index; the first one if not named"""
    peak_bytes: int = 0
    """RAM that the arena takes in all memories together"""
    moved: tuple[str, ...] = ()
    """what does not live where the linker script would put it, in sentences"""

    @cached_property
    def gaps(self) -> tuple[str, ...]:
        """Memories that are in use and whose latency is unknown."""
        used = {m.name: m for m in (*(pool.memory for pool in self.pools), *self.weight_memories)}
        return tuple(
            f"latency of {m.name} is unknown: what lies there is priced like the memory it moved from, a lower bound"
            for m in used.values()
            if not is_timed(m)
        )

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Whether most of an operator's activation bytes lie outside the chip, shape (n_ops,)."""
        far = np.array([pool.memory.external for pool in self.pools], dtype=np.float64)
        mostly: NDArray[np.bool_] = far @ self.activation_share > 0.5
        return mostly

    def stored(self, model_bytes: int, weight_bytes: Floats) -> list[tuple[Memory, int]]:
        """Bytes of the model in each of `weight_memories`.

        model_bytes: the model as stored; weight_bytes: weights of each operator, shape (n_ops,). What the operators'
        weights leave of the model lies in the first.
        """
        own = [int(share @ weight_bytes) for share in self.weight_share]
        rest = max(0, model_bytes - sum(own))
        own[0] += rest
        return list(zip(self.weight_memories, own, strict=True))

    def activations_path(self, target: Target) -> MemoryPath:
        """Path of each operator's activations."""
        paths = [path_to(target, pool.memory, "activations") for pool in self.pools]
        return paths[0] if len(paths) == 1 else blended_path(paths, self.activation_share)

    def weights_path(self, target: Target) -> MemoryPath:
        """Path of each operator's weights."""
        paths = [path_to(target, memory, "weights") for memory in self.weight_memories]
        return paths[0] if len(paths) == 1 else blended_path(paths, self.weight_share)


def single_layout(place: Placement, n_ops: int, arena: ArenaPlan | None = None) -> Layout:
    """Everything where `place` says."""
    n_buffers, peak = (0, 0) if arena is None else (len(arena.buffers), arena.peak_bytes)
    pool = Pool(place.activations, np.arange(n_buffers), peak)
    return Layout((pool,), np.ones((1, n_ops)), (place.weights,), np.ones((1, n_ops)), place.code, peak_bytes=peak)


def room(memory: Memory) -> float:
    """Size of a memory; infinite if unknown [B]."""
    return float(memory.size.si) if memory.size.known else float("inf")


def holders(target: Target, what: str, but: Memory) -> list[Memory]:
    """Other memories of known size that may hold weights or activations, those on the chip first."""
    others = [m for m in target.device.memories if what in m.holds and m.name != but.name and m.size.known]
    return sorted(others, key=lambda m: m.external)


def move_limits(target: Target) -> tuple[float, float]:
    """Arena and flash [B] above which `runtime_layout` may move something; infinite where nothing can move."""
    place, options = target.placement, target.options
    arena = room(place.activations) if options.activations_in is None else float("inf")
    flash = room(place.weights) if options.weights_in is None else float("inf")
    return (
        arena if holders(target, "activations", place.activations) else float("inf"),
        flash if stores(target) else float("inf"),
    )


def runtime_layout(network: Network, arena: ArenaPlan, flash: FlashUse, target: Target) -> Layout:
    """Where the runtime's tools put things, what does not fit moved on.

    Nothing moves if no memory has room: what is too large then is a misfit.
    """
    place, options = target.placement, target.options
    layout = single_layout(place, len(network.ops), arena)
    if options.activations_in is None and arena.peak_bytes > room(place.activations):
        layout = _spilt(layout, network, arena, target)
    stored = flash.model_bytes if flash.total_bytes is None else flash.total_bytes
    if options.weights_in is None and stored > room(place.weights):
        copies = place.weights.kind not in _KEEPS_WITHOUT_POWER
        layout = _copied(layout, network, target) if copies else _executed_in_place(layout, flash.model_bytes, target)
    return layout


def _spilt(layout: Layout, network: Network, arena: ArenaPlan, target: Target) -> Layout:
    near = target.placement.activations
    others = holders(target, "activations", near)
    if target.runtime.memory_pools != "none" and others:
        return _pooled(layout, network, arena, [near, *others], shared=target.runtime.memory_pools == "shared")
    whole = next((m for m in others if room(m) >= arena.peak_bytes), None)
    if whole is None:
        return layout
    text = f"the arena of {arena.peak_bytes:,} B moves to {whole.name}: {near.name} has {int(room(near)):,} B"
    return replace(layout, pools=(replace(layout.pools[0], memory=whole),), moved=(*layout.moved, text))


def _pooled(layout: Layout, network: Network, arena: ArenaPlan, memories: Sequence[Memory], *, shared: bool) -> Layout:
    capacities = [int(room(m)) for m in memories]
    capacities[0] -= arena.tail_bytes
    filled = fill_pools(arena.buffers, capacities, PLANNERS["near-optimum"])
    if filled[-1][1].head_bytes > capacities[-1]:
        return layout
    used = [(m, rows, plan) for m, (rows, plan) in zip(memories, filled, strict=True) if len(rows)]
    pools = tuple(
        Pool(m, rows, plan.head_bytes + (arena.tail_bytes if m is memories[0] else 0)) for m, rows, plan in used
    )
    where = {int(t): p for p, pool in enumerate(pools) for t in arena.buffers.tensor[pool.rows].tolist() if t >= 0}
    share = np.zeros((len(pools), len(network.ops)))
    live = set(network.activations())
    for i, op in enumerate(network.ops):
        reads = [t for t in op.inputs if t in live]
        for t in op.outputs:
            where.setdefault(t, where.get(reads[0], 0) if reads else 0)  # without a buffer of its own: in its input's
        for t in (*reads, *op.outputs):
            share[where.get(t, 0), i] += network.tensors[t].n_bytes
    total = share.sum(axis=0)
    share[0, total == 0] = 1.0
    share /= np.where(total > 0, total, 1.0)
    text = "the arena is split over " + ", ".join(f"{pool.memory.name} ({pool.peak_bytes:,} B)" for pool in pools)
    peak = arena.peak_bytes if shared else sum(pool.peak_bytes for pool in pools)
    return replace(
        layout, pools=pools, activation_share=share, pool_of=where, peak_bytes=peak, moved=(*layout.moved, text)
    )


def stores(target: Target) -> list[Memory]:
    """Other memories of known size that keep weights without power."""
    others = holders(target, "weights", target.placement.weights)
    return [m for m in others if m.kind in _KEEPS_WITHOUT_POWER]


def _copied(layout: Layout, network: Network, target: Target) -> Layout:
    """Weights copied to RAM operator by operator while there is room; the others stay where they are stored."""
    near, store = target.placement.weights, target.device.memory_for("weights")
    free = room(near) - sum(pool.peak_bytes for pool in layout.pools if pool.memory.name == near.name)
    share = np.zeros((2, len(network.ops)))
    for i, n_bytes in enumerate(network.table().weight_bytes.tolist()):
        share[0 if n_bytes <= free else 1, i] = 1.0
        free -= n_bytes if n_bytes <= free else 0.0
    text = f"weights of {int(share[1].sum())} operators stay in {store.name}: {near.name} is too small"
    return replace(layout, weight_memories=(near, store), weight_share=share, moved=(*layout.moved, text))


def _executed_in_place(layout: Layout, model_bytes: int, target: Target) -> Layout:
    store = next((m for m in stores(target) if room(m) >= model_bytes), None)
    if store is None:
        return layout
    near = target.placement.weights
    text = f"the weights of {model_bytes:,} B are read in place from {store.name}: {near.name} is too small"
    return replace(layout, weight_memories=(store,), moved=(*layout.moved, text))
