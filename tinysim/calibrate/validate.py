"""Validation: predictions of rows that were not fitted, beside naive baselines on the same splits.

No row is both fitted and scored: each group of a split is predicted by a fit to all other groups' rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinysim.calibrate.features import ln_cycles, row_features, row_levels
from tinysim.calibrate.fit import Design, fit_effects
from tinysim.calibrate.layers import is_layer, layer_table
from tinysim.calibrate.rows import load_rows
from tinysim.network.load import load_network

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SPLITS", "Dataset", "coverage", "dataset", "out_of_fold", "scores", "table_of"]

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]

#: split -> what is left out at a time
SPLITS = {
    "cell": "a network on a board with a stack, copies of the measurement included",
    "network": "a network (of the zoo: its family) everywhere",
    "board": "a board, its core and stack known from other boards",
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Measured rows with all that a fit needs of them."""

    rows: pd.DataFrame
    levels: Sequence[dict[str, str]]
    design: Design
    ln_cycles: Floats

    def groups(self, split: str) -> NDArray[np.str_]:
        """The group of each row in a split, shape (n,)."""
        if split == "cell":
            return np.array(self.rows["cell"], dtype=str)
        if split == "network":
            return np.array([network_family(name) for name in self.rows["network"]])
        return np.array(self.rows["device"], dtype=str)

    def scored(self, split: str) -> NDArray[np.bool_]:
        """Rows that a split can score: of a board left out, those whose core and stack other boards know."""
        if split != "board":
            return np.ones(len(self.rows), dtype=bool)
        boards, known = self.groups("board"), np.zeros(len(self.rows), dtype=bool)
        for i, level in enumerate(self.levels):
            others = [other for other, board in zip(self.levels, boards, strict=True) if board != boards[i]]
            known[i] = any(other["core"] == level["core"] for other in others) and any(
                other["stack"] == level["stack"] for other in others
            )
        return known


def network_family(name: str) -> str:
    """The family of a network of the ST model zoo; any other network, and any shape of a layer, is its own.

    >>> network_family("st-mobilenet-v1-0.25-96-c5"), network_family("mlperf-tiny-kws@float32")
    ('mobilenet-v', 'mlperf-tiny-kws')
    """
    if is_layer(name):
        return name.partition(":")[2]
    base = name.split("@")[0]
    if base.startswith(("mlperf", "edgemark")):
        return base
    return re.sub(r"[-.]?\d.*", "", base.removeprefix("st-"))


def dataset(*suites: str) -> Dataset:
    """The rows of the shipped suites, all by default.

    Raises:
        InputError: no such suite.
    """
    rows = load_rows(*suites)
    levels = row_levels(rows)
    return Dataset(rows, levels, Design.of(levels, row_features(rows)), ln_cycles(rows))


def out_of_fold(data: Dataset, split: str, progress: Progress | None = None) -> Floats:
    """Predicted ln cycles of every row without its group, shape (n,); NaN where the split cannot score a row."""
    groups, scored = data.groups(split), data.scored(split)
    design = data.design.collapsed()
    start = fit_effects(design, data.ln_cycles)
    predicted = np.full(len(groups), np.nan)
    wanted = np.unique(groups[scored])
    for done, group in enumerate(wanted):
        held = groups == group
        theta = fit_effects(design.rows(~held), data.ln_cycles[~held], start=start, tolerance=2e-3)
        predicted[held & scored] = design.rows(held).predict(theta)[scored[held]]
        if progress is not None:
            progress(done + 1, len(wanted))
    return predicted


def baselines(data: Dataset, split: str) -> dict[str, Floats]:
    """Two naive predictions on the same split: one cycles/MAC, and cycles/MAC by layer type, per stack and core.

    Where a stack on a core was never measured outside the group, all other rows of the precision serve.
    """
    groups = data.groups(split)
    macs = np.array([_macs_by_type(name) for name in data.rows["network"]])
    stacks = np.array([f"{v['stack']} {v['core']} {v['precision']} {v['build']}" for v in data.levels])
    precision = np.array([v["precision"] for v in data.levels])
    cycles = np.exp(data.ln_cycles)
    one, typed = np.full(len(groups), np.nan), np.full(len(groups), np.nan)
    for group in np.unique(groups):
        held = groups == group
        for stack in np.unique(stacks[held]):
            rows = held & (stacks == stack)
            served = ~held & (stacks == stack)
            if not served.any():
                served = ~held & (precision == precision[rows][0])
            rate = np.median(cycles[served] / macs[served].sum(axis=1))
            one[rows] = np.log(np.maximum(macs[rows].sum(axis=1), 1) * rate)
            typed[rows] = _by_type(macs, cycles, served, rows)
    return {"cycles/MAC": one, "cycles/MAC by layer type": typed}


