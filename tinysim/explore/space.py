"""`SearchSpace`: integer vectors that stand for networks, encoded without a loop over networks.

A space has *genes* (a choice each) and *slots* (a block of layers each). A slot's block depends on a few genes only, so
all its blocks are made once, when the space is; encoding a million vectors is arithmetic on block numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InputError
from tinysim.explore.chain import chain_network
from tinysim.explore.encoded import Blocks, Encoded, spread
from tinysim.network.graph import Network
from tinysim.network.table import COLUMNS, Ints, LayerTable

__all__ = ["MAX_BLOCKS", "Gene", "Row", "SearchSpace", "Slot"]

#: a layer: columns of `LayerTable`, and `skip`, the rows back to its second operand
Row = dict[str, Any]
#: blocks of a slot are made in advance, so there must not be too many
MAX_BLOCKS = 200_000
#: vectors encoded together: they stay in the cache
_ENCODED = 1 << 13


@dataclass(frozen=True)
class Gene:
    """One choice."""

    name: str
    choices: tuple[Any, ...]


@dataclass(frozen=True)
class Slot:
    """One place of a network, filled by a block that depends on some genes."""

    genes: tuple[str, ...]
    """names of the genes that decide"""
    make: Callable[..., Sequence[Row]]
    """choices of these genes -> layers of the block; none if the slot is empty"""


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """Genes and slots; see `tinysim.explore.spaces` for some.

    A vector has one integer per gene: the position of its choice.

    Raises:
        InputError: a slot that names no gene, a gene without choices, or too many blocks in a slot.

    >>> from tinysim.explore.layers import conv, head
    >>> width = Gene("width", (8, 16))
    >>> stem = Slot(("width",), lambda c: [conv(32, 32, 3, c, 3, 2)])
    >>> end = Slot(("width",), lambda c: head(16, 16, c, 10))
    >>> space = SearchSpace("mine", (width,), (stem, end))
    >>> space.encode([[0], [1]]).table().n_networks
    2
    """

    name: str
    genes: tuple[Gene, ...]
    slots: tuple[Slot, ...]

    def __post_init__(self) -> None:
        known = {gene.name: len(gene.choices) for gene in self.genes}
        if len(known) != len(self.genes) or not all(known.values()) or not known:
            raise InputError(f"search space {self.name}: genes need distinct names and at least one choice each")
        for position, slot in enumerate(self.slots):
            unknown = [name for name in slot.genes if name not in known]
            if unknown:
                raise InputError(
                    f"search space {self.name}: slot {position} depends on {unknown[0]!r}, which is no gene"
                )
            count = math.prod(known[name] for name in slot.genes)
            if count > MAX_BLOCKS:
                raise InputError(
                    f"search space {self.name}: slot {position} has {count:,} blocks; at most {MAX_BLOCKS:,}, "
                    "so let it depend on fewer genes"
                )

    @cached_property
    def n_choices(self) -> Ints:
        """Choices of each gene, shape (n_genes,): a vector x has 0 <= x < n_choices."""
        return np.array([len(gene.choices) for gene in self.genes])

    @property
    def size(self) -> int:
        """Number of vectors."""
        return math.prod(len(gene.choices) for gene in self.genes)

    @cached_property
    def _strides(self) -> NDArray[np.float64]:
        """What one step of each gene adds to the block number of each slot, shape (n_genes, n_slots)."""
        names = [gene.name for gene in self.genes]
        strides = np.zeros((len(names), len(self.slots)))
        for position, slot in enumerate(self.slots):
            stride = 1
            for name in reversed(slot.genes):
                strides[names.index(name), position] = stride
                stride *= len(self.genes[names.index(name)].choices)
        return strides

    @cached_property
    def _blocks(self) -> tuple[Blocks, Ints]:
        """All blocks of all slots, and the number of each slot's first one."""
        choices = {gene.name: gene.choices for gene in self.genes}
        made: dict[tuple[Any, ...], int] = {}
        start: list[int] = []
        length: list[int] = []
        offset: list[int] = []
        columns: list[tuple[Any, ...]] = []
        names = [*COLUMNS, "skip"]
        defaults = {name: default for name, (default, _) in COLUMNS.items()} | {"skip": 0}
        for slot in self.slots:
            offset.append(len(start))
            for combination in itertools.product(*(choices[name] for name in slot.genes)):
                block = tuple(tuple((defaults | row)[name] for name in names) for row in slot.make(*combination))
                if block not in made:
                    made[block] = len(columns)
                    columns += block
                start.append(made[block])
                length.append(len(block))
        rows = {row: number for number, row in enumerate(dict.fromkeys(columns))}
        index = np.array([rows[row] for row in columns], dtype=np.int64)
        table = {name: np.array(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
        skip = table.pop("skip")
        blocks = Blocks(LayerTable.from_columns(table), skip, index, np.array(start), np.array(length))
        return blocks, np.array(offset)

    def encode(self, vectors: ArrayLike, *, threads: int | None = None) -> Encoded:
        """Networks of some vectors, shape (n, n_genes) or (n_genes,).

        threads: that encode many vectors; all cores if None.

        Raises:
            InputError: vectors of another length, or a position outside a gene's choices.
        """
        x = np.atleast_2d(np.asarray(vectors))
        if x.ndim != 2 or x.shape[1] != len(self.genes) or x.dtype.kind not in "iu":
            raise InputError(
                f"search space {self.name}: expected whole numbers of shape (n, {len(self.genes)}), got {x.dtype} "
                f"of shape {x.shape}"
            )
        n_choices = self.n_choices
        blocks, offset = self._blocks
        ids = np.empty((len(x), len(self.slots)), dtype=np.int64)

        def work(piece: slice) -> None:
            part = x[piece]
            outside = (part < 0) | (part >= n_choices)
            if outside.any():
                row, gene = np.argwhere(outside)[0]
                raise InputError(
                    f"search space {self.name}: vector {piece.start + row}: {self.genes[gene].name} = "
                    f"{part[row, gene]} is outside 0..{n_choices[gene] - 1}"
                )
            # below 2^53, so the product of floats is exact
            ids[piece] = part.astype(np.float64) @ self._strides + offset

        spread(work, len(x), _ENCODED, threads)
        return Encoded(blocks, ids)

    def decode(self, vector: ArrayLike) -> dict[str, Any]:
        """The choices of one vector by gene.

        Raises:
            InputError: see `encode`.
        """
        self.encode(vector)
        return {g.name: g.choices[int(i)] for g, i in zip(self.genes, np.asarray(vector).ravel(), strict=True)}

    def network(self, vector: ArrayLike, name: str | None = None) -> Network:
        """One vector's network as a graph, to estimate, simulate or write to a file.

        Raises:
            InputError: see `encode`.
        """
        encoded = self.encode(vector)
        return chain_network(encoded.table(), name or self.name, skips=encoded.skips())

    def sample(self, count: int, seed: int = 0) -> Ints:
        """Vectors drawn evenly, shape (count, n_genes); the same for the same seed."""
        return np.random.default_rng(seed).integers(0, self.n_choices, size=(count, len(self.genes)))

    def vectors(self, start: int, stop: int) -> Ints:
        """Vectors number `start` to `stop` of all, the last gene running fastest, shape (stop - start, n_genes)."""
        number = np.arange(start, stop)
        columns = []
        for n in self.n_choices[::-1].tolist():
            number, choice = np.divmod(number, n)
            columns.append(choice)
        return np.stack(columns[::-1], axis=1)
