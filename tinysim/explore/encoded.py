"""`Encoded`: many networks as numbers of blocks, so that what repeats is priced once.

A *block* is a run of layers; a network is a row of block numbers, one per slot. A table of layers becomes one too, with
a block of one layer per distinct row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError
from tinysim.network.table import Ints, LayerTable

__all__ = ["Blocks", "Encoded", "encode_table", "guess_skips"]

#: how many rows back the second operand of a sum is looked for
_REACH = 16


@dataclass(frozen=True, eq=False)
class Blocks:
    """Distinct blocks: block b is the rows `start[b]` to `start[b] + length[b]` of a table."""

    rows: LayerTable
    """distinct rows, one after the other"""
    skip: Ints
    """per row: the second operand is the output this many rows back in the network; 0: there is none"""
    start: Ints
    length: Ints

    @cached_property
    def shape(self) -> Ints:
        """Number of each block's *shape*, shape (n_blocks,): equal for blocks that differ in sizes only."""
        r = self.rows
        row = factorized([r.kind, r.has_bias, r.activation_bits, self.skip])
        shape = self.length.copy()
        for position in range(int(self.length.max(initial=0))):
            inside = position < self.length
            here = np.where(inside, row[np.where(inside, self.start + position, 0)] + 1, 0)
            shape = factorized([shape, here])
        return shape


@dataclass(frozen=True, eq=False)
class Encoded:
    """n networks of up to s blocks each."""

    blocks: Blocks
    ids: Ints
    """block of each slot, shape (n, s)"""

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, networks: slice | Ints) -> Encoded:
        return Encoded(self.blocks, self.ids[networks])

    def groups(self) -> Iterator[tuple[Ints, Ints]]:
        """Networks of one topology at a time: their positions, shape (m,), and the rows of each, shape (m, n_rows)."""
        b = self.blocks
        key = factorized(list(b.shape[self.ids].T)) if len(self) else np.zeros(0, dtype=np.int64)
        order = np.argsort(key, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
            if not len(members):
                continue
            ids = self.ids[members]
            lengths = b.length[ids[0]]
            rows = np.empty((len(members), int(lengths.sum())), dtype=np.int64)
            at = 0
            for slot, length in enumerate(lengths.tolist()):
                first = b.start[ids[:, slot]]
                for step in range(length):
                    rows[:, at] = first + step
                    at += 1
            yield members, rows

    def row_ids(self) -> tuple[Ints, Ints]:
        """Rows of all networks one after the other, and the network of each."""
        length = self.blocks.length[self.ids].ravel()
        total = int(length.sum())
        ends = np.cumsum(length)
        within = np.arange(total) - np.repeat(ends - length, length)
        rows = np.repeat(self.blocks.start[self.ids].ravel(), length) + within
        return rows, np.repeat(np.repeat(np.arange(len(self)), self.ids.shape[1]), length)

    def table(self) -> LayerTable:
        """The networks as layers, numbered in the column `network`."""
        rows, network = self.row_ids()
        columns = {f.name: getattr(self.blocks.rows, f.name)[rows] for f in fields(LayerTable)}
        return LayerTable(**(columns | {"network": network}))

    def skips(self) -> Ints:
        """`Blocks.skip` of each row of `table()`."""
        return self.blocks.skip[self.row_ids()[0]]


def factorized(columns: list[NDArray[np.int64]]) -> Ints:
    """Number the distinct rows of some columns, shape (n,): exact, by mixed radix, renumbered before it overflows.

    >>> factorized([np.array([7, 7, 9]), np.array([1, 2, 1])]).tolist()
    [0, 1, 2]
    """
    key, size = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        low = int(column.min(initial=np.iinfo(np.int64).max)) if len(column) else 0
        span = int(column.max(initial=low)) - low + 1 if len(column) else 1
        if span == 1:
            continue
        if size * span >= 1 << 62:
            distinct, key = np.unique(key, return_inverse=True)
            size = len(distinct)
        if size * span >= 1 << 62:
            distinct, column = np.unique(column, return_inverse=True)
            low, span = 0, len(distinct)
        key = key * span + (column - low)
        size *= span
    return np.asarray(np.unique(key, return_inverse=True)[1], dtype=np.int64)


def guess_skips(table: LayerTable) -> Ints:
    """Rows back to the second operand of each row with one, shape (n,); 0 elsewhere.

    The nearest tensor of `in2_elements` elements that is at least 2 rows back (the input of a network counts as the
    output before its first row). A sum behind a depthwise block without expansion is ambiguous: give `skips` yourself.

    Raises:
        NetworkError: no such tensor, or more than two operands.
    """
    begins = np.concatenate([[True], np.diff(table.network) != 0])
    first = np.maximum.accumulate(np.where(begins, np.arange(len(table)), 0))
    skip = np.zeros(len(table), dtype=np.int64)
    wanted = np.flatnonzero(table.n_inputs > 1)
    crowded = wanted[table.n_inputs[wanted] > 2]
    if len(crowded):
        raise NetworkError(f"layer table: row {crowded[0]} has {table.n_inputs[crowded[0]]} operands; give the Network")
    for back in range(2, _REACH):
        at = wanted - back
        held = np.where(at >= first[wanted], table.out_elements[np.maximum(at, 0)], table.in_elements[first[wanted]])
        found = (at >= first[wanted] - 1) & (held == table.in2_elements[wanted])
        skip[wanted[found]] = back
        wanted = wanted[~found]
    if len(wanted):
        raise NetworkError(
            f"layer table: row {wanted[0]} reads a second tensor of {table.in2_elements[wanted[0]]} elements, and none "
            f"of the {_REACH} rows before it makes one; give `skips` or the Network"
        )
    return skip


def encode_table(table: LayerTable, skips: Ints | None = None) -> Encoded:
    """Networks of a table as blocks of one row each; rows must be sorted by network.

    Raises:
        NetworkError: rows out of order, networks without rows, activations of several widths, see `guess_skips`.
    """
    step = np.diff(table.network)
    if len(table) == 0 or table.network[0] != 0 or (step < 0).any() or (step > 1).any():
        raise NetworkError("layer table: rows must be sorted by `network`, and every network needs a row")
    starts = np.concatenate([[0], np.flatnonzero(step) + 1])
    bits = table.activation_bits
    if (np.maximum.reduceat(bits, starts) != np.minimum.reduceat(bits, starts)).any():
        raise NetworkError("layer table: a network with activations of several widths is no chain; give the Network")
    skip = guess_skips(table) if skips is None else np.asarray(skips, dtype=np.int64)
    columns = [getattr(table, f.name) for f in fields(LayerTable) if f.name != "network"]
    sparsity = np.ascontiguousarray(table.weight_sparsity).view(np.int64)
    key = factorized([*(c for c in columns if c is not table.weight_sparsity), sparsity, skip])
    n_rows = int(key.max()) + 1
    example = np.empty(n_rows, dtype=np.int64)
    example[key[::-1]] = np.arange(len(table) - 1, -1, -1)
    # the block after the last row is empty: networks shorter than the longest end in it
    length = np.append(np.ones(n_rows, dtype=np.int64), 0)
    blocks = Blocks(table[example], skip[example], np.append(np.arange(n_rows), 0), length)
    counts = np.diff(np.append(starts, len(table)))
    ids = np.full((len(starts), int(counts.max())), n_rows, dtype=np.int64)
    ids[table.network, np.arange(len(table)) - starts[table.network]] = key
    return Encoded(blocks, ids)
