"""Validation: run it, and print it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn

import tinysim
from tinysim.calibrate.fit import fit_effects, posterior
from tinysim.calibrate.validate import SPLITS, coverage, dataset, out_of_fold, parameters, predictions, table_of
from tinysim.errors import InputError, nearest
from tinysim.report.text import console, make_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Validation", "energy_validation", "print_energy_validation", "print_validation", "validate"]


@dataclass(frozen=True, eq=False)
class Validation:
    """Predictions of rows that were left out of the fit, and what they are worth."""

    rows: int
    """measured rows of all suites, all of which serve the fits"""
    effects: int
    """fitted effects that the rows say something about"""
    effective_parameters: float
    """how many the rows determine"""
    parameters: list[dict[str, Any]]
    """the same by whose parameter it is and what it means"""
    scores: list[dict[str, Any]]
    """by split, suite, precision and model"""
    coverage: list[dict[str, Any]]
    """of the intervals, by split, suite and level"""
    predictions: pd.DataFrame
    """measured and predicted latency of every scored row of every split"""

    def to_dict(self) -> dict[str, Any]:
        """The validation as plain data: what `tinysim validate --json` prints."""
        return {
            "version": tinysim.__version__,
            "rows": self.rows,
            "effects": self.effects,
            "effective_parameters": self.effective_parameters,
            "parameters": self.parameters,
            "splits": {split: SPLITS[split] for split in dict.fromkeys(self.predictions["split"])},
            "scores": self.scores,
            "coverage": self.coverage,
        }


def validate(suites: Sequence[str] = (), splits: Sequence[str] = ()) -> Validation:
    """Predict the rows of suites on splits (all by default); rows of the other suites serve the fits.

    Raises:
        InputError: no such suite or split.
    """
    import pandas as pd

    for name in splits:
        if name not in SPLITS:
            raise InputError(f"unknown split {name!r}; {nearest(name, SPLITS)}")
    data = dataset()
    known = set(data.rows["suite"])
    for name in suites:
        if name not in known:
            raise InputError(f"unknown suite {name!r}; {nearest(name, known)}")
    noise = data.noise_ln
    theta = fit_effects(data.design, data.ln_cycles, noise_ln=noise)
    fit = posterior(data.design, data.ln_cycles, theta, noise_ln=noise)
    frames: list[pd.DataFrame] = []
    covered: list[dict[str, Any]] = []
    predicted_by: dict[str, Any] = {}
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, console=console(stderr=True)) as bar:
        for split in dict.fromkeys(splits or SPLITS):
            task = bar.add_task(f"leaving out each {split}", total=None)
            if split == "pair" and "board" in predicted_by:  # the same fits, fewer rows scored
                predicted = np.where(data.scored(split), predicted_by["board"], np.nan)
            else:
                predicted = out_of_fold(data, split, partial(_advance, bar, task))
            predicted_by[split] = predicted
            frame = predictions(data, split, predicted)
            frames.append(frame[frame["suite"].isin(suites or known)])
            covered += coverage(data, split, predicted, suites)
    table = pd.concat(frames, ignore_index=True)
    return Validation(
        rows=len(data.rows),
        effects=len(fit.effects()),
        effective_parameters=fit.effective_parameters,
        parameters=parameters(fit),
        scores=json.loads(table_of(table).to_json(orient="records", double_precision=15)),
        coverage=covered,
        predictions=table,
    )


def _advance(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def print_validation(result: Validation) -> None:
    """Print scores, coverage and parameters."""
    out = console()
    out.print(
        f"{result.rows} rows, {result.effects} effects, {result.effective_parameters:.0f} effective parameters; "
        "no row is both fitted and scored",
        highlight=False,
    )
    text, number = "left", "right"
    table = make_table(
        "",
        {"left out": text, "suite": "key", "precision": text, "model": "key", "n": number, "MAPE": number}
        | {"median": number, "p90": number, "within 10 %": number, "bias": number, "worst": number, "worst row": text},
    )
    for row in result.scores:
        errors = [f"{row[name]:.1%}" for name in ("mape", "median", "p90", "within_10")]
        place = [row[name] for name in ("split", "suite", "precision")] if row["model"] == "tinysim" else ["", "", ""]
        worst = (f"{row['worst']:.0%}", row["worst_row"])
        table.add_row(*place, row["model"], str(row["n"]), *errors, f"{row['bias']:+.1%}", *worst)
    out.print(table)
    out.print()
    columns = {"left out": text, "suite": "key", "n": number} | {f"{p} % interval": number for p in (50, 80, 90)}
    intervals = make_table("share of rows inside the interval (its median half-width)", columns)
    for first in result.coverage[::3]:
        same = [r for r in result.coverage if (r["split"], r["suite"]) == (first["split"], first["suite"])]
        cells = [f"{r['coverage']:.0%} ({r['half_width']:.0%})" for r in same]
        intervals.add_row(first["split"], first["suite"], str(first["n"]), *cells)
    out.print(intervals)
    out.print()
    fitted = make_table("fitted parameters", {"of": text, "parameter": text, "effects": number, "determined": number})
    for row in result.parameters:
        fitted.add_row(row["of"], row["parameter"], str(row["effects"]), f"{row['determined']:.1f}")
    out.print(fitted)


def energy_validation(splits: Sequence[str]) -> list[dict[str, Any]]:
    """Scores of energy by split, latency (measured or predicted) and model, with the coverage of intervals.

    Raises:
        InputError: no such split.
    """
    from tinysim.calibrate.energy import SPLITS as ENERGY_SPLITS
    from tinysim.calibrate.energy_validation import validate_energy

    for name in splits:
        if name not in ENERGY_SPLITS:
            raise InputError(f"unknown split {name!r}; {nearest(name, ENERGY_SPLITS)}")
    found: list[dict[str, Any]] = json.loads(validate_energy(splits=splits or ENERGY_SPLITS).to_json(orient="records"))
    return found


def print_energy_validation(result: list[dict[str, Any]]) -> None:
    """Print scores of energy."""
    number = "right"
    table = make_table(
        "",
        {
            "left out": "left",
            "latency": "left",
            "model": "left",
            "n": number,
            "MAPE": number,
            "median": number,
            "p90": number,
        }
        | {"50 % holds": number, "80 % holds": number, "90 % holds": number},
    )
    for row in result:
        shares = [row[name] for name in ("mape", "median", "p90", "coverage_50", "coverage_80", "coverage_90")]
        cells = ("" if share is None else f"{share:.1%}" for share in shares)
        table.add_row(row["split"], row["latency"], row["model"], str(row["n"]), *cells)
    console().print(table)
