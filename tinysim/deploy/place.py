"""The fastest placement: which memories should hold arena, code and each operator's weights.

Every memory of known latency is tried for the arena and the code; for each, the weights are a multiple-choice knapsack:
each operator's go to one memory, within the capacities, so that the stalls are fewest. It is solved exactly (HiGHS).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.latency import stall_cycles
from tinysim.cost.traffic import weights_beyond_cache
from tinysim.deploy.costs import LayerCosts, layer_costs
from tinysim.deploy.flash import FlashUse
from tinysim.deploy.layout import Layout, room, runtime_layout
from tinysim.deploy.memory import ArenaPlan
from tinysim.deploy.target import Target, is_timed, path_to
from tinysim.device.spec import Memory
from tinysim.network.graph import Network
from tinysim.network.table import LayerTable

__all__ = ["fastest_layout", "weights_that_wait_least"]

Floats = NDArray[np.float64]
#: cycles that a byte in another memory than the default must save: the copy at start is not for nothing
_WORTH = 1e-3


def weights_that_wait_least(stalls: Floats, weight_bytes: Floats, capacity_bytes: Floats) -> NDArray[np.int64]:
    """Memory of each operator's weights, shape (n,): the first one where nothing is gained or nothing fits.

    minimise sum of stall[m_i, i] subject to sum of bytes_i over m_i = m <= capacity_m, exactly.

    stalls [cycle]: (n_memories, n); weight_bytes [B]: (n,); capacity_bytes [B]: (n_memories,), of the first not used.

    >>> weights_that_wait_least(np.array([[9.0, 5.0], [0.0, 0.0]]), np.array([80.0, 40.0]), np.array([np.inf, 100.0]))
    array([1, 0])
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    n_memories, n = stalls.shape
    price = stalls + _WORTH * weight_bytes * (np.arange(n_memories) > 0)[:, None]
    moving = np.flatnonzero((weight_bytes > 0) & (price.argmin(axis=0) > 0))
    chosen = np.zeros(n, dtype=np.int64)
    if not len(moving):
        return chosen
    k = len(moving)
    one_each = np.tile(np.eye(k), n_memories)
    filled = np.kron(np.eye(n_memories)[1:], weight_bytes[moving])
    found = milp(
        price[:, moving].ravel(),
        integrality=np.ones(n_memories * k),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(filled, 0, np.maximum(capacity_bytes[1:], 0))],
    )
    if found.x is not None:
        chosen[moving] = found.x.reshape(n_memories, k).argmax(axis=0)
    return chosen


def fastest_layout(
    network: Network, table: LayerTable, priced: NDArray[np.bool_], arena: ArenaPlan, flash: FlashUse, target: Target
) -> Layout:
    """The layout of least cycles; what the user named (`weights_in`, ...) stays there.

    Valid: one core; the time to copy weights or code to RAM at start is not counted, nor what is left of a byte's
    price. Raises:
        UnsupportedOperator: a kind that the kernel library cannot price.
    """
    start = runtime_layout(network, arena, flash, target)
    base = layer_costs(table, target, priced, layout=start)
    best, least = start, float(base.cycles.total.sum())
    for layout in _candidates(start, arena, flash, target):
        placed = _with_weights(layout, base, table, arena, flash, target)
        cycles = float(layer_costs(table, target, priced, layout=placed).cycles.total.sum())
        if cycles < least:
            best, least = placed, cycles
    if best is start:
        return start
    saved = 1.0 - least / float(base.cycles.total.sum())
    return replace(
        best, moved=(*start.moved, *_told(start, best, table), f"this saves {saved:.1%} of the operators' cycles")
    )


def _candidates(start: Layout, arena: ArenaPlan, flash: FlashUse, target: Target) -> Iterator[Layout]:
    """Layouts with arena and code in each memory that has room for them."""
    options, memories = target.options, [m for m in target.device.memories if is_timed(m)]
    pools = [start.pools]
    if options.activations_in is None and len(start.pools) == 1:
        others = [m for m in memories if "activations" in m.holds and room(m) >= arena.peak_bytes]
        pools += [(replace(start.pools[0], memory=m),) for m in others if m != start.pools[0].memory]
    codes = [start.code]
    if options.code_in is None and flash.code_bytes is not None:
        codes += [m for m in memories if "code" in m.holds and m != start.code]
    for pool in pools:
        for code in codes:
            held = (flash.code_bytes or 0) + (arena.peak_bytes if code == pool[0].memory else 0)
            if code == start.code or held <= room(code):
                yield replace(start, pools=pool, code=code)


def _with_weights(
    layout: Layout, base: LayerCosts, table: LayerTable, arena: ArenaPlan, flash: FlashUse, target: Target
) -> Layout:
    """The layout with each operator's weights where they wait least."""
    first = layout.weight_memories[0]
    others = [m for m in target.device.memories if "weights" in m.holds and m != first and is_timed(m)]
    if target.options.weights_in is not None or not others:
        return layout
    memories = [first, *others]
    used = {pool.memory.name: pool.peak_bytes for pool in layout.pools}
    used[layout.code.name] = used.get(layout.code.name, 0) + (flash.code_bytes or 0)
    capacity = np.array([np.inf, *(room(m) - used.get(m.name, 0) for m in others)])
    chosen = weights_that_wait_least(_stalls(memories, base, table, target), table.weight_bytes, capacity)
    kept = [0, *(m for m in range(1, len(memories)) if (chosen == m).any())]
    share = np.array([chosen == m for m in kept], dtype=np.float64)
    return replace(layout, weight_memories=tuple(memories[m] for m in kept), weight_share=share)


def _stalls(memories: list[Memory], base: LayerCosts, table: LayerTable, target: Target) -> Floats:
    """Cycles that each operator waits for weights in each memory, shape (n_memories, n)."""
    rows = []
    for memory in memories:
        path = path_to(target, memory, "weights")
        missed = weights_beyond_cache(table, base.traffic, cache_bytes=path.cache_bytes)
        rows.append(stall_cycles(missed, path))
    return np.array(rows)


def _told(start: Layout, best: Layout, table: LayerTable) -> Iterator[str]:
    """What moved, in sentences."""
    if best.pools[0].memory != start.pools[0].memory:
        yield f"the arena moves to {best.pools[0].memory.name}"
    if best.code != start.code:
        yield f"the code moves to {best.code.name}"
    for memory, share in zip(best.weight_memories[1:], best.weight_share[1:], strict=True):
        yield f"weights of {int(share.sum())} operators ({int(share @ table.weight_bytes):,} B) move to {memory.name}"
