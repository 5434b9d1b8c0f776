"""Validation as tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn

from tinysim.calibrate.fit import fit_effects, posterior
from tinysim.calibrate.validate import SPLITS, coverage, dataset, out_of_fold, table_of
from tinysim.errors import InputError, nearest
from tinysim.report.text import console, make_table

__all__ = ["energy_validation", "print_energy_validation", "print_validation", "validation"]


def validation(suites: Sequence[str], splits: Sequence[str]) -> dict[str, Any]:
    """Scores by split, suite, precision and model, coverage of intervals, and the size of the fit.

    Raises:
        InputError: no such suite or split.
    """
    for name in splits:
        if name not in SPLITS:
            raise InputError(f"unknown split {name!r}; {nearest(name, SPLITS)}")
    data = dataset()
    known = set(data.rows["suite"])
    for name in suites:
        if name not in known:
            raise InputError(f"unknown suite {name!r}; {nearest(name, known)}")
    fit = posterior(data.design, data.ln_cycles, fit_effects(data.design, data.ln_cycles))
    scores: list[dict[str, Any]] = []
    covered: list[dict[str, Any]] = []
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, console=console(stderr=True)) as bar:
        for split in splits or tuple(SPLITS):
            task = bar.add_task(f"leaving out each {split}", total=None)
            predicted = out_of_fold(data, split, partial(_advance, bar, task))
            scores += json.loads(table_of(data, split, predicted, set(suites)).to_json(orient="records"))
            covered += [{"split": split} | row for row in coverage(data, split, predicted)]
    return {
        "rows": len(data.rows),
        "effects": len(fit.effects()),
        "effective_parameters": fit.effective_parameters,
        "scores": scores,
        "coverage": covered,
    }


def _advance(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def print_validation(result: dict[str, Any]) -> None:
    """Print scores and coverage."""
    out = console()
    out.print(
        f"{result['rows']} rows, {result['effects']} effects, "
        f"{result['effective_parameters']:.0f} effective parameters; no row is both fitted and scored",
        highlight=False,
    )
    text, number = "left", "right"
    table = make_table(
        "",
        {"left out": text, "suite": text, "precision": text, "model": text, "n": number, "MAPE": number}
        | {"median": number, "p90": number, "worst": number, "within 10 %": number, "worst row": text},
    )
    for row in result["scores"]:
        shares = (f"{row[name]:.1%}" for name in ("mape", "median", "p90", "worst", "within_10"))
        table.add_row(
            row["split"], row["suite"], row["precision"], row["model"], str(row["n"]), *shares, row["worst_row"]
        )
    out.print(table)
    intervals = make_table("", {"left out": text, "interval": number, "coverage": number, "median half-width": number})
    for row in result["coverage"]:
        intervals.add_row(row["split"], f"{row['level']:.0%}", f"{row['coverage']:.1%}", f"{row['half_width']:.1%}")
    out.print(intervals)


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
