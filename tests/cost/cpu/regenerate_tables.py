"""Fits the instruction tables of tinysim/cost/cpu/tables from the emulated runs beside this file.

Run from the repository's root: python tests/cost/cpu/regenerate_tables.py
"""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
from counted_runs import fit_kernel, kernels_of, read_runs

from tinysim.cost.cpu.per_trip import CLASSES

TABLES = Path(__file__).parents[3] / "tinysim" / "cost" / "cpu" / "tables"
HEADER = """\
# Instructions per loop trip of {library} kernels, by class. Fitted (tests/cost/cpu/regenerate_tables.py, non-negative
# least squares) to executed instructions counted under emulation: {source}.
"""
KERNELS = "CMSIS-NN commit 99f736a6 (2026-07), arm-none-eabi-gcc 12.2, one kernel call per run"
OPS = "TFLM operators (2026-07), arm-none-eabi-gcc 12.2, -O2"


def cmsis_nn_runs():
    """Single kernel calls, and the operators that only whole TFLM models ran."""
    runs = read_runs("tflm_ops")
    only_there = runs.kind.isin(["unidirectional_sequence_lstm", "svdf", "transpose_conv"])
    ops = runs[only_there & (runs.kernels == "cmsis_nn") & (runs.activation_bits == 8)]
    return pd.concat([read_runs("cmsis_nn_instructions"), ops], ignore_index=True)


def tflm_runs(bits):
    """Reference kernels; fully connected layers with one multiplier only."""
    runs = read_runs("tflm_ops")
    return runs[(runs.kernels == "reference") & (runs.activation_bits == bits) & (runs.per_channel == 0)]


def float_runs():
    """Float32: operators of TFLM models, and the convolution loops at every compiler level."""
    loops = read_runs("reference_loops")
    return pd.concat([tflm_runs(32), loops[loops.activation_bits == 32]], ignore_index=True)


#: table -> (library of the selections, runs, source)
TABLE_RUNS = {
    "cmsis_nn": ("cmsis-nn", cmsis_nn_runs, f"{KERNELS}; {OPS}"),
    "tflm_reference": ("tflm-reference", lambda: tflm_runs(8), OPS),
    "float32": ("float32", float_runs, f"{OPS}; rewritten loops"),
}


def other_levels(fitted):
    """int8 convolutions at other compiler levels: the fit at -O2 plus what the level changes in the rewritten loops."""
    loops = read_runs("reference_loops")
    by_level = {
        (kernel, core, opt): fit_kernel(kernel, core, runs)[1]
        for kernel, core, opt, runs in kernels_of(loops[loops.activation_bits == 8], "tflm-reference")
    }
    for kernel, core, opt in by_level:
        if opt != "-O2":
            names, at_o2 = fitted[kernel, core, "-O2"]
            yield (
                kernel,
                core,
                opt,
                names,
                np.maximum(at_o2 + by_level[kernel, core, opt] - by_level[kernel, core, "-O2"], 0),
            )


def rounded(value):
    """Four significant digits; what is within 2 % of a whole number is that number."""
    nearest = round(value)
    if nearest and abs(value - nearest) <= 0.02:
        return nearest
    return float(f"{value:.4g}") if value >= 5e-4 else 0


def fitted_tables(table):
    """(kernel, core, opt) -> (loops, matrix) of a table."""
    library, runs, _ = TABLE_RUNS[table]
    fitted = {
        (kernel, core, opt): fit_kernel(kernel, core, rows) for kernel, core, opt, rows in kernels_of(runs(), library)
    }
    if table == "tflm_reference":
        fitted |= {(kernel, core, opt): (loops, matrix) for kernel, core, opt, loops, matrix in other_levels(fitted)}
    return fitted


def regenerate(table):
    library, _, source = TABLE_RUNS[table]
    text = io.StringIO(HEADER.format(library=library, source=source))
    text.seek(0, io.SEEK_END)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["kernel", "loop", "core", "opt", *CLASSES])
    for (kernel, core, opt), (loops, matrix) in sorted(
        fitted_tables(table).items(), key=lambda i: (i[0][0].name, *i[0][1:])
    ):
        for loop, values in zip(loops, matrix, strict=True):
            writer.writerow([kernel.name, loop, core, opt, *(rounded(value) or "" for value in values)])
    (TABLES / f"{table}.csv").write_text(text.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    for name in TABLE_RUNS:
        regenerate(name)
