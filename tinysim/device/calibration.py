"""Fitted parameters as readable YAML: of a stack on a core, and of a board's memory system.

A calibration carries the rows it was fitted on and the out-of-fold residuals from which intervals are made.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

from tinysim.device.library import read_yaml, spec_folder, validated
from tinysim.figures import Number, Spec

__all__ = ["Calibration", "calibration_files", "load_calibration"]


class Calibration(Spec):
    """One fit."""

    of: Literal["stack", "board"]
    """What the parameters belong to: a runtime on a core, or a board."""
    subject: str
    """``runtime@core`` or the board's name."""
    parameters: dict[str, Number]
    """Fitted values by name; the names are those of `StackFactors` or ``weights_exposure`` and its like."""
    rows: tuple[str, ...] = ()
    """Identifiers of the measured rows that served."""
    residuals: tuple[float, ...] = ()
    """Out-of-fold residuals of latency, ln(measured / predicted), one per scored row."""
    split: str | None = None
    """How the folds were made."""
    date: str
    """Day of the fit."""
    version: str
    """tinysim version that made it."""
    notes: str = ""
    """What a reader should know."""


@cache
def calibration_files() -> tuple[str, ...]:
    """Subjects of all shipped calibrations."""
    return tuple(sorted(path.stem for path in (spec_folder() / "calibration").glob("*.yaml")))


@cache
def load_calibration(subject: str) -> Calibration | None:
    """The shipped calibration of a subject, or None if nothing was fitted for it.

    Raises:
        SpecError: the file is wrong.
    """
    path = spec_folder() / "calibration" / f"{subject}.yaml"
    return validated(Calibration, read_yaml(path), path.name) if path.is_file() else None
