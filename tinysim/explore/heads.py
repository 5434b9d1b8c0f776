"""Heads of TFLM's greedy planner for many networks at once, exact, with the small buffers left out.

The live peak P bounds every plan from below. A buffer of size s that may meet c others, of S bytes together, ends at or
below S + (c + 1) s: the bytes below it are occupied (at most S), or lie in gaps below the others, each smaller than s.
Buffers for which that is at most P cannot raise the head, so only the buffers at least as large as the smallest of the
others are placed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysim.network.table import Ints

__all__ = ["greedy_heads"]

#: networks placed together: their columns stay in the cache
_CHUNK = 256


def greedy_heads(sizes: Ints, first: Ints, last: Ints) -> Ints:
    """Heads [B] of `tinysim.deploy.memory.greedy_plan` for networks that share their lifetimes, shape (n_networks,).

    sizes [B]: shape (n_networks, n_buffers), aligned already, sums below 2^31. first, last [step]: (n_buffers,).

    >>> greedy_heads(np.array([[64, 128, 64], [64, 32, 16]]), np.array([0, 1, 2]), np.array([1, 2, 3])).tolist()
    [192, 96]
    """
    meets = (first[:, None] <= last) & (first <= last[:, None])
    steps = np.unique(first)
    alive = (first[:, None] <= steps) & (steps <= last[:, None])
    others = meets.sum(axis=0) - 1.0
    weights = np.concatenate([alive, meets], axis=1).astype(np.float64)
    heads = np.empty(len(sizes), dtype=np.int64)
    n_places = np.empty(len(sizes), dtype=np.int64)
    for start in range(0, len(sizes), _CHUNK):
        part = slice(start, start + _CHUNK)
        size = sizes[part].astype(np.float64)
        sums = size @ weights
        peak = sums[:, : len(steps)].max(axis=1)
        heads[part] = peak
        matters = sums[:, len(steps) :] + others * size > peak[:, None]
        least = np.where(matters, size, np.inf).min(axis=1)
        n_places[part] = (size >= least[:, None]).sum(axis=1)
    order = np.argsort(n_places, kind="stable")
    order = order[n_places[order] > 0]
    for start in range(0, len(order), _CHUNK):
        members = order[start : start + _CHUNK]
        heads[members] = np.maximum(heads[members], _place(sizes[members], meets, int(n_places[members[-1]])))
    return heads


def _place(size: Ints, meets: NDArray[np.bool_], count: int) -> Ints:
    """Highest end of the first `count` buffers by falling size, of equal ones the later first, shape (n_networks,)."""
    n = size.shape[1]
    key = -np.sort(-(size * n + np.arange(n)), axis=1)[:, :count].T
    order, width = np.ascontiguousarray(key % n), (key // n).astype(np.int32)
    start, stop = np.zeros_like(width), np.zeros_like(width)
    stop[0] = width[0]
    for k in range(1, count):
        offset = np.zeros(len(size), dtype=np.int32)
        obstacle = np.where(meets[order[:k], order[k]], stop[:k], 0)
        begin = start[:k] - width[k]
        while True:
            raised = np.where((begin < offset) & (offset < obstacle), obstacle, 0).max(axis=0)
            if (raised <= offset).all():
                break
            offset = np.maximum(offset, raised)
        start[k], stop[k] = offset, offset + width[k]
    return np.asarray(stop.max(axis=0), dtype=np.int64)
