"""A calibration on a user's rows, as a table and as the file that estimates read."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import yaml

from tinysim.calibrate.board import Calibrated
from tinysim.errors import InputError
from tinysim.report.text import console, make_table

__all__ = ["calibration_text", "print_calibration", "write_calibration"]

_HEAD = "# tinysim calibration"


def calibration_text(result: Calibrated, source: str, day: date) -> str:
    """The calibration as YAML that `tinysim estimate --calibration` reads; a line per row and effect, which diffs."""
    document = result.to_dict()
    lines = [
        f"{_HEAD}: what these rows say about the cycles of counted kernels",
        "# Use: tinysim estimate MODEL --device BOARD --calibration THIS_FILE",
        f"device: {_flow(document['device'])}",
        f"tinysim: {_flow(document['tinysim'])}",
        f"date: {day.isoformat()}",
        f"rows_from: {_flow(source)}",
        "# error: predicted over measured latency - 1; fitted: false for a copy of another row, which counts once",
        "rows:",
    ]
    for row in document["rows"]:
        shown = {
            "id": row["id"],
            "network": row["network"],
            "runtime": row["runtime"],
            "build": row["build"],
            "clock_mhz": round(float(row["clock_mhz"]), 6),
            "measured_ms": float(row["latency_ms"]),
            "before_ms": _short(row["before_ms"]),
            "after_ms": _short(row["after_ms"]),
            "error_before": round(row["before_ms"] / row["latency_ms"] - 1, 4),
            "error_after": round(row["after_ms"] / row["latency_ms"] - 1, 4),
            "fitted": bool(row["fitted"]),
        }
        lines.append(f"- {_flow(shown)}")
    lines.append("warnings:" if document["warnings"] else "warnings: []")
    lines += [f"- {_flow(warning)}" for warning in document["warnings"]]
    lines += [
        "# ln is added to the logarithm of a coefficient, in place of the shipped effect; sd is its standard deviation",
        "effects:" if document["effects"] else "effects: []",
    ]
    lines += [f"- {_flow(effect)}" for effect in document["effects"]]
    return "\n".join(lines) + "\n"


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _flow(value: Any) -> str:
    """A value in one line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).removesuffix("...\n").strip()


def write_calibration(path: Path, text: str) -> None:
    """Write a calibration; an older calibration of that name is replaced, anything else is left alone.

    Raises:
        InputError: the file is something else, or cannot be written.
    """
    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(_HEAD):
            raise InputError(f"{path}: exists and is no calibration; name another file")
        path.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from error


def print_calibration(result: Calibrated) -> None:
    """Print measured and predicted latencies before and after, and what is odd about the rows."""
    out = console()
    columns = {"row": "left", "network": "left", "runtime": "left", "measured": "right", "before": "right"}
    title = f"calibration of {result.device}"
    table = make_table(title, columns | {"error ": "right", "after": "right", "error": "right"})
    for row in result.records:
        measured, before, after = (row[name] for name in ("latency_ms", "before_ms", "after_ms"))
        errors = (f"{value / measured - 1:+.1%}" for value in (before, after))
        cells = zip((f"{value:.4g} ms" for value in (before, after)), errors, strict=True)
        name = str(row["id"]) + ("" if row["fitted"] else " (copy)")
        flat = [text for cell in cells for text in cell]
        table.add_row(name, row["network"], row["runtime"], f"{measured:.4g} ms", *flat)
    out.print(table)
    before, after = result.errors
    out.print(f"mean error {before:.1%} before, {after:.1%} after", highlight=False)
    out.print(f"{len(result.effects)} effects moved", highlight=False)
    for warning in result.warnings:
        out.print(f"[yellow]warning:[/] {warning}", highlight=False)