def _by_type(macs: Floats, cycles: Floats, served: NDArray[np.bool_], rows: NDArray[np.bool_]) -> Floats:
    from scipy.optimize import nnls

    weight = 1.0 / cycles[served]
    rates, _ = nnls(macs[served] * weight[:, None], np.ones(int(served.sum())))
    predicted: Floats = np.log(np.maximum(macs[rows] @ rates, 1.0))
    return predicted


def _macs_by_type(name: str) -> tuple[float, ...]:
    table = layer_table(name) if is_layer(name) else load_network(name).table()
    pointwise = table.is_kind("conv2d") & (table.kernel_h * table.kernel_w == 1)
    conv = table.is_kind("conv2d", "transpose_conv") & ~pointwise
    masks = (conv, pointwise, table.is_kind("depthwise_conv2d"), table.is_family("matmul", "recurrent"))
    return (*(float(table.macs[mask].sum()) for mask in masks), 0.0)


def scores(error_ln: Floats) -> dict[str, float]:
    """Summary of ln(measured / predicted): n, mape, median, p90, worst, share within 10 % and 12 %."""
    ape = np.abs(np.expm1(-error_ln[np.isfinite(error_ln)]))
    return {
        "n": len(ape),
        "mape": float(ape.mean()),
        "median": float(np.median(ape)),
        "p90": float(np.quantile(ape, 0.9)),
        "worst": float(ape.max()),
        "within_10": float((ape <= 0.10).mean()),
        "within_12": float((ape <= 0.12).mean()),
    }


def coverage(data: Dataset, split: str, predicted: Floats) -> list[dict[str, float]]:
    """Empirical coverage of intervals made of the other cells' residuals, and their median half-width.

    For each row the residuals of its own group are left out, as they would be for a new measurement.
    """
    from tinysim.estimate.interval import conformal_factor

    groups = data.groups(split)
    residual = data.ln_cycles - predicted
    finite = np.isfinite(residual)
    key = np.array([f"{v['family']} {v['core']} {v['precision']}" for v in data.levels])
    precision = np.array([v["precision"] for v in data.levels])
    found = []
    for level in (0.5, 0.8, 0.9):
        factors = np.full(len(residual), np.nan)
        for i in np.flatnonzero(finite):
            others = finite & (groups != groups[i])
            near = others & (key == key[i])
            pool = residual[near] if near.sum() >= 12 else residual[others & (precision == precision[i])]
            factors[i] = conformal_factor(pool.tolist(), level)
        inside = np.abs(residual[finite]) <= np.log(factors[finite])
        row = {"level": level, "coverage": float(inside.mean()), "half_width": float(np.median(factors[finite]) - 1)}
        found.append(row)
    return found


def table_of(data: Dataset, split: str, predicted: Floats, suites: set[str]) -> pd.DataFrame:
    """Errors by suite and precision, of tinysim and of two baselines on the same rows.

    predicted: of `out_of_fold`, shape (n,). suites: which to report; all if empty. Columns: split, suite, precision,
    model, n, mape, median, p90, worst, within_10, within_12 [1], worst_row.
    """
    import pandas as pd

    precision = np.array([level["precision"] for level in data.levels])
    models = {"tinysim": predicted} | baselines(data, split)
    found = []
    for suite in sorted(suites or set(data.rows["suite"])):
        for bits in ("int8", "int16x8", "float32"):
            rows = np.isfinite(predicted) & np.array(data.rows["suite"] == suite) & (precision == bits)
            if not rows.any():
                continue
            for model, values in models.items():
                error = (data.ln_cycles - values)[rows]
                worst = data.rows["id"].to_numpy()[rows][int(np.argmax(np.abs(error)))]
                head = {"split": split, "suite": suite, "precision": bits, "model": model}
                found.append(head | scores(error) | {"worst_row": worst})
    return pd.DataFrame(found)
