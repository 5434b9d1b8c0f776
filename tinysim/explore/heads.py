"""Heads of greedy arena planners for many networks: the loops of `head_kernels`, compiled where numba is installed.

Interpreted, they plan a network in about 0.1 ms; compiled, a million a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinysim.deploy.memory import MemoryPolicy
from tinysim.explore import head_kernels
from tinysim.explore.compiled import compiled
from tinysim.explore.encoded import Blocks, Encoded
from tinysim.network.table import Ints

__all__ = ["LATER_FIRST", "BlockHeads", "buffer_head", "is_plain"]

#: planner -> whether the later of two equal sizes goes first
LATER_FIRST = {"tflm-greedy": True, "greedy-by-size": False}
#: buffers from which on it is worth to load the compiled planner
_MANY = 60_000
#: buffers up to which columns save nothing
_FEW = 24
#: buffers up to which each is compared with each
_MATRIX = 200
#: rows of no chain, for `head_kernels.plan`
_NONE = np.zeros(0, dtype=np.int64)
_NO_ROWS = (_NONE, *np.zeros((2, 1), dtype=np.int64), _NONE, _NONE, _NONE.reshape(0, 0), _NONE)


class _Experience:
    """Buffers planned so far, which say whether the compiled planner is worth to load."""

    planned = 0


def _planner(count: int) -> Any:
    """The compiled planner, if it is there and worth it for `count` more buffers."""
    _Experience.planned += count
    return compiled(head_kernels.plan) if _Experience.planned >= _MANY else None


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
    n, steps, planner = len(size), max(last, default=0) + 1, _planner(len(size))
    if planner is None:
        plan: Any = head_kernels.plan
        heads = [0]
        if n > _FEW:
            heads[0], size, first, last = _cut(np.array(size), np.array(first), np.array(last), steps, later_first)
            n, steps = len(size), max(last, default=0) + 1
        given = (size, first, last)
        plan([], [0], [0], [], [], [], [], n, later_first, *given, *_lists(6, n), *_lists(3, steps + 1), heads)
        return heads[0]
    columns = np.array([size, first, last], dtype=np.int64).reshape(3, n)
    out = np.zeros(1, dtype=np.int64)
    planner(*_NO_ROWS, n, later_first, *columns, *np.empty((6, n), np.int64), *np.empty((3, steps + 1), np.int64), out)
    return int(out[0])


def _cut(
    size: Ints, first: Ints, last: Ints, steps: int, later_first: bool
) -> tuple[int, list[int], list[int], list[int]]:
    """Live peak of buffers, and those that `head_kernels.plan` need see, by bounds in columns.

    What remains is (size, first, last), its steps renumbered.
    """
    begun, came = (np.bincount(first, weights, steps).cumsum() for weights in (size, None))
    gone, left = (np.bincount(last + 1, weights, steps + 1).cumsum()[:-1] for weights in (size, None))
    peak = int((begun - gone).max(initial=0))
    # what lives when the buffer begins, and what begins while it lives
    total, others = begun[last] - gone[first], came[last] - left[first] - 1
    above = size[(size > 0) & (total + others * size > peak)]
    kept = np.flatnonzero(size >= above.min(initial=peak + 1))
    if _FEW < len(kept) <= _MATRIX:
        s, begin, end = size[kept], first[kept], last[kept]
        tie = np.triu(np.ones((len(s), len(s)), dtype=bool), 1)
        before = (s > s[:, None]) | ((s == s[:, None]) & (tie if later_first else tie.T))
        before &= (begin <= end[:, None]) & (end >= begin[:, None])
        # what matters, and what goes before it
        found = before @ s + (before.sum(axis=1) + 1) * s > peak
        reached = found
        while reached.any():
            reached = before[reached].any(axis=0) & ~found
            found = found | reached
        kept = kept[found]
    first, last = first[kept], last[kept]
    step = np.zeros(steps + 1, dtype=np.int64)
    step[first] = 1
    step = step.cumsum() - 1
    return peak, size[kept].tolist(), step[first].tolist(), step[last].tolist()


@dataclass(frozen=True, eq=False)
class BlockHeads:
    """Heads [B] of greedy plans of networks of blocks, as `buffer_head`.

    Per row of the blocks: in_bytes, out_bytes, shape (n_rows,), and scratch_bytes, shape (n_rows, k), aligned already.

    >>> from tinysim.explore.encoded import encode_table
    >>> from tinysim.network.load import load_network
    >>> one = encode_table(load_network("ad").table())
    >>> sizes = np.full(len(one.blocks.rows), 64)
    >>> BlockHeads(one.blocks, sizes, sizes, np.zeros((len(sizes), 1), dtype=np.int64)).of(one).tolist()
    [128]
    """

    blocks: Blocks
    in_bytes: Ints
    out_bytes: Ints
    scratch_bytes: Ints
    later_first: bool = True

    def of(self, encoded: Encoded) -> Ints:
        """Heads of networks, shape (n_networks,)."""
        blocks, ids = self.blocks, encoded.ids
        planner = _planner(int(blocks.length[ids].sum()))
        if planner is None:
            rows, ends = encoded.row_ids()
            starts = [0, *ends.tolist()]
            return np.array(
                [self._one(rows[start:end]) for start, end in zip(starts, ends.tolist(), strict=False)], dtype=np.int64
            )
        heads = np.empty(len(ids), dtype=np.int64)
        most = int(blocks.length.max(initial=0))
        at_most = len(ids) * ids.shape[1]
        rows, ends, owner = (np.empty(n, dtype=np.int64) for n in (at_most * most, at_most, at_most))
        per_slot = np.empty((3, ids.shape[1]), dtype=np.int64)
        count = compiled(head_kernels.runs)(
            ids, blocks.start, blocks.index, self._bounds, self.later_first, *per_slot, heads, rows, ends, owner
        )
        steps = ids.shape[1] * most + 1
        planner(
            rows, ends[:count], owner, self.in_bytes, self.out_bytes, self.scratch_bytes, blocks.skip, 0,
            self.later_first, *np.empty((9, steps * (1 + self.scratch_bytes.shape[1])), dtype=np.int64),
            *np.empty((3, steps + 1), dtype=np.int64), heads,
        )  # fmt: skip
        return heads

    @cached_property
    def _bounds(self) -> Ints:
        """What `head_kernels.runs` asks of each block, shape (2, n_blocks, ABOUT)."""
        b = self.blocks
        about = np.empty((2, len(b.start), head_kernels.ABOUT), dtype=np.int64)
        steps = int(b.length.max(initial=0)) + 1
        buffers = steps * (1 + self.scratch_bytes.shape[1])
        compiled(head_kernels.block_bounds)(
            b.start, b.length, b.index, self.in_bytes, self.out_bytes, self.scratch_bytes, b.skip,
            self.later_first, *np.empty((6, buffers), dtype=np.int64), np.empty(steps + 1, dtype=np.int64), about,
        )  # fmt: skip
        return about

    def _one(self, rows: Ints) -> int:
        """The buffers that `head_kernels.plan` makes of a chain's rows, planned without it."""
        n, second = len(rows), self.blocks.skip[rows]
        last = [1, *range(2, n + 1), n]
        for wide in np.flatnonzero(second).tolist():
            source = wide + 1 - int(second[wide])
            last[source] = max(last[source], wide + 1)
        asked = self.scratch_bytes[rows]
        row, k = np.nonzero(asked)
        steps = (row + 1).tolist()
        size = [int(self.in_bytes[rows[0]]), *self.out_bytes[rows].tolist(), *asked[row, k].tolist()]
        return buffer_head(size, [*range(n + 1), *steps], last + steps, later_first=self.later_first)


def _lists(count: int, length: int) -> list[list[int]]:
    return [[0] * length for _ in range(count)]
