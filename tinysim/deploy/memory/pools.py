"""An arena split over several memories: each buffer lies in the first pool that has room for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinysim.deploy.memory.buffers import Buffers, Ints, live_bytes
from tinysim.deploy.memory.optimum import Packing

__all__ = ["fill_pools"]


def fill_pools(
    buffers: Buffers, capacities: Sequence[int], planner: Callable[[Buffers], Packing]
) -> list[tuple[Ints, Packing]]:
    """Rows and plan of each pool.

    The first pool takes what fits: while its plan is too large, of the buffers alive at its peak the smallest one that
    suffices moves on to the next pool, or the largest if none does. Tied buffers move together. The last pool takes
    what is left, whether or not it fits.

    capacities [B]: of each pool. planner: places the buffers of a pool.
    Source: the sums of pools that X-CUBE-AI 10.0 and ST Edge AI report; ResNet-50 v2 on the STM32H747 to 0.1 KiB.

    >>> from tinysim.deploy.memory.optimum import optimum_plan
    >>> pools = fill_pools(Buffers.of([64, 128, 64], [0, 1, 2], [1, 2, 3]), [128, 1024], optimum_plan)
    >>> [(rows.tolist(), plan.head_bytes) for rows, plan in pools]
    [([0, 2], 128), ([1], 128)]
    """
    left = np.arange(len(buffers))
    pools = []
    for capacity in capacities[:-1]:
        here, plan = _subset(buffers, left, capacity, planner)
        pools.append((here, plan))
        left = np.setdiff1d(left, here)
    return [*pools, (left, planner(buffers.rows(left)))]


def _subset(buffers: Buffers, rows: Ints, capacity: int, planner: Callable[[Buffers], Packing]) -> tuple[Ints, Packing]:
    """The rows that stay in a pool, and their plan."""
    while True:
        part = buffers.rows(rows)
        live = live_bytes(part)
        plan = planner(part) if live.max(initial=0) <= capacity else None
        if plan is not None and plan.head_bytes <= capacity:
            return rows, plan
        step = int(live.argmax())
        excess = max(int(live[step]) - capacity, 1)
        alive = (part.first <= step) & (step <= part.last)
        size = np.bincount(part.root[alive], part.size[alive], minlength=len(part))
        enough = np.flatnonzero(size >= excess)
        victim = enough[np.argmin(size[enough])] if len(enough) else np.argmax(size)
        rows = rows[part.root != victim]
