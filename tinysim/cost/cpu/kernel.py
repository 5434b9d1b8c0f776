"""What a kernel model is: loop trips from shapes, times instructions per trip from a table.

A *kernel* is one C function of a library. Its model is a function `Rows -> {loop: trips}`: how often each of its loops
and blocks runs, whole numbers that follow from the source. `price` multiplies them with what one trip executes on a
core (loads, stores, ...), from `coefficients/<library>.csv`:

    counts[class] = sum over loops of trips[loop] * per_trip[loop, class]

Which kernels serve an operator is a *selection*, registered under (library, operator kind), so an operator is added by
writing one function and its rows of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.network.table import Ints, LayerTable

__all__ = ["PATHS", "SELECTIONS", "Kernel", "Mask", "Rows", "Selection", "Trips", "always", "select_for"]

Mask = NDArray[np.bool_]
Trips = Mapping[str, NDArray[Any]]

#: core -> instruction set path that libraries choose at compile time
PATHS = {
    "cortex-m0plus": "plain",
    "cortex-m3": "plain",
    "cortex-m4": "dsp",
    "cortex-m7": "dsp",
    "cortex-m33": "dsp",
    "cortex-m55": "mve",
    "xtensa-lx7": "pie-s3",
    "rv32imafc-esp": "pie-p4",
    "gap8-cluster": "xpulp",
}


class Rows:
    """Some rows of a `LayerTable`; a column is gathered when first read, which keeps batches fast."""

    def __init__(self, table: LayerTable, index: NDArray[np.int64] | slice) -> None:
        self._table, self._index = table, index

    def __getattr__(self, column: str) -> Ints:
        values: Ints = getattr(self._table, column)[self._index]
        self.__dict__[column] = values
        return values

    def where(self, mask: Mask) -> Rows:
        """The rows where `mask` holds."""
        index = np.arange(len(self._table))[self._index] if isinstance(self._index, slice) else self._index
        return Rows(self._table, index[mask])


@dataclass(frozen=True, eq=False)
class Kernel:
    """One C function (or inlined block) of a library."""

    library: str
    """file of `coefficients/` that prices it"""
    name: str
    """name in that file: the C function's where there is one"""
    trips: Callable[[Rows, str], Trips]
    """(rows, path) -> loop name -> trips, each shape (n,)"""


#: rows, path -> the kernels that run, each for the rows of its mask (None: all). A row may meet several.
Selection = Callable[[Rows, str], Sequence[tuple[Kernel, Mask | None]]]

#: (library, operator kind) -> selection
SELECTIONS: dict[tuple[str, str], Selection] = {}


def select_for(library: str, *kinds: str) -> Callable[[Selection], Selection]:
    """Register the decorated selection for operator kinds of a library."""

    def add(selection: Selection) -> Selection:
        for kind in kinds:
            SELECTIONS[library, kind] = selection
        return selection

    return add


def always(library: str, kernel: Kernel, *kinds: str) -> None:
    """Register `kernel` as the only one of operator kinds of a library."""

    @select_for(library, *kinds)
    def selection(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
        return [(kernel, None)]
