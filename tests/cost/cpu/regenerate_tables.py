"""Fits the instruction tables of tinysim/cost/cpu/tables from the emulated runs beside this file.

Run from the repository's root: python tests/cost/cpu/regenerate_tables.py
"""

import csv
from pathlib import Path

from counted_runs import fit_kernel, kernels_of, read_runs

from tinysim.cost.cpu.per_trip import CLASSES

TABLES = Path(__file__).parents[3] / "tinysim" / "cost" / "cpu" / "tables"
HEADER = """\
# Instructions per loop trip of {library} kernels, by class. Fitted (tests/cost/cpu/regenerate_tables.py, non-negative
# least squares) to executed instructions counted under emulation: {source}.
"""
SOURCES = {
    "cmsis_nn": "CMSIS-NN commit 99f736a6 (2026-07), arm-none-eabi-gcc 12.2, one kernel call per run",
}
LIBRARIES = {"cmsis_nn": ("cmsis-nn", "cmsis_nn_instructions")}


def rounded(value):
    """Four significant digits; what is within 2 % of a whole number is that number."""
    nearest = round(value)
    if nearest and abs(value - nearest) <= 0.02:
        return nearest
    return float(f"{value:.4g}") if value >= 5e-4 else 0


def regenerate(library):
    selections, data = LIBRARIES[library]
    with (TABLES / f"{library}.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(HEADER.format(library=library, source=SOURCES[library]))
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["kernel", "loop", "core", "opt", *CLASSES])
        fitted = sorted(kernels_of(read_runs(data), selections), key=lambda item: (item[0].name, item[1], item[2]))
        for kernel, core, opt, runs in fitted:
            loops, matrix = fit_kernel(kernel, core, runs)
            for loop, values in zip(loops, matrix, strict=True):
                writer.writerow([kernel.name, loop, core, opt, *(rounded(value) or "" for value in values)])


if __name__ == "__main__":
    for name in LIBRARIES:
        regenerate(name)
