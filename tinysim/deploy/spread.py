"""How far a prediction may be off: its standard deviation under the fitted hierarchy, and residuals on that scale.

The fit is Gaussian-process regression on the measured rows, so the deviation of a prediction follows from what was
measured near it: small for a network on a board and stack with rows of their own, wide for a core nobody measured.
How many deviations hold 90 % of the truth is not assumed but counted, on rows that were left out.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysim.deploy.features import inference_features
from tinysim.deploy.layout import Layout
from tinysim.deploy.target import Target
from tinysim.device.effects import FEATURES, NOISE_LN, Key, keys_of, read_effects
from tinysim.device.library import spec_folder
from tinysim.errors import SpecError
from tinysim.network.table import LayerTable

__all__ = ["LEVELS", "RESIDUALS", "Posterior", "Spread", "core_spread", "residuals_of", "shipped_rows"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Levels of a fitted row, as columns of the shipped table.
LEVELS = ("family", "stack", "kernels", "precision", "build", "core", "die", "board")
#: What was left out of the fit, which a row's residuals and their deviations are named by.
RESIDUALS = ("cell", "network", "board")


@dataclass(frozen=True)
class Spread:
    """What the intervals are made of."""

    residuals: tuple[float, ...]
    """out-of-fold ln(measured / predicted) of calibrated rows; each over its own deviation where `widening` is one"""
    basis: str
    """whose residuals they are, and how much was measured near the prediction"""
    widening: float = 1.0
    """factor on the residuals: the predicted standard deviation of ln latency"""


@dataclass(frozen=True, eq=False)
class Posterior:
    """Fitted rows, and what they say of any other row.

    Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, eq. 2.26, with the kernel of common
    effects: k(a, b) = sum over effects of sigma^2 share_a share_b, a share being the part of a prediction that the
    effect scales.
    """

    levels: tuple[Mapping[str, str], ...]
    """levels of n fitted rows"""
    shares: Floats
    """parts of each row's predicted cycles by feature, shape (n, len(FEATURES))"""
    noise: Floats
    """noise variance of each row in the fit [ln^2], shape (n,)"""

    def deviation(self, levels: Mapping[str, str], shares: Floats, own: Mapping[Key, float] | None = None) -> float:
        """Standard deviation of ln latency of a prediction, its own noise included.

        levels: see `tinysim.device.effects.levels_of`. shares: parts of the prediction, shape (len(FEATURES),).
        own: standard deviations of effects that a user's rows determine; those that no fitted row shares count.
        """
        known, inverse = _factored(self)
        common, alone = np.zeros(len(self.levels)), 0.0
        for key, (sigma, share) in _loadings(levels, shares).items():
            if key in known:
                rows, loads = known[key]
                common[rows] += sigma * share * loads
            elif own is not None:
                sigma = min(sigma, own.get(key, sigma))
            alone += (sigma * share) ** 2
        variance = NOISE_LN**2 + alone - common @ inverse @ common
        return math.sqrt(max(float(variance), NOISE_LN**2))


@cache
def _factored(posterior: Posterior) -> tuple[dict[Key, tuple[Ints, Floats]], Floats]:
    """Rows that each effect acts on with their loadings, and the inverse of the rows' covariance, shape (n, n)."""
    column: dict[Key, int] = {}
    entries = [
        (row, column.setdefault(key, len(column)), sigma * share)
        for row, (levels, shares) in enumerate(zip(posterior.levels, posterior.shares, strict=True))
        for key, (sigma, share) in _loadings(levels, shares).items()
    ]
    loads = np.zeros((len(posterior.levels), len(column)))
    for row, effect, load in entries:
        loads[row, effect] = load
    acts = {key: np.flatnonzero(loads[:, effect]) for key, effect in column.items()}
    loadings = {key: (rows, loads[rows, column[key]]) for key, rows in acts.items()}
    covariance = loads @ loads.T + np.diag(posterior.noise)
    return loadings, np.asarray(np.linalg.inv(covariance), dtype=np.float64)


def _loadings(levels: Mapping[str, str], shares: Floats) -> dict[Key, tuple[float, float]]:
    """Effect -> its prior standard deviation, and the share of the prediction that it scales."""
    at = dict(zip(FEATURES, shares.tolist(), strict=True))
    found: dict[Key, tuple[float, float]] = {}
    for feature, key, sigma in _effects_of(tuple(levels.items())):
        if at[feature] > 0:
            found[key] = sigma, found.get(key, (sigma, 0.0))[1] + at[feature]
    return found


@lru_cache(maxsize=512)
def _effects_of(levels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, Key, float], ...]:
    """What acts on a combination of levels; many fitted rows share one."""
    return tuple(keys_of(dict(levels)))


@cache
def shipped_rows() -> tuple[dict[str, str], ...]:
    """The shipped table of fitted rows: id, suite, levels, noise, parts by feature, and residuals by split.

    Raises:
        SpecError: the table is missing.
    """
    path = spec_folder() / "calibration" / "residuals.csv"
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror or error}") from error
    return tuple(csv.DictReader(lines))


@cache
def shipped_posterior() -> Posterior:
    """What the shipped rows say of any other."""
    rows = shipped_rows()
    return Posterior(
        tuple({name: row[name] for name in LEVELS} for row in rows),
        np.array([[float(row[feature]) for feature in FEATURES] for row in rows]).reshape(-1, len(FEATURES)),
        np.array([float(row["noise_ln"]) ** 2 for row in rows]),
    )


def residuals_of(levels: Mapping[str, str], rows: Iterable[Mapping[str, str]]) -> tuple[float, ...]:
    """Residuals, over their deviations, of the rows of one precision, whatever was left out.

    levels: of the prediction. rows: of `shipped_rows`.
    """
    alike = [row for row in rows if row["precision"] == levels["precision"]]
    return tuple(
        float(row[f"{split}_ln"]) / float(row[f"{split}_sd"])
        for row in alike
        for split in RESIDUALS
        if row[f"{split}_ln"]
    )


def core_spread(table: LayerTable, target: Target, priced: NDArray[np.bool_], layout: Layout) -> Spread:
    """Spread of a network's latency on a core.

    table: n layers. priced: mask of those that run. layout: which memories hold them.
    """
    levels = target.levels
    parts = inference_features(table, target, priced, layout) * np.exp(
        [target.ln_coefficients[name] for name in FEATURES]
    )
    own = None
    if target.options.calibration is not None:
        own = {key: sd for key, (_, sd) in read_effects(Path(target.options.calibration)).items()}
    deviation = shipped_posterior().deviation(levels, parts / parts.sum(), own)
    rows = shipped_rows()
    near = sum(row["stack"] == levels["stack"] and row["core"] == levels["core"] for row in rows)
    kin = sum(row["family"] == levels["family"] for row in rows)
    basis = (
        f"{near} measured rows of {levels['stack']} on {levels['core']}, {kin} of its family: "
        f"deviation {np.expm1(deviation):.0%}"
    )
    return Spread(residuals_of(levels, rows), basis, deviation)
