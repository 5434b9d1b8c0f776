"""Fit the effects: maximum a posteriori of a log-linear hierarchy over measured cycles.

    ln cycles = ln sum_f feature_f exp(ln coefficient_f) + noise,   effects ~ Normal(0, sigma of their kind)

Linearised, this is Gaussian-process regression whose kernel is the rows' common effects, so a step costs a solve of
the size of the rows, however many effects there are. Huber weights keep one contradictory row from bending the rest.
Source: Gelman et al., Bayesian Data Analysis, 3rd ed., ch. 5 and 15 (hierarchies); Rasmussen and Williams, Gaussian
Processes for Machine Learning, sec. 2.2 and 5.4.2 (leave-out residuals); Huber 1964 (weights).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysim.device.effects import BASE, FEATURES, Key, keys_of

__all__ = ["NOISE_LN", "Design", "Fit", "fit_effects"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Two teams on one board and stack agree within 1 % (worst 2.4 %): the noise of a measurement.
NOISE_LN = 0.02
_HUBER = 3.0
_STEP_LIMIT = 0.7
_BASE = np.array([BASE[feature] for feature in FEATURES])


@dataclass(frozen=True, eq=False)
class Design:
    """Which effects act on which feature of which row."""

    keys: tuple[Key, ...]
    sigma: Floats
    """prior standard deviation of each effect, shape (p,)"""
    incidence: NDArray[np.float32]
    """1 where an effect acts, shape (rows, features, p)"""
    features: Floats
    """counted cycles, shape (rows, features)"""

    @classmethod
    def of(cls, levels: Sequence[Mapping[str, str]], features: Floats) -> Design:
        """Design of rows with the given levels."""
        column: dict[Key, int] = {}
        sigma: list[float] = []
        entries: list[tuple[int, int, int]] = []
        position = {feature: i for i, feature in enumerate(FEATURES)}
        for row, level in enumerate(levels):
            for feature, key, effect in keys_of(level):
                if key not in column:
                    column[key] = len(sigma)
                    sigma.append(effect.sigma)
                entries.append((row, position[feature], column[key]))
        incidence = np.zeros((len(levels), len(FEATURES), len(sigma)), dtype=np.float32)
        incidence[tuple(np.array(entries).T)] = 1.0
        return cls(tuple(column), np.array(sigma), incidence, features)

    def predict(self, theta: Floats) -> Floats:
        """Log cycles of every row, shape (rows,)."""
        return self.linearise(theta)[0]

    def linearise(self, theta: Floats) -> tuple[Floats, Floats]:
        """Log cycles of every row, shape (rows,), and their derivatives by effect, shape (rows, p)."""
        parts = self.features * np.exp(_BASE + self.incidence @ theta)
        total = parts.sum(axis=1)
        shares = (parts / total[:, None]).astype(np.float32)
        jacobian = np.matmul(shares[:, None, :], self.incidence)[:, 0, :].astype(np.float64)
        return np.log(total), jacobian


@dataclass(frozen=True, eq=False)
class Fit:
    """Fitted effects."""

    design: Design
    theta: Floats
    """effects, shape (p,)"""
    sd: Floats
    """their posterior standard deviations, shape (p,)"""
    n_rows: int
    effective_parameters: float
    """trace of the hat matrix: how many of the effects the data determine"""

    def effects(self) -> dict[Key, tuple[float, float]]:
        """(value, standard deviation) of the effects that the rows say something about."""
        return {
            key: (float(value), float(sd))
            for key, value, sd, prior in zip(self.design.keys, self.theta, self.sd, self.design.sigma, strict=True)
            if sd < 0.999 * prior or abs(value) > 1e-4
        }


def fit_effects(
    design: Design,
    ln_cycles: Floats,
    rows: Mask | None = None,
    start: Floats | None = None,
    *,
    tolerance: float = 1e-4,
) -> Fit:
    """Fit the effects to some rows of a design.

    ln_cycles: shape (n,). rows: mask of the rows that serve, all by default. start: effects to start from.
    tolerance: largest change of a prediction in the last step [ln].
    """
    use = np.ones(len(ln_cycles), dtype=bool) if rows is None else rows
    theta = np.zeros(len(design.keys)) if start is None else start.copy()
    served = Design(design.keys, design.sigma, design.incidence[use], design.features[use])
    measured, variance = ln_cycles[use], design.sigma**2
    n = len(measured)
    predicted, jacobian = served.linearise(theta)
    gain, hat = np.zeros((n, 0)), 0.0
    for _ in range(40):
        residual = measured - predicted
        noise = NOISE_LN**2 * np.maximum(1.0, np.abs(residual) / (_HUBER * NOISE_LN))
        kernel = (jacobian * variance) @ jacobian.T
        gain = np.linalg.solve(kernel + np.diag(noise), np.column_stack([jacobian, residual + jacobian @ theta]))
        hat = float(n - np.trace(noise[:, None] * np.linalg.inv(kernel + np.diag(noise))))
        step = variance * (jacobian.T @ gain[:, -1]) - theta
        largest = float(np.abs(step).max(initial=0.0))
        theta = theta + step * min(1.0, _STEP_LIMIT / largest if largest > 0 else 1.0)
        before = predicted
        predicted, jacobian = served.linearise(theta)
        if float(np.abs(predicted - before).max(initial=0.0)) < tolerance:
            break
    explained = np.einsum("ip,ip->p", jacobian, gain[:, :-1]) * variance
    sd = np.sqrt(variance * np.clip(1.0 - explained, 1e-6, 1.0))
    return Fit(design, theta, sd, n, hat)
