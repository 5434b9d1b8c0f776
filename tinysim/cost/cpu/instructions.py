"""`instruction_counts`: what the CPU executes for every row of a layer table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.counts import Counts
from tinysim.cost.cpu import chw, cmsis_nn, esp_dl, esp_nn, float32, nnom, pulp_nn, tflm
from tinysim.cost.cpu.kernel import PATHS, SELECTIONS, Kernel, Rows, Selection
from tinysim.cost.cpu.per_trip import CLASSES, CORES, OPTS, core_table, per_trip
from tinysim.errors import UnknownRuntime, UnsupportedOperator, nearest
from tinysim.network.kinds import KINDS
from tinysim.network.table import LayerTable

__all__ = ["RUNTIMES", "instruction_counts", "price"]

#: runtime -> libraries asked in turn for a kernel of a kind, for 8-bit, 16-bit and float activations
RUNTIMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "cmsis-nn": (
        (cmsis_nn.LIBRARY, tflm.LIBRARY),
        (cmsis_nn.LIBRARY_16, tflm.LIBRARY),
        (float32.LIBRARY,),
    ),
    "cmsis-nn-5": (
        (cmsis_nn.LIBRARY_5, cmsis_nn.LIBRARY, tflm.LIBRARY),
        (cmsis_nn.LIBRARY_16, tflm.LIBRARY),
        (chw.LIBRARY, float32.LIBRARY),
    ),
    "tflm-reference": ((tflm.LIBRARY,), (tflm.LIBRARY_16, tflm.LIBRARY), (float32.LIBRARY,)),
    "esp-nn": ((esp_nn.LIBRARY, tflm.LIBRARY), (tflm.LIBRARY_16, tflm.LIBRARY), (float32.LIBRARY,)),
    "esp-dl": (
        (esp_dl.LIBRARY, esp_nn.LIBRARY, tflm.LIBRARY),
        (tflm.LIBRARY_16, tflm.LIBRARY),
        (float32.LIBRARY,),
    ),
    "esp-nn-ansi": ((esp_nn.LIBRARY_ANSI, tflm.LIBRARY), (tflm.LIBRARY_16, tflm.LIBRARY), (float32.LIBRARY,)),
    "nnom": ((nnom.LIBRARY, cmsis_nn.LIBRARY, tflm.LIBRARY), (tflm.LIBRARY_16, tflm.LIBRARY), (float32.LIBRARY,)),
    "pulp-nn": (
        (pulp_nn.LIBRARY, cmsis_nn.LIBRARY, tflm.LIBRARY),
        (cmsis_nn.LIBRARY_16, tflm.LIBRARY),
        (float32.LIBRARY,),
    ),
    "cmsis-nn-armclang": (
        (cmsis_nn.LIBRARY_ARMCLANG, cmsis_nn.LIBRARY, tflm.LIBRARY),
        (cmsis_nn.LIBRARY_16, tflm.LIBRARY),
        (float32.LIBRARY,),
    ),
    "float32": ((tflm.LIBRARY,), (tflm.LIBRARY_16, tflm.LIBRARY), (float32.LIBRARY,)),
}

#: Libraries whose kernels nobody counted: their loops are taken to be CMSIS-NN's, and fitted factors carry the rest.
_STAND_INS = ("microtvm-native", "autotiler", "andes-nn", "mvp", "ai8x")
RUNTIMES |= dict.fromkeys(_STAND_INS, RUNTIMES["cmsis-nn"])
#: Stand-ins whose code has no DSP instructions: they are priced as on a core without them.
_PLAIN_C = frozenset({"microtvm-native"})
_WITH_DSP = frozenset({"cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "cortex-m85"})

#: rows priced at a time: their columns stay in the cache
BLOCK = 1 << 15


def price(kernel: Kernel, rows: Rows, core: str, opt: str) -> NDArray[np.float64]:
    """Counts of a kernel for some rows, shape (classes, n): trips times instructions per trip."""
    measured_on, _ = core_table(kernel.library, kernel.name, core, opt)
    loops, table = per_trip(kernel.library, kernel.name, core, opt)
    trips = kernel.trips(rows, PATHS[measured_on])
    priced = np.zeros((len(CLASSES), len(rows.kind)))
    # Loop by loop, not as a matrix product: BLAS sums in an order that depends on the number of rows, and a network
    # must cost the same to the last bit alone and in a batch.
    for loop, per_class in zip(loops, table, strict=True):
        priced += per_class[:, None] * trips[loop]
    return priced


def instruction_counts(
    table: LayerTable,
    core: str = "cortex-m4",
    runtime: str = "cmsis-nn",
    opt: str = "-O3",
    *,
    fpu: bool = True,
) -> Counts:
    """Executed instructions by class of every row of `table`, each shape (n,).

    Args:
        table: the layers; `activation_bits` says whether a row runs an int8, an int16x8 or a float32 kernel.
        core: cortex-m0plus, -m3, -m4, -m7, -m33, -m55 or -m85; other 32-bit cores run the plain C build (`CORES`).
        runtime: `cmsis-nn` (TFLM's choice: CMSIS-NN where it has a kernel, else the reference kernel) or
            `tflm-reference`.
        opt: compiler level: -O3, -Ofast, -O2 or -Os; with "+dcheck" for a build without NDEBUG, in which TFLM's
            reference kernels check every tensor index.
        fpu: whether float32 kernels may use the FPU, if the core can have one.

    A view (reshape and the like) copies its tensor, as TFLM does; what the interpreter spends on each operator besides
    its kernel is not counted here.

    Raises:
        UnknownRuntime: an unknown core, runtime or compiler level.
        UnsupportedOperator: a kind that no library of the runtime prices.
    """
    for value, known, what in ((core, CORES, "core"), (runtime, RUNTIMES, "runtime"), (opt, OPTS, "compiler level")):
        if value not in known:
            raise UnknownRuntime(f"instruction counts: unknown {what} {value!r}; {nearest(value, known)}")
    counted = "cortex-m3" if runtime in _PLAIN_C and core in _WITH_DSP else core
    job = _Job(table, CORES[counted], OPTS[opt], RUNTIMES[runtime], fpu and core in float32.FPU_CORES)
    counts = np.zeros((len(CLASSES), len(table)))
    for start in range(0, len(table), BLOCK):
        job.price_block(slice(start, start + BLOCK), counts[:, start : start + BLOCK])
    return Counts(**dict(zip(CLASSES, counts, strict=True)))


@dataclass(frozen=True)
class _Job:
    """A table to price and the build that runs it."""

    table: LayerTable
    core: str
    opt: str
    libraries: tuple[tuple[str, ...], ...]
    fpu: bool

    def price_block(self, block: slice, into: NDArray[np.float64]) -> None:
        """Price the rows of `block`, grouped by kind and precision, into a view of the counts."""
        bits = self.table.activation_bits[block]
        precision = (bits > 8).astype(np.int64) + (bits > 16)
        groups = self.table.kind[block] * 3 + precision
        for group in np.flatnonzero(np.bincount(groups)):
            kind, width = KINDS[group // 3].name, int(group % 3)
            here = np.flatnonzero(groups == group)
            rows = Rows(self.table, here + block.start)
            for kernel, mask in self._selection(kind, width, block.start + int(here[0]))(rows, PATHS[self.core]):
                if mask is None:
                    into[:, here] += self._price(kernel, rows)
                elif mask.any():
                    into[:, here[mask]] += self._price(kernel, rows.where(mask))

    def _price(self, kernel: Kernel, rows: Rows) -> NDArray[np.float64]:
        priced = price(kernel, rows, self.core, self.opt)
        return priced if self.fpu or kernel.library != float32.LIBRARY else float32.soft_float(priced, self.core)

    def _selection(self, kind: str, width: int, row: int) -> Selection:
        for library in self.libraries[width]:
            if (library, kind) in SELECTIONS:
                return SELECTIONS[library, kind]
        raise UnsupportedOperator(
            f"layer table: row {row}: no kernel of {' or '.join(self.libraries[width])} prices {kind!r}; "
            f"priced kinds: {', '.join(sorted({k for _, k in SELECTIONS}))}"
        )
