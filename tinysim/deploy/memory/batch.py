"""Peaks of many networks at once: one topology with many sizes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tinysim.deploy.memory.buffers import Ints

__all__ = ["batch_live_peaks"]

#: networks worked on together: their columns stay in the cache
_CHUNK = 512


def batch_live_peaks(sizes: ArrayLike, first: ArrayLike, last: ArrayLike) -> Ints:
    """Largest live set [B] of networks that share their lifetimes, shape (n_networks,).

    P = max over steps t of sum of size_i over first_i <= t <= last_i, as one matrix product.

    sizes [B]: shape (n_networks, n_buffers), aligned already, sums below 2^53. first, last [step]: (n_buffers,).

    >>> batch_live_peaks([[64, 32], [16, 16]], [0, 1], [1, 2]).tolist()
    [96, 32]
    """
    size = np.asarray(sizes, dtype=np.float64)
    since, until = np.asarray(first), np.asarray(last)
    # a live set is largest in a step in which some buffer begins
    steps = np.unique(since)
    alive = (since[:, None] <= steps) & (steps <= until[:, None])
    peaks = np.empty(len(size), dtype=np.int64)
    for start in range(0, len(size), _CHUNK):
        part = slice(start, start + _CHUNK)
        peaks[part] = (size[part] @ alive.astype(np.float64)).max(axis=1, initial=0)
    return peaks
