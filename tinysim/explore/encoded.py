"""`Encoded`: many networks as numbers of blocks, so that what repeats is priced once.

A *block* is a run of layers; a network is a row of block numbers, one per slot. A table of layers becomes one too, with
a block of one layer per distinct row.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError
from tinysim.explore.compiled import compiled
from tinysim.network.table import Ints, LayerTable

__all__ = ["Blocks", "Encoded", "encode_table", "factorized", "first_of_each", "guess_skips", "spread"]

#: how many rows back the second operand of a sum is looked for
_REACH = 16
#: rows hashed together: they stay in the cache
_HASHED = 1 << 14
#: rows from which on it is worth to load a compiled function
_MANY = 1 << 18
#: things that are worth a thread
_WORTH = 1 << 11


@dataclass(frozen=True, eq=False)
class Blocks:
    """Distinct blocks: block b is the rows `index[start[b] : start[b] + length[b]]` of a table."""

    rows: LayerTable
    """distinct rows"""
    skip: Ints
    """per row: the second operand is the output this many rows back in the network; 0: there is none"""
    index: Ints
    """rows of all blocks, one block after the other"""
    start: Ints
    length: Ints

    @cached_property
    def shape(self) -> Ints:
        """Number of each block's *shape*, shape (n_blocks,): equal for blocks that differ in sizes only."""
        r = self.rows
        row = factorized([r.kind, r.has_bias, r.activation_bits])
        shape = self.length.copy()
        for position in range(int(self.length.max(initial=0))):
            inside = position < self.length
            at = self.index[np.where(inside, self.start + position, 0)]
            shape = factorized([shape, np.where(inside, row[at] + 1, 0)])
        return shape

    @cached_property
    def bits(self) -> Ints:
        """Activation bits of each block's widest layer with weights, shape (n_blocks,); 8 if it has none."""
        weighted = self.rows.is_family("conv", "matmul", "recurrent")
        bits = np.where(weighted, self.rows.activation_bits, 8)[self.index]
        widest = np.full(len(self.start), 8)
        np.maximum.at(widest, np.repeat(np.arange(len(self.start)), self.length), bits[self._laid])
        return widest

    def sums(self, values: NDArray[Any]) -> Ints:
        """Whole numbers per row, summed over each block, shape (n_blocks,)."""
        total = np.concatenate([[0], np.cumsum(np.asarray(values).astype(np.int64)[self.index])])
        sums: Ints = total[self.start + self.length] - total[self.start]
        return sums

    @cached_property
    def _laid(self) -> Ints:
        """Positions in `index` of all blocks, one after the other: blocks may share them."""
        ends = np.cumsum(self.length)
        return np.repeat(self.start - (ends - self.length), self.length) + np.arange(int(self.length.sum()))


@dataclass(frozen=True, eq=False)
class Encoded:
    """n networks of up to s blocks each."""

    blocks: Blocks
    ids: Ints
    """block of each slot, shape (n, s)"""

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, networks: slice | Ints | NDArray[np.bool_]) -> Encoded:
        return Encoded(self.blocks, self.ids[networks])

    def row_ids(self) -> tuple[Ints, Ints]:
        """Rows of all networks one after the other, and where each network ends, shape (n,)."""
        length = self.blocks.length[self.ids]
        ends = np.cumsum(length.sum(axis=1))
        flat = length.ravel()
        shift = self.blocks.start[self.ids].ravel() - (np.cumsum(flat) - flat)
        within = np.repeat(shift, flat)
        within += np.arange(len(within))
        return self.blocks.index[within], ends

    def table(self) -> LayerTable:
        """The networks as layers, numbered in the column `network`."""
        rows, ends = self.row_ids()
        columns = {f.name: getattr(self.blocks.rows, f.name)[rows] for f in fields(LayerTable)}
        network = np.repeat(np.arange(len(self)), np.diff(ends, prepend=0))
        return LayerTable(**(columns | {"network": network}))

    def skips(self) -> Ints:
        """`Blocks.skip` of each row of `table()`."""
        return self.blocks.skip[self.row_ids()[0]]


def factorized(columns: list[NDArray[np.int64]]) -> Ints:
    """Number the distinct rows of some columns by first appearance, shape (n,).

    Exact: by mixed radix, renumbered before it overflows.

    >>> factorized([np.array([7, 7, 9]), np.array([1, 2, 1])]).tolist()
    [0, 1, 2]
    """
    key, size = np.zeros(len(columns[0]), dtype=np.int64), 1
    if len(key) < 2:
        return key
    for column in columns:
        low, high = int(column.min()), int(column.max())
        if low == high:
            continue
        span = high - low + 1
        if size * span >= 1 << 62:
            key = _numbered(key)
            size = int(key.max()) + 1
        if size * span >= 1 << 62:
            column, low = _numbered(column), 0
            span = int(column.max()) + 1
        key = key * span + (column - low) if size > 1 else column - low
        size *= span
    return key if size == 1 else _numbered(key)


