"""Fits instructions per loop trip to counted runs of a kernel: non-negative least squares, class by class.

    minimise  sum_rows (w (trips @ x - counted))^2 + sum_expectations (s (x - expected))^2,   x >= 0

with w = 1 / max(counted, 5 % of the row's instructions), so each row's relative error counts the same. An
*expectation* states in advance what the source says of a loop ("one output column costs half a pair of columns", "a
byte of memcpy is one load and one store"). It is weak: it decides only what the rows leave open, such as a loop that
never ran.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.cpu.kernel import Trips
from tinysim.cost.cpu.per_trip import CLASSES

__all__ = ["Expectation", "fit_per_trip", "read_expectations"]

#: pull of an expectation of one instruction against the relative error of a row
STRENGTH = 2e-4


@dataclass(frozen=True)
class Expectation:
    """What the source says one trip of `loop` costs: `factor` times another loop, or counts by class."""

    loop: str
    like: str
    factor: float
    counts: Mapping[str, float]


def read_expectations(library: str, kernel: str) -> list[Expectation]:
    """Expectations for a kernel from `tables/expectations.csv`."""
    text = (files("tinysim.cost.cpu") / "tables" / "expectations.csv").read_text(encoding="utf-8")
    found = []
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        if (row["library"], row["kernel"]) == (library, kernel):
            counts = {name: float(row[name]) for name in CLASSES if row.get(name)}
            found.append(Expectation(row["loop"], row["like"], float(row["factor"] or 0), counts))
    return found


def fit_per_trip(
    trips: Trips,
    counted: Mapping[str, NDArray[np.float64]],
    expectations: Sequence[Expectation] = (),
    strength: float = STRENGTH,
) -> NDArray[np.float64]:
    """Instructions per trip, shape (loops, classes), from the loop trips and the counts of runs, each shape (n,).

    `counted` holds every class of `CLASSES` and `instructions`.
    """
    from scipy.optimize import nnls

    loops = list(trips)
    n = len(counted["instructions"])
    matrix = np.stack([np.broadcast_to(trips[loop], n) for loop in loops], axis=1).astype(float)
    instructions = np.asarray(counted["instructions"], dtype=float)
    fitted = np.zeros((len(loops), len(CLASSES)))
    known = [e for e in expectations if e.loop in loops and (not e.like or e.like in loops)]
    for j, name in enumerate(CLASSES):
        # branches are fitted as taken and not taken, so that no loop takes more than it has
        target = np.asarray(counted[name], dtype=float)
        if name == "branches":
            target = target - np.asarray(counted["branches_taken"], dtype=float)
        if not target.any():
            continue
        weight = 1 / np.maximum(target, 0.05 * instructions)
        lines, values = [matrix * weight[:, None]], [target * weight]
        for e in known:
            line = np.zeros(len(loops))
            line[loops.index(e.loop)] = 1
            expected = e.counts.get(name, 0.0)
            if name == "branches":
                expected -= e.counts.get("branches_taken", 0.0)
            if e.like:
                line[loops.index(e.like)] = -e.factor
            pull = strength * np.sqrt(n) / max(expected, 1.0)
            lines.append(pull * line[None])
            values.append(np.array([pull * expected]))
        system = np.concatenate(lines)
        scale = np.linalg.norm(system, axis=0)
        scale[scale == 0] = 1
        solution, _ = nnls(system / scale, np.concatenate(values), maxiter=100 * len(loops))
        fitted[:, j] = solution / scale
    fitted[:, CLASSES.index("branches")] += fitted[:, CLASSES.index("branches_taken")]
    return fitted
