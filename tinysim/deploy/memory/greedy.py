"""Greedy planners: buffers one after the other, each into a gap among those already placed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tinysim.deploy.memory.buffers import Buffers, Ints

__all__ = ["greedy_plan", "plan_in_order"]


def greedy_plan(sizes: ArrayLike, first: ArrayLike, last: ArrayLike, *, alignment: int = 16) -> Ints:
    """Offsets [B] as TFLM's GreedyMemoryPlanner gives them, to the byte, shape (n,).

    Buffers are placed by falling size, of equal ones the later first, each at the lowest offset where the gap between
    buffers that live at the same time holds it.

    sizes [B] are rounded up to `alignment` [B]; first, last [step]. Source: tflite-micro,
    memory_planner/greedy_memory_planner.cc.

    >>> greedy_plan([64, 128, 64], [0, 1, 2], [1, 2, 3]).tolist()
    [128, 0, 128]
    """
    size = (-(-np.asarray(sizes, dtype=np.int64) // alignment) * alignment).tolist()
    order = sorted(range(len(size)), key=lambda i: (-size[i], -i))
    return plan_in_order(order, size, np.asarray(first).tolist(), np.asarray(last).tolist())


def plan_in_order(order: Sequence[int], size: list[int], first: list[int], last: list[int]) -> Ints:
    """Place buffers in the given order, each into the first gap, in address order, that holds it."""
    offsets = [0] * len(size)
    starts: list[int] = []
    placed: list[tuple[int, int, int, int]] = []
    for i in order:
        wanted, begin, end = size[i], first[i], last[i]
        offset = 0
        for start, stop, since, until in placed:
            if since <= end and begin <= until:
                if start - offset >= wanted:
                    break
                if stop > offset:
                    offset = stop
        offsets[i] = offset
        at = bisect_right(starts, offset)
        starts.insert(at, offset)
        placed.insert(at, (offset, offset + wanted, begin, end))
    return np.array(offsets, dtype=np.int64)


def tflm_greedy(buffers: Buffers) -> Ints:
    """`greedy_plan` of `Buffers`, whose sizes are aligned already."""
    return greedy_plan(buffers.size, buffers.first, buffers.last, alignment=1)
