"""Peaks of many networks at once: one topology with many sizes, or layer tables read as chains."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.deploy.memory.buffers import Ints, aligned
from tinysim.network.table import LayerTable

__all__ = ["batch_greedy_heads", "batch_live_peaks", "chain_peak_bytes"]

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


def batch_greedy_heads(sizes: ArrayLike, first: ArrayLike, last: ArrayLike) -> Ints:
    """Heads [B] of TFLM's greedy planner for networks that share their lifetimes, shape (n_networks,).

    The same plans as `greedy_plan`, row by row: buffers by falling size, the later first among equal ones, each at the
    lowest free offset, found by raising it past every obstacle at once until none is left.

    sizes [B]: shape (n_networks, n_buffers), aligned already. first, last [step]: (n_buffers,).

    >>> batch_greedy_heads([[64, 128, 64]], [0, 1, 2], [1, 2, 3]).tolist()
    [192]
    """
    size = np.asarray(sizes, dtype=np.int64)
    since, until = np.asarray(first), np.asarray(last)
    meets = (since[:, None] <= until) & (since <= until[:, None])
    chunks = [_greedy_chunk(size[start : start + _CHUNK], meets) for start in range(0, len(size), _CHUNK)]
    return np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int64)


def _greedy_chunk(size: Ints, meets: NDArray[np.bool_]) -> Ints:
    n_networks, n = size.shape
    # stable sort of the reversed columns: equal sizes keep the later buffer first
    order = n - 1 - np.argsort(-size[:, ::-1], axis=1, kind="stable")
    # buffers along the first axis, so that each step works on whole rows
    width = np.take_along_axis(size, order, axis=1).T.copy()
    order = order.T.copy()
    start, stop = np.zeros_like(width), np.zeros_like(width)
    for k in range(n):
        offset = np.zeros(n_networks, dtype=np.int64)
        obstacle = meets[order[:k], order[k]]
        while True:
            hit = obstacle & (start[:k] < offset + width[k]) & (offset < stop[:k])
            raised = np.where(hit, stop[:k], 0).max(axis=0, initial=0)
            if (raised <= offset).all():
                break
            offset = np.maximum(offset, raised)
        start[k], stop[k] = offset, offset + width[k]
    heads: Ints = stop.max(axis=0, initial=0)
    return heads


def chain_peak_bytes(table: LayerTable, *, scratch: Ints | None = None, alignment: int = 16) -> Ints:
    """Largest live set [B] of each network of a table, read as a chain, shape (n_networks,).

    P = max over layers of (inputs + output + scratch), each rounded up to `alignment`. Valid: no tensor outlives the
    next layer but the second input of a sum, which its own row counts; a residual that passes wider layers does not.

    scratch [B]: shape (n_layers, k), see `scratch_bytes`.
    """
    live = _rounded(table.in_elements, table, alignment) + _rounded(table.out_elements, table, alignment)
    live += _rounded(table.in2_elements, table, alignment)
    if scratch is not None:
        live += aligned(scratch, alignment).sum(axis=1)
    peaks = np.zeros(table.n_networks, dtype=np.int64)
    np.maximum.at(peaks, table.network, live)
    return peaks


def _rounded(elements: Ints, table: LayerTable, alignment: int) -> Ints:
    return aligned(-(-elements * table.activation_bits // 8), alignment)
