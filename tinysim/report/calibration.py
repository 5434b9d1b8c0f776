"""A calibration on a user's rows, as a table and as the file that estimates read."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

import tinysim
from tinysim.calibrate.board import Calibrated
from tinysim.calibrate.ship import effects_table
from tinysim.report.text import console, make_table

__all__ = ["calibration_document", "calibration_text", "print_calibration"]


def calibration_document(result: Calibrated) -> dict[str, Any]:
    """The calibration as plain data."""
    return {
        "device": result.device,
        "rows": result.records,
        "effects": [
            {"effect": name, "level": level, "feature": feature, "ln": value, "sd": sd}
            for (name, level, feature), (value, sd) in sorted(result.effects.items())
        ],
        "warnings": list(result.warnings),
    }


def calibration_text(result: Calibrated, source: str) -> str:
    """The effects as a table that `tinysim estimate --calibration` reads; rows and residuals as comments."""
    notes = [
        f"{result.device}, rows of {source}, by tinysim {tinysim.__version__} on {date.today().isoformat()}",
        *(
            "{id}: measured {latency_ms:g} ms, before {before_ms:.4g} ms, after {after_ms:.4g} ms".format(**row)
            for row in result.records
        ),
        *(f"warning: {warning}" for warning in result.warnings),
    ]
    return effects_table(result.effects, notes)


def print_calibration(result: Calibrated) -> None:
    """Print measured and predicted latencies before and after, and what is odd about the rows."""
    out = console()
    columns = {"row": "left", "network": "left", "runtime": "left", "measured": "right", "before": "right"}
    table = make_table(f"calibration of {result.device}", columns | {"after": "right", "error": "right"})
    for row in result.records:
        times = (f"{row[name]:.4g} ms" for name in ("latency_ms", "before_ms", "after_ms"))
        table.add_row(str(row["id"]), row["network"], row["runtime"], *times, f"{np.expm1(-row['residual']):+.1%}")
    out.print(table)
    out.print(f"{len(result.effects)} effects moved", highlight=False)
    for warning in result.warnings:
        out.print(f"[yellow]warning:[/] {warning}", highlight=False)