def row_numbers(columns: Sequence[NDArray[np.int64]], *, threads: int | None = None) -> Ints:
    """`factorized` for many rows of many columns, which are read once, by several threads; all cores if None.

    Rows are numbered by one 64-bit hash and compared by another, so unlike rows share a number once in 2^128 pairs.
    """
    n, n_columns = len(columns[0]), len(columns)
    multipliers = np.random.default_rng(n_columns).integers(1 << 63, size=(2, n_columns), dtype=np.uint64) * 2 + 1
    hashes = np.zeros((2, n), dtype=np.uint64)
    unsigned = [np.ascontiguousarray(column).view(np.uint64) for column in columns]

    hashed = compiled(_hashed) if n >= _MANY else None

    def work(block: slice) -> None:
        if hashed is not None:
            hashed(tuple(column[block] for column in unsigned), multipliers, hashes[:, block])
            return
        product = np.empty(block.stop - block.start, dtype=np.uint64)
        for column, (one, other) in zip(unsigned, multipliers.T, strict=True):
            values = column[block]
            for total, multiplier in ((hashes[0, block], one), (hashes[1, block], other)):
                np.multiply(values, multiplier, out=product)
                np.add(total, product, out=total)

    spread(work, n, _HASHED, threads)
    numbers = _numbered(hashes[0].view(np.int64))
    alike = hashes[1] == hashes[1][first_of_each(numbers)][numbers]
    return numbers if alike.all() else factorized(list(columns))


def _hashed(columns: Any, multipliers: Any, hashes: Any) -> None:
    """What `row_numbers` does for some rows, in one pass."""
    for c in range(len(columns)):
        column, one, other = columns[c], multipliers[0, c], multipliers[1, c]
        for i in range(len(column)):
            hashes[0, i] += one * column[i]
            hashes[1, i] += other * column[i]


def spread(work: Callable[[slice], None], count: int, at_most: int, threads: int | None) -> None:
    """Do work on slices of `count` things on several threads, all cores if None; as many slices for each of them.

    NumPy and numba let go of Python's lock.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = min(threads or cores, -(-count // _WORTH))
    rounds = -(-count // (at_most * max(1, threads)))
    size = -(-count // max(1, rounds * threads))
    pieces = [slice(start, min(start + size, count)) for start in range(0, count, size or 1)]
    if len(pieces) < 2 or threads < 2:
        for piece in pieces:
            work(piece)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, pieces))


def _numbered(values: Ints) -> Ints:
    import pandas as pd  # its hash table: np.unique would sort

    return np.asarray(pd.factorize(values)[0], dtype=np.int64)


def first_of_each(numbers: Ints) -> Ints:
    """Position of the first of each number 0, 1, ..., shape (n_numbers,).

    >>> first_of_each(np.array([0, 1, 0, 2])).tolist()
    [0, 1, 3]
    """
    first = np.empty(int(numbers.max(initial=-1)) + 1, dtype=np.int64)
    first[numbers[::-1]] = np.arange(len(numbers) - 1, -1, -1)
    return first


def guess_skips(table: LayerTable) -> Ints:
    """Rows back to the second operand of each row with one, shape (n,); 0 elsewhere.

    The nearest tensor of `in2_elements` elements that is at least 2 rows back (the input of a network counts as the
    output before its first row). A sum behind a depthwise block without expansion is ambiguous: give `skips` yourself.

    Raises:
        NetworkError: no such tensor, or more than two operands.
    """
    skip = np.zeros(len(table), dtype=np.int64)
    wanted = np.flatnonzero(table.n_inputs > 1)
    crowded = wanted[table.n_inputs[wanted] > 2]
    if len(crowded):
        raise NetworkError(f"layer table: row {crowded[0]} has {table.n_inputs[crowded[0]]} operands; give the Network")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(table.network) != 0]))
    first = starts[np.searchsorted(starts, wanted, side="right") - 1]
    for back in range(2, _REACH):
        at = wanted - back
        source = np.maximum(at, first)
        held = np.where(at >= first, _elements(table, source, "out"), _elements(table, source, "in"))
        found = (at >= first - 1) & (held == table.in2_elements[wanted])
        skip[wanted[found]] = back
        wanted, first = wanted[~found], first[~found]
        if not len(wanted):
            break
    if len(wanted):
        raise NetworkError(
            f"layer table: row {wanted[0]} reads a second tensor of {table.in2_elements[wanted[0]]} elements, and none "
            f"of the {_REACH} rows before it makes one; give `skips` or the Network"
        )
    return skip


def _elements(table: LayerTable, rows: Ints, side: str) -> Ints:
    h, w, c = (getattr(table, f"{side}_{axis}")[rows] for axis in "hwc")
    elements: Ints = table.batch[rows] * h * w * c
    return elements


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
    columns = [getattr(table, f.name) for f in fields(LayerTable) if f.name not in {"network", "weight_sparsity"}]
    key = row_numbers([*columns, np.ascontiguousarray(table.weight_sparsity).view(np.int64), skip])
    example = first_of_each(key)
    n_rows = len(example)
    # the block after the last row is empty: networks shorter than the longest end in it
    length = np.append(np.ones(n_rows, dtype=np.int64), 0)
    index = np.arange(n_rows)
    blocks = Blocks(table[example], skip[example], index, np.append(index, 0), length)
    counts = np.diff(np.append(starts, len(table)))
    if (counts == counts[0]).all():
        return Encoded(blocks, key.reshape(len(starts), -1))
    ids = np.full((len(starts), int(counts.max())), n_rows, dtype=np.int64)
    ids[table.network, np.arange(len(table)) - starts[table.network]] = key
    return Encoded(blocks, ids)
