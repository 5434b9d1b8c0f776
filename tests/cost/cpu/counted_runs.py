"""Emulated runs of kernels (tests/cost/cpu/data) as layer tables and counts, and the split of a fit from its score."""

from pathlib import Path

import numpy as np
import pandas as pd

from tinysim.cost.cpu.fit import fit_per_trip, read_expectations
from tinysim.cost.cpu.kernel import PATHS, SELECTIONS, Rows
from tinysim.cost.cpu.per_trip import CLASSES
from tinysim.network.table import COLUMNS, LayerTable

DATA = Path(__file__).parent / "data"
#: classes that sum to the executed instructions
ADDENDS = ("loads", "stores", "mac_instr", "mul_instr", "alu", "div", "branches")


def read_runs(name="cmsis_nn_instructions"):
    return pd.read_csv(DATA / f"{name}.csv", comment="#")


def layer_table(runs):
    return LayerTable.from_frame(runs[[column for column in COLUMNS if column in runs]])


def kernels_of(runs, library="cmsis-nn"):
    """Yield (kernel, core, opt, rows of `runs`) for every kernel that the library's selections choose."""
    for (core, opt), group in runs.groupby(["core", "opt"], sort=False):
        by_kernel = {}
        for kind, of_kind in group.groupby("kind", sort=False):
            if (library, kind) not in SELECTIONS:
                continue
            rows = Rows(layer_table(of_kind), slice(None))
            for kernel, mask in SELECTIONS[library, kind](rows, PATHS[core]):
                chosen = of_kind.index if mask is None else of_kind.index[mask]
                by_kernel.setdefault(kernel, []).append(chosen)
        for kernel, parts in by_kernel.items():
            index = np.concatenate(parts)
            if len(index):
                yield kernel, core, opt, runs.loc[index]


def trips_of(kernel, core, runs):
    trips = kernel.trips(Rows(layer_table(runs), slice(None)), PATHS[core])
    return {loop: np.broadcast_to(values, len(runs)) for loop, values in trips.items()}


def fit_kernel(kernel, core, runs):
    """Per-trip counts from `runs`: (loops, matrix)."""
    trips = trips_of(kernel, core, runs)
    return list(trips), fit_per_trip(trips, runs, read_expectations(kernel.library, kernel.name))


def predict(kernel, core, runs, matrix):
    """Counts of `runs` by class: shape (n, classes)."""
    trips = trips_of(kernel, core, runs)
    return np.stack(list(trips.values()), axis=1).astype(float) @ matrix


def instructions(counts):
    return counts[:, [CLASSES.index(name) for name in ADDENDS]].sum(axis=1)


def halves(runs, seed):
    """Split rows into two random halves of distinct layers (a shape that occurs twice stays on one side)."""
    shapes = runs.drop_duplicates(["kind", *_shape_columns(runs)]).index
    key = runs.groupby(["kind", *_shape_columns(runs)], sort=False).ngroup()
    chosen = np.random.default_rng(seed).permutation(len(shapes))[: (len(shapes) + 1) // 2]
    mask = key.isin(chosen)
    return runs[mask], runs[~mask]


def _shape_columns(runs):
    return [column for column in COLUMNS if column in runs and column != "kind"]
