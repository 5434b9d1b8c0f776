"""Greedy planners: buffers one after the other, each into a gap among those already placed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from tinysim.deploy.memory.buffers import Buffers, Ints

__all__ = ["best_fit", "greedy_by_size", "greedy_plan", "groups", "place", "spread", "tflm_greedy"]

Rectangle = tuple[int, int, int]
"""(size, first step, last step) of bytes that share a group's first address"""


def greedy_plan(sizes: ArrayLike, first: ArrayLike, last: ArrayLike, *, alignment: int = 16) -> Ints:
    """Offsets [B] as TFLM's GreedyMemoryPlanner gives them, to the byte, shape (n,).

    Buffers are placed by falling size, of equal ones the later first, each at the lowest offset where the gap between
    buffers that live at the same time holds it.

    sizes [B] are rounded up to `alignment` [B]; first, last [step]. Source: tflite-micro,
    memory_planner/greedy_memory_planner.cc.

    >>> greedy_plan([64, 128, 64], [0, 1, 2], [1, 2, 3]).tolist()
    [128, 0, 128]
    """
    size = -(-np.asarray(sizes, dtype=np.int64) // alignment) * alignment
    return tflm_greedy(Buffers.of(size, first, last))


def tflm_greedy(buffers: Buffers) -> Ints:
    """`greedy_plan` of `Buffers`, whose sizes are aligned already; tied buffers move as one."""
    grouped = groups(buffers)
    return spread(buffers, place(_by_size(grouped), grouped))


def greedy_by_size(buffers: Buffers) -> Ints:
    """As TFLM's planner, but of equal sizes the earlier goes first: TVM's and TinyEngine's order, shape (n,)."""
    grouped = groups(buffers)
    largest = [max(size for size, _, _ in members) for members in grouped]
    return spread(buffers, place(sorted(range(len(grouped)), key=lambda i: -largest[i]), grouped))


def best_fit(buffers: Buffers) -> Ints:
    """Offsets [B] by falling size, each into the tightest gap that holds it, or on top if none does, shape (n,)."""
    grouped = groups(buffers)
    return spread(buffers, place(_by_size(grouped), grouped, tightest=True))


def groups(buffers: Buffers) -> list[list[Rectangle]]:
    """Rectangles of each group of tied buffers, in the order of the groups' first buffers."""
    rows = list(zip(buffers.size.tolist(), buffers.first.tolist(), buffers.last.tolist(), strict=True))
    grouped: dict[int, list[Rectangle]] = {}
    for root, row in zip(buffers.root.tolist(), rows, strict=True):
        grouped.setdefault(root, []).append(row)
    return [grouped[root] for root in sorted(grouped)]


def spread(buffers: Buffers, offsets: Sequence[int]) -> Ints:
    """Offsets per buffer from offsets per group."""
    _, group = np.unique(buffers.root, return_inverse=True)
    return np.asarray(offsets, dtype=np.int64)[group]


def _by_size(grouped: list[list[Rectangle]]) -> list[int]:
    largest = [max(size for size, _, _ in members) for members in grouped]
    return sorted(range(len(grouped)), key=lambda i: (-largest[i], -i))


def place(order: Iterable[int], grouped: list[list[Rectangle]], *, tightest: bool = False) -> list[int]:
    """Offset [B] of each group, placed in the given order at the lowest free offset, or in the tightest gap."""
    offsets = [0] * len(grouped)
    starts: list[int] = []
    placed: list[tuple[int, int, int, int]] = []
    for i in order:
        members = grouped[i]
        offset = _gap(placed, members[0], tightest) if len(members) == 1 else _lowest_of_all(placed, members)
        offsets[i] = offset
        for size, begin, end in members:
            at = bisect_right(starts, offset)
            starts.insert(at, offset)
            placed.insert(at, (offset, offset + size, begin, end))
    return offsets


def _gap(placed: list[tuple[int, int, int, int]], wanted: Rectangle, tightest: bool) -> int:
    size, begin, end = wanted
    offset = 0
    best: tuple[int, int] | None = None
    for start, stop, since, until in placed:
        if since <= end and begin <= until:
            gap = start - offset
            if gap >= size:
                if not tightest:
                    return offset
                best = min(best or (gap, offset), (gap, offset))
            if stop > offset:
                offset = stop
    return best[1] if best else offset


def _lowest_of_all(placed: list[tuple[int, int, int, int]], members: list[Rectangle]) -> int:
    """Lowest offset at which no member meets a placed buffer: raised past each obstacle until none is left."""
    offset = 0
    settled = False
    while not settled:
        settled = True
        for size, begin, end in members:
            for start, stop, since, until in placed:
                if since <= end and begin <= until and start < offset + size and offset < stop:
                    offset, settled = stop, False
    return offset
