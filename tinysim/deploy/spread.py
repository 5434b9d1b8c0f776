"""Whose out-of-fold residuals an interval is made of: those of the most similar measured rows."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from tinysim.device.library import spec_folder

__all__ = ["Spread", "shipped_residuals", "spread_of"]

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
def shipped_residuals() -> tuple[dict[str, str], ...]:
    """Shipped residuals: columns split, id, suite, family, stack, core, board, precision, ln."""
    path = spec_folder() / "calibration" / "residuals.csv"
    if not path.is_file():
        return ()
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return tuple(csv.DictReader(lines))


def spread_of(
    levels: Mapping[str, str], rows: Sequence[Mapping[str, str]] | None = None, *, calibrated: bool = False
) -> Spread:
    """Residuals for a combination of levels, from the most similar group that holds enough of them.

    Where the board and the stack on its core were measured, cells that were left out serve. On a new board, boards that
    were left out do: those whose stack other boards of the core knew, or those where nobody did, as it is here.
    rows: the residuals to choose from, those that ship by default. calibrated: a user measured this board.
    """
    known = shipped_residuals() if rows is None else rows
    boards: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in known:
        boards[row["family"], row["core"]].add(row["board"])
    measured = bool(boards[levels["family"], levels["core"]])
    here = calibrated or any(row["board"] == levels["board"] for row in known)
    split = "cell" if measured and here else "board"
    who = "cells" if split == "cell" else "boards"
    stack = f"{levels['stack']} on {levels['core']}"
    for names, whose in (
        (("family", "core", "precision"), f"{who} of this stack and core"),
        (("family", "precision"), f"{who} of this stack on any core"),
        (("core", "precision"), f"{who} of this core"),
        (("precision",), who),
    ):
        chosen = [
            float(row["ln"])
            for row in known
            if row["split"] == split
            and all(row[name] == levels[name] for name in names)
            and (split == "cell" or measured == bool(boards[row["family"], row["core"]] - {row["board"]}))
        ]
        if len(chosen) >= _ENOUGH:
            return Spread(tuple(chosen), f"{stack}: {whose} left out")
    return Spread((), f"{stack}: nothing similar was measured")
