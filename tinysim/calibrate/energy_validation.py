"""Validation of energy: rows predicted without their cell, network or MCU, with measured and with predicted latency.

No row is both fitted and scored, neither for its latency nor for its power.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinysim.calibrate.energy import SPLITS, PowerRows, chip, energy_rows, out_of_fold_power
from tinysim.calibrate.features import row_levels
from tinysim.calibrate.fit import fit_effects
from tinysim.calibrate.rows import load_rows
from tinysim.calibrate.validate import dataset
from tinysim.device.library import load_device, spec_folder
from tinysim.estimate.interval import conformal_factor, energy_factor

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEVELS", "Latencies", "validate_energy"]

Floats = NDArray[np.float64]
Groups = NDArray[np.str_]

#: Levels of the intervals whose coverage is counted.
LEVELS = (0.5, 0.8, 0.9)
#: Latencies of the same family, core and precision that suffice for an interval, as in `tinysim.calibrate.validate`.
_ENOUGH = 12


def validate_energy(
    rows: PowerRows | None = None, *, splits: Sequence[str] = SPLITS, predicted_latency: bool = True
) -> pd.DataFrame:
    """Errors of predicted energy by split, with measured and with predicted latency, beside those of baselines.

    Columns: split (cell, network, board), latency (measured, predicted), model (effects; power of the board, the mean
    of its other rows; data sheet current), n, mape, median, p90 [1]; of the effects also coverage_50, coverage_80 and
    coverage_90 of intervals made from residuals of other groups.
    rows: of `energy_rows`, read if not given. predicted_latency: whether to predict the latencies too: of left-out
    cells by the shipped residuals of the latency fit, of networks and MCUs by its refits, which take a minute.

    Raises:
        InputError: no such split.
    """
    import pandas as pd

    rows = rows or energy_rows()
    found = []
    for split in splits:
        groups = rows.groups(split)
        power = out_of_fold_power(rows, split)
        models = {"effects": power}
        if split != "board":
            models["power of the board"] = _mean_power(rows, groups)
        models["data sheet current"] = np.where(rows.sheet, rows.reference_w, np.nan)
        known = Latencies.left_out(split) if predicted_latency else None
        for latencies in (None, known) if known else (None,):
            error = np.zeros(len(power)) if latencies is None else latencies.of(rows)
            name = "measured" if latencies is None else "predicted"
            for model, watts in models.items():
                score = _score(np.log(rows.power_w / watts) + error)
                if model == "effects":
                    pools = None if latencies is None else latencies.pools(rows)
                    score |= _coverage(error, np.log(rows.power_w / power), groups, pools)
                found.append({"split": split, "latency": name, "model": model} | score)
    return pd.DataFrame(found)


@dataclass(frozen=True, eq=False)
class Latencies:
    """Latencies of all suites, predicted without the cell, network or MCU of each row."""

    ids: Sequence[str]
    levels: Sequence[Mapping[str, str]]
    """family, stack, core, board, precision of each row"""
    groups: Groups
    """what was left out with each row, shape (n,)"""
    residual: Floats
    """ln(measured / predicted), shape (n,); not a number where there is no prediction"""

    @classmethod
    def left_out(cls, split: str) -> Latencies:
        """Cells: the shipped residuals of the latency fit. Networks and MCUs: refits."""
        if split == "cell":
            table = load_rows()
            return cls(table["id"].tolist(), row_levels(table), np.array(table["cell"]), _shipped(table["id"]))
        data = dataset()
        if split == "board":
            groups = np.array([chip(load_device(device)) for device in data.rows["device"]])
        else:
            groups = data.groups(split)
        design, noise = data.design.collapsed(), data.noise_ln
        start = fit_effects(design, data.ln_cycles, noise_ln=noise)
        residual = np.full(len(groups), np.nan)
        for group in np.unique(groups):
            held = groups == group
            theta = fit_effects(
                design.rows(~held), data.ln_cycles[~held], start=start, tolerance=2e-3, noise_ln=noise[~held]
            )
            residual[held] = data.ln_cycles[held] - design.rows(held).predict(theta)
        return cls(data.rows["id"].tolist(), data.levels, groups, residual)

    def _positions(self, rows: PowerRows) -> NDArray[np.int64]:
        position = {name: i for i, name in enumerate(self.ids)}
        return np.array([position[name] for name in rows.table["id"]])

    def of(self, rows: PowerRows) -> Floats:
        """Residuals of the rows with an energy, shape (rows,)."""
        found: Floats = self.residual[self._positions(rows)]
        return found

    def pools(self, rows: PowerRows) -> list[Floats]:
        """For each row the residuals of other groups: of its family, core and precision where there are enough."""
        key = np.array([f"{v['family']} {v['core']} {v['precision']}" for v in self.levels])
        precision = np.array([v["precision"] for v in self.levels])
        found = []
        for i in self._positions(rows):
            others = np.isfinite(self.residual) & (self.groups != self.groups[i])
            near = others & (key == key[i])
            found.append(self.residual[near if near.sum() >= _ENOUGH else others & (precision == precision[i])])
        return found


def _shipped(ids: Iterable[str]) -> Floats:
    """The shipped latency residuals of left-out cells, in the order of the rows."""
    text = (spec_folder() / "calibration" / "residuals.csv").read_text(encoding="utf-8")
    table = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    known = {row["id"]: float(row["cell_ln"]) for row in table}
    return np.array([known.get(name, math.nan) for name in ids])


def _coverage(latency: Floats, power: Floats, groups: Groups, pools: list[Floats] | None) -> dict[str, float]:
    """Share of rows whose energy lies in the interval made from residuals of other groups, by level.

    pools: latency residuals of other groups for each row; None: the latency is known.
    """
    known = np.flatnonzero(~np.isnan(power + latency))
    covered = {}
    for level in LEVELS:
        inside = []
        for i in known:
            others = power[known[groups[known] != groups[i]]]
            factor = 1.0 if pools is None else conformal_factor(pools[i].tolist(), level)
            inside.append(abs(latency[i] + power[i]) <= math.log(energy_factor(factor, others.tolist(), level)))
        covered[f"coverage_{level * 100:.0f}"] = float(np.mean(inside))
    return covered


def _mean_power(rows: PowerRows, groups: Groups) -> Floats:
    """Mean power of a board's rows in other groups, at the supply of the row, shape (n,) [W]."""
    boards = np.array(rows.board)
    over = rows.power_w / rows.reference_w
    means = [over[(boards == board) & (groups != group)].mean() for board, group in zip(boards, groups, strict=True)]
    power: Floats = rows.reference_w * np.array(means)
    return power


def _score(errors: Floats) -> dict[str, Any]:
    known = errors[~np.isnan(errors)]
    relative = np.abs(np.exp(-known) - 1.0)
    return {
        "n": len(known),
        "mape": float(relative.mean()),
        "median": float(np.median(relative)),
        "p90": float(np.quantile(relative, 0.9)),
    }
