"""Whose out-of-fold residuals an interval is made of: those of the most similar measured rows."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from tinysim.device.library import spec_folder

__all__ = ["Spread", "spread_of"]

#: Fewer residuals than this say little about the tails.
_ENOUGH = 12


@dataclass(frozen=True)
class Spread:
    """What the intervals are made of."""

    residuals: tuple[float, ...]
    """Out-of-fold ln(measured / predicted) of the most similar calibrated rows."""
    basis: str
    """Whose residuals they are, and how similar that is."""
    widening: float = 1.0
    """Factor on the residuals where nothing similar enough was measured."""


@cache
def _rows() -> tuple[dict[str, str], ...]:
    """Shipped residuals: columns split, suite, family, stack, core, board, precision, ln."""
    path = spec_folder() / "calibration" / "residuals.csv"
    if not path.is_file():
        return ()
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return tuple(csv.DictReader(lines))


def spread_of(levels: Mapping[str, str]) -> Spread:
    """Residuals for a combination of levels, from the most similar group that holds enough of them.

    A stack measured on the core is judged by cells left out; anything else by whole boards left out.
    """
    stack = f"{levels['stack']} on {levels['core']}"
    for split, names, basis in (
        ("cell", ("family", "core", "precision"), f"{stack}: cells of this stack and core left out"),
        ("cell", ("family", "precision"), f"{stack}: cells of this stack on any core left out"),
        ("board", ("core", "precision"), f"{stack}: boards of this core left out"),
        ("board", ("precision",), f"{stack}: boards left out, none of this stack and core"),
    ):
        chosen = [row for row in _rows() if row["split"] == split and all(row[n] == levels[n] for n in names)]
        if len(chosen) >= _ENOUGH and (split == "board" or _measured(levels)):
            return Spread(tuple(float(row["ln"]) for row in chosen), basis)
    return Spread((), f"{stack}: nothing similar was measured")


def _measured(levels: Mapping[str, str]) -> bool:
    return any(row["family"] == levels["family"] and row["core"] == levels["core"] for row in _rows())
