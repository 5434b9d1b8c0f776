"""Heads of greedy arena planners for many networks: one function, compiled by numba where that is installed.

Interpreted, it plans a network in about 0.1 ms; compiled, hundreds of thousands a second. The live peak P bounds every
plan from below. A buffer of size s that meets c others, of S bytes together, ends at or below S + (c + 1) s: the bytes
below it are occupied (at most S), or lie in gaps below the others, each smaller than s. Buffers for which that is at
most P cannot raise the head, so only those at least as large as the smallest of the others are placed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from tinysim.deploy.memory import MemoryPolicy
from tinysim.network.table import Ints

__all__ = ["LATER_FIRST", "buffer_head", "chain_heads", "is_plain"]

#: planner -> whether the later of two equal sizes goes first
LATER_FIRST = {"tflm-greedy": True, "greedy-by-size": False}
#: buffers from which on it is worth to load the compiled planner (some 0.5 s; seconds once, when it is compiled)
_MANY = 200_000
#: rows of no chain, for `_plan`
_NONE = np.zeros(0, dtype=np.int64)
_NO_ROWS = (_NONE, np.zeros(1, dtype=np.int64), _NONE, _NONE, _NONE.reshape(0, 0), _NONE)


def _plan(
    rows: Any, ends: Any, in_bytes: Any, out_bytes: Any, scratch: Any, skip: Any, given: int, later_first: bool,
    size: Any, first: Any, last: Any, order: Any, matters: Any, begin: Any, end: Any, since: Any, until: Any,
    live: Any, begun: Any, gone: Any, met: Any, came: Any, left: Any, heads: Any,
) -> None:  # fmt: skip
    """Heads of all networks. given: buffers that size, first and last hold already; 0: the rows make them."""
    at = 0
    for network in range(len(ends)):
        n = given
        if given == 0:
            length = ends[network] - at
            size[0], first[0], last[0] = in_bytes[rows[at]], 0, 1
            n = length + 1
            for step in range(1, length + 1):
                row = rows[at + step - 1]
                size[step], first[step], last[step] = out_bytes[row], step, min(step + 1, length)
                if skip[row] > 0:
                    second = step - skip[row]
                    last[second] = max(last[second], step)
                for k in range(len(scratch[row])):
                    if scratch[row][k] > 0:
                        size[n], first[n], last[n] = scratch[row][k], step, step
                        n += 1
            at = ends[network]
        n_steps = 0
        for i in range(n):
            n_steps = max(n_steps, last[i] + 1)
        for t in range(n_steps + 1):
            begun[t] = gone[t] = came[t] = left[t] = 0
        for i in range(n):
            begun[first[i]] += size[i]
            came[first[i]] += 1
            gone[last[i] + 1] += size[i]
            left[last[i] + 1] += 1
        head = held = here = 0
        for t in range(n_steps):
            held += begun[t] - gone[t]
            here += came[t] - left[t]
            live[t], met[t] = held, here
            head = max(head, held)
        least = head + 1
        for i in range(n):
            total, others = live[first[i]], met[first[i]] - 1
            for t in range(first[i] + 1, last[i] + 1):
                total += begun[t]
                others += came[t]
            matters[i] = 0
            if size[i] > 0 and total + others * size[i] > head:
                matters[i] = 1
                least = min(least, size[i])
        count = 0
        for i in range(n):
            if size[i] >= least:
                k = count
                while k > 0 and (size[order[k - 1]] < size[i] or (later_first and size[order[k - 1]] == size[i])):
                    order[k] = order[k - 1]
                    k -= 1
                order[k] = i
                count += 1
        # only what is placed before a buffer bounds its end; what lives over several of its steps counts more than once
        for t in range(n_steps):
            live[t] = met[t] = came[t] = 0
        for done in range(count):
            i = order[done]
            total, others = size[i], 0
            for t in range(first[i], last[i] + 1):
                total += live[t]
                others += met[t]
                live[t] += size[i]
                met[t] += 1
            if total + others * size[i] <= head:
                matters[i] = 0
        # from the smallest up: what matters, and what lies earlier in the order and meets what matters
        for done in range(count - 1, -1, -1):
            i = order[done]
            for t in range(first[i], last[i] + 1):
                if came[t]:
                    matters[i] = 1
            if matters[i]:
                for t in range(first[i], last[i] + 1):
                    came[t] = 1
        # placed buffers by rising begin
        n_placed = 0
        for done in range(count):
            i = order[done]
            if matters[i]:
                offset = 0
                for k in range(n_placed):
                    if since[k] <= last[i] and first[i] <= until[k]:
                        if begin[k] - offset >= size[i]:
                            break
                        offset = max(offset, end[k])
                k = n_placed
                while k > 0 and begin[k - 1] > offset:
                    begin[k], end[k], since[k], until[k] = begin[k - 1], end[k - 1], since[k - 1], until[k - 1]
                    k -= 1
                begin[k], end[k], since[k], until[k] = offset, offset + size[i], first[i], last[i]
                n_placed += 1
                head = max(head, offset + size[i])
        heads[network] = head


@cache
def _compiled() -> Any:
    if importlib.util.find_spec("numba") is None:
        return None
    import numba

    return numba.njit(nogil=True, cache=True)(_plan)


class _Experience:
    """Buffers planned so far, which say whether the compiled planner is worth to load."""

    planned = 0


def _planner(count: int) -> Any:
    """The compiled planner, if it is there and worth it for `count` more buffers."""
    _Experience.planned += count
    return _compiled() if _Experience.planned >= _MANY else None


def is_plain(policy: MemoryPolicy) -> bool:
    """Whether an arena is a greedy plan of unshared buffers, and what persists beside it needs no search."""
    return policy.planner in LATER_FIRST and not policy.in_place and policy.persistent in {"tflm", "none"}


def buffer_head(size: Sequence[int], first: Sequence[int], last: Sequence[int], *, later_first: bool = True) -> int:
    """Head [B] of a greedy plan of buffers by falling size, each at the lowest free offset.

    size [B]: aligned already; first, last [step]. later_first: of equal sizes the later goes first (TFLM), or the
    earlier (TVM). The highest end in `tinysim.deploy.memory.greedy_plan`.

    >>> buffer_head([64, 128, 64], [0, 1, 2], [1, 2, 3])
    192
    """
    n, steps, compiled = len(size), max(last, default=0) + 1, _planner(len(size))
    if compiled is None:
        plan: Any = _plan
        heads = [0]
        plan([], [0], [], [], [], [], n, later_first, size, first, last, *_lists(6, n), *_lists(6, steps + 1), heads)
        return heads[0]
    given = np.array([size, first, last], dtype=np.int64).reshape(3, n)
    out = np.zeros(1, dtype=np.int64)
    compiled(*_NO_ROWS, n, later_first, *given, *np.empty((6, n), np.int64), *np.empty((6, steps + 1), np.int64), out)
    return int(out[0])


def chain_heads(
    rows: Ints, ends: Ints, in_bytes: Ints, out_bytes: Ints, scratch: Ints, skip: Ints, *, later_first: bool = True
) -> Ints:
    """Heads [B] of greedy plans of chains, as `buffer_head`, shape (n_networks,).

    rows: distinct rows of all networks, one network after the other; ends: where each network ends, shape
    (n_networks,). Per distinct row: in_bytes, out_bytes and scratch (n_rows, k) [B], aligned already; skip: rows back
    to the second operand, 0 for none.

    >>> one = np.array([64]), np.array([128]), np.array([[16, 0]]), np.array([0])
    >>> chain_heads(np.array([0]), np.array([1]), *one).tolist()
    [208]
    """
    out = np.empty(len(ends), dtype=np.int64)
    steps = int(np.diff(ends, prepend=0).max(initial=0)) + 1
    buffers = steps * (1 + scratch.shape[1])
    compiled = _planner(len(rows))
    if compiled is not None:
        work, by_step = np.empty((9, buffers), dtype=np.int64), np.empty((6, steps + 1), dtype=np.int64)
        compiled(rows, ends, in_bytes, out_bytes, scratch, skip, 0, later_first, *work, *by_step, out)
        return out
    at = 0
    for network, end in enumerate(ends.tolist()):
        out[network] = _one(rows[at:end], in_bytes, out_bytes, scratch, skip, later_first)
        at = end
    return out


def _one(rows: Ints, in_bytes: Ints, out_bytes: Ints, scratch: Ints, skip: Ints, later_first: bool) -> int:
    """The buffers that `_plan` makes of a chain's rows, planned without it."""
    n, second = len(rows), skip[rows]
    last = [1, *range(2, n + 1), n]
    for wide in np.flatnonzero(second).tolist():
        source = wide + 1 - int(second[wide])
        last[source] = max(last[source], wide + 1)
    asked = scratch[rows]
    row, k = np.nonzero(asked)
    steps = (row + 1).tolist()
    size = [int(in_bytes[rows[0]]), *out_bytes[rows].tolist(), *asked[row, k].tolist()]
    return buffer_head(size, [*range(n + 1), *steps], last + steps, later_first=later_first)


def _lists(count: int, length: int) -> list[list[int]]:
    return [[0] * length for _ in range(count)]
