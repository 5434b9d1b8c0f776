"""`instruction_counts`: what the CPU executes for every row of a layer table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.counts import Counts
from tinysim.cost.cpu import cmsis_nn
from tinysim.cost.cpu.kernel import PATHS, SELECTIONS, Kernel, Rows, Selection
from tinysim.cost.cpu.per_trip import CLASSES, CORES, OPTS, per_trip
from tinysim.errors import UnknownRuntime, UnsupportedOperator, nearest
from tinysim.network.kinds import FAMILY, KINDS
from tinysim.network.table import LayerTable

__all__ = ["RUNTIMES", "instruction_counts", "price"]

#: runtime -> libraries asked in turn for a kernel of a kind, by precision of the activations
RUNTIMES: dict[str, tuple[str, ...]] = {
    "cmsis-nn": (cmsis_nn.LIBRARY, "tflm-reference"),
    "tflm-reference": ("tflm-reference",),
}

#: rows priced at a time: their columns stay in the cache
BLOCK = 1 << 15


def price(kernel: Kernel, rows: Rows, core: str, opt: str) -> NDArray[np.float64]:
    """Counts of a kernel for some rows, shape (classes, n): trips times instructions per trip."""
    loops, table = per_trip(kernel.library, kernel.name, core, opt)
    trips = kernel.trips(rows, PATHS[core])
    stacked = np.empty((len(loops), len(rows.kind)))
    for line, loop in zip(stacked, loops, strict=True):
        line[:] = trips[loop]
    priced: NDArray[np.float64] = table.T @ stacked
    return priced


def instruction_counts(
    table: LayerTable, core: str = "cortex-m4", runtime: str = "cmsis-nn", opt: str = "-O3"
) -> Counts:
    """Executed instructions by class of every row of `table`, each shape (n,).

    Args:
        table: the layers.
        core: cortex-m0plus, -m3, -m4, -m7, -m33, -m55 or -m85.
        runtime: `cmsis-nn` (TFLM's choice: CMSIS-NN where it has a kernel, else the reference kernel) or
            `tflm-reference`.
        opt: compiler level: -O3, -Ofast, -O2 or -Os.

    Raises:
        UnknownRuntime: an unknown core, runtime or compiler level.
        UnsupportedOperator: a kind that no library of the runtime prices.
    """
    for value, known, what in ((core, CORES, "core"), (runtime, RUNTIMES, "runtime"), (opt, OPTS, "compiler level")):
        if value not in known:
            raise UnknownRuntime(f"instruction counts: unknown {what} {value!r}; {nearest(value, known)}")
    built, level, libraries = CORES[core], OPTS[opt], RUNTIMES[runtime]
    counts = np.zeros((len(CLASSES), len(table)))
    for start in range(0, len(table), BLOCK):
        block = slice(start, start + BLOCK)
        _price_block(table, block, libraries, built, level, counts[:, block])
    return Counts(**dict(zip(CLASSES, counts, strict=True)))


def _price_block(
    table: LayerTable, block: slice, libraries: tuple[str, ...], core: str, opt: str, into: NDArray[np.float64]
) -> None:
    kinds = table.kind[block]
    for kind in np.flatnonzero(np.bincount(kinds, minlength=len(KINDS))):
        if FAMILY[KINDS[kind].name] == "view":
            continue
        here = np.flatnonzero(kinds == kind)
        selection = _selection(KINDS[kind].name, libraries, table, block.start + int(here[0]))
        rows = Rows(table, here + block.start)
        for kernel, mask in selection(rows, PATHS[core]):
            if mask is None:
                into[:, here] += price(kernel, rows, core, opt)
            elif mask.any():
                into[:, here[mask]] += price(kernel, rows.where(mask), core, opt)


def _selection(kind: str, libraries: tuple[str, ...], table: LayerTable, row: int) -> Selection:
    for library in libraries:
        if (library, kind) in SELECTIONS:
            return SELECTIONS[library, kind]
    raise UnsupportedOperator(
        f"layer table: row {row}: no kernel of {' or '.join(libraries)} prices {kind!r}; "
        f"priced kinds: {', '.join(sorted({k for _, k in SELECTIONS}))}"
    )
