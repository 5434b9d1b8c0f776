"""Instructions per loop trip, by kernel, loop, core and compiler level: `tables/<library>.csv` and `..._structure.csv`.

The first come from a non-negative least-squares fit of emulated kernels (`tinysim.cost.cpu.fit`), so most equal what
the assembly does; the second were counted from the source of kernels that nobody ran.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import UnsupportedOperator, nearest

__all__ = ["CLASSES", "CORES", "OPTS", "core_table", "per_trip", "read_table"]

#: instruction classes in the order of the table's columns: the fields of `Counts`
CLASSES = (
    "loads",
    "stores",
    "mac_instr",
    "mul_instr",
    "alu",
    "div",
    "branches",
    "branches_taken",
    "vec_instr",
    "load_bytes",
    "store_bytes",
)

#: the first so many classes add up to the executed instructions
_ADDENDS = 7

#: accepted core -> core whose library build it runs (the Cortex-M85 executes the Cortex-M55's Helium code)
CORES = {
    "cortex-m0plus": "cortex-m0plus",
    "cortex-m0": "cortex-m0plus",
    "cortex-m3": "cortex-m3",
    "cortex-m4": "cortex-m4",
    "cortex-m7": "cortex-m7",
    "cortex-m33": "cortex-m33",
    "cortex-m55": "cortex-m55",
    "cortex-m85": "cortex-m55",
    "xtensa-lx7": "xtensa-lx7",
    "rv32imafc-esp": "rv32imafc-esp",
    "gap8-cluster": "gap8-cluster",
    "gap9-cluster": "gap8-cluster",
}
#: cores on which no library was counted: they run the plain C build, taken to execute what the Cortex-M3 does. Those
#: without post-increment addressing and conditional execution (RISC-V) execute more: calibrate on measured rows.
_PLAIN_C = ("rxv2 rxv3 xtensa-lx6 rv32imc rv32imafc andes-d25f andes-d45 msp430x rh850-g3kh").split()
CORES |= dict.fromkeys(_PLAIN_C, "cortex-m3")
#: compiler levels; -Ofast differs from -O3 in floating point only. "+dcheck": built without NDEBUG, so that TFLM's
#: reference kernels check every index (many vendor IDE projects)
OPTS = {
    f"{opt}{suffix}": f"{table}{suffix}"
    for suffix in ("", "+dcheck")
    for opt, table in {"-O3": "-O3", "-Ofast": "-O3", "-O2": "-O2", "-Os": "-Os"}.items()
}
#: reference kernels besides the convolutions that index their tensors in 4 dimensions inside the loops
_INDEXED = frozenset({"AveragePool", "MaxPool", "TransposeConv"})

#: where a library has no table for a core: the nearest core that has one, in order
_STAND_INS = {
    "cortex-m0plus": ("cortex-m3", "cortex-m4"),
    "cortex-m3": ("cortex-m4",),
    "cortex-m4": ("cortex-m3",),
    "cortex-m7": ("cortex-m4", "cortex-m3"),
    "cortex-m33": ("cortex-m4", "cortex-m3"),
    "cortex-m55": ("cortex-m33", "cortex-m4", "cortex-m3"),
    "xtensa-lx7": ("cortex-m3", "cortex-m4"),
    "rv32imafc-esp": ("cortex-m3", "cortex-m4", "xtensa-lx7"),
    "gap8-cluster": ("cortex-m3", "cortex-m4"),
}

Table = dict[tuple[str, str, str], tuple[tuple[str, ...], NDArray[np.float64]]]


@lru_cache
def read_table(library: str) -> Table:
    """(kernel, core, opt) -> (loops, matrix of shape (loops, classes)): fitted rows, then rows counted by hand."""
    folder = files("tinysim.cost.cpu") / "tables"
    loops: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for name in (f"{library}.csv", f"{library}_structure.csv"):
        if not (folder / name).is_file():
            continue
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        for row in csv.DictReader(line for line in lines if not line.startswith("#")):
            key = (row["kernel"], row["core"], row["opt"])
            loops.setdefault(key, {})[row["loop"]] = [float(row[column] or 0) for column in CLASSES]
    return {key: (tuple(by_loop), np.array(list(by_loop.values()))) for key, by_loop in loops.items()}


def core_table(library: str, kernel: str, core: str, opt: str) -> tuple[str, str]:
    """(core, opt) of the table that prices `kernel` on `core` at `opt`: its own, else the nearest that exists."""
    table = read_table(library)
    for candidate in (core, *_STAND_INS[core]):
        for level in (opt, opt.removesuffix("+dcheck"), "-O3", "-O2"):
            if (kernel, candidate, level) in table:
                return candidate, level
    measured = sorted({c for k, c, _ in table if k == kernel})
    raise UnsupportedOperator(f"kernel {kernel!r} has no instruction table for {core}; {nearest(core, measured)}")


@lru_cache
def per_trip(library: str, kernel: str, core: str, opt: str) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Loops of a kernel and instructions per trip, shape (loops, classes), for a core and compiler level.

    Where a kernel was measured on another core or at another level only, its table is scaled by what that step means
    for the kernels that have both: the median ratio of instructions over their loops (levels: on the Cortex-M4).
    """
    own_core, own_level = core_table(library, kernel, core, opt)
    loops, matrix = read_table(library)[kernel, own_core, own_level]
    if own_core != core:
        matrix = matrix * _ratio(("tflm_reference", core, "-O2"), ("tflm_reference", own_core, "-O2"))
    if kernel in _INDEXED:
        matrix = matrix * _ratio(("tflm_reference", "cortex-m4", opt), ("tflm_reference", "cortex-m4", own_level))
    elif own_level != (level := opt.removesuffix("+dcheck")):
        matrix = matrix * _ratio(("cmsis_nn", "cortex-m4", level), ("cmsis_nn", "cortex-m4", own_level))
    return loops, matrix


def _ratio(wanted: tuple[str, str, str], has: tuple[str, str, str]) -> float:
    """Median ratio of instructions per trip between two (library, core, level), over the loops that both have; 1 if
    nothing was measured on both.
    """
    ratios = []
    for (kernel, core, level), (loops, matrix) in read_table(wanted[0]).items():
        other = read_table(has[0]).get((kernel, *has[1:]))
        if (core, level) == wanted[1:] and other is not None:
            mine = dict(zip(loops, matrix[:, :_ADDENDS].sum(axis=1), strict=True))
            theirs = dict(zip(other[0], other[1][:, :_ADDENDS].sum(axis=1), strict=True))
            ratios += [mine[loop] / theirs[loop] for loop in mine if theirs.get(loop, 0) > 1 and mine[loop] > 1]
    return float(np.median(ratios)) if ratios else 1.0
