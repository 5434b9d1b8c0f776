"""Instructions per loop trip: the tables of `tables/<library>.csv`, by kernel, loop, core and compiler level.

A row says what one trip of a loop executes, by class. Values come from a non-negative least-squares fit of emulated
kernels (`tinysim.cost.cpu.fit`), so most equal what the assembly does; rows whose `origin` is `structure` were counted
from the source because nothing was measured.
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
}
#: compiler levels; -Ofast differs from -O3 in floating point only
OPTS = {"-O3": "-O3", "-Ofast": "-O3", "-O2": "-O2", "-Os": "-Os"}

#: where a library has no table for a core: the nearest core that has one, in order
_STAND_INS = {
    "cortex-m0plus": ("cortex-m3", "cortex-m4"),
    "cortex-m3": ("cortex-m4",),
    "cortex-m4": (),
    "cortex-m7": ("cortex-m4",),
    "cortex-m33": ("cortex-m4",),
    "cortex-m55": ("cortex-m33", "cortex-m4"),
}

Table = dict[tuple[str, str, str], tuple[tuple[str, ...], NDArray[np.float64]]]


@lru_cache
def read_table(library: str) -> Table:
    """(kernel, core, opt) -> (loops, matrix of shape (loops, classes)), from `tables/<library>.csv`."""
    text = (files("tinysim.cost.cpu") / "tables" / f"{library}.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    loops: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for row in rows:
        key = (row["kernel"], row["core"], row["opt"])
        loops.setdefault(key, {})[row["loop"]] = [float(row[name] or 0) for name in CLASSES]
    return {key: (tuple(by_loop), np.array(list(by_loop.values()))) for key, by_loop in loops.items()}


def core_table(library: str, kernel: str, core: str, opt: str) -> tuple[str, str]:
    """(core, opt) of the table that prices `kernel` on `core` at `opt`: its own, else the nearest that exists."""
    table = read_table(library)
    for candidate in (core, *_STAND_INS[core]):
        for level in (opt, "-O3"):
            if (kernel, candidate, level) in table:
                return candidate, level
    measured = sorted({c for k, c, _ in table if k == kernel})
    raise UnsupportedOperator(f"kernel {kernel!r} has no instruction table for {core}; {nearest(core, measured)}")


@lru_cache
def per_trip(library: str, kernel: str, core: str, opt: str) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Loops of a kernel and instructions per trip, shape (loops, classes), for a core and compiler level.

    Other compiler levels than -O3 were measured on the Cortex-M4 only: another core's -O3 row is scaled by the M4's
    ratio of the two levels, kernel by kernel (mean over the loops that both have, by instructions).
    """
    own, level = core_table(library, kernel, core, opt)
    loops, matrix = read_table(library)[kernel, own, level]
    if level != opt and (kernel, "cortex-m4", opt) in read_table(library):
        _, at_opt = read_table(library)[kernel, "cortex-m4", opt]
        _, at_o3 = read_table(library)[kernel, "cortex-m4", "-O3"]
        matrix = matrix * np.sqrt(at_opt.sum() / at_o3.sum())
    return loops, matrix
