"""Fit the effects: maximum a posteriori of a log-linear hierarchy over measured cycles.

    ln cycles = ln sum_f feature_f exp(ln coefficient_f) + noise,   effects ~ Normal(0, sigma of their kind)

Linearised, this is Gaussian-process regression whose kernel is the rows' common effects, so a step costs a solve of
the size of the rows, however many effects there are. Huber weights keep one contradictory row from bending the rest.
Source: Gelman et al., Bayesian Data Analysis, 3rd ed., ch. 5 and 15 (hierarchies); Rasmussen and Williams, Gaussian
Processes for Machine Learning, sec. 2.2; Huber 1964 (weights).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.device.effects import BASE, FEATURES, NOISE_LN, Key, keys_of

__all__ = ["SUITE_NOISE_LN", "Design", "Fit", "covariance", "fit_effects", "noise_variance", "posterior"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Standard deviations of suites whose rows say less [ln]: the structure misses more of a layer than of a network,
#: whose layers' errors cancel; the tables of `mcunet` state neither clock nor build.
SUITE_NOISE_LN = {"layers": 0.07, "mcunet": 0.1}
_HUBER = 3
_STEP_LIMIT = 0.7
_BASE = np.array([BASE[feature] for feature in FEATURES])


@dataclass(frozen=True, eq=False)
class Design:
    """Which effects act on which feature of which row."""

    keys: tuple[Key, ...]
    sigma: Floats
    """prior standard deviation of each effect, shape (p,)"""
    incidence: Any
    """1 where an effect acts, sparse, shape (rows * features, p)"""
    features: Floats
    """counted cycles, shape (rows, features)"""

    @classmethod
    def of(cls, levels: Sequence[Mapping[str, str]], features: Floats) -> Design:
        """Design of rows with the given levels."""
        from scipy.sparse import csr_array

        column: dict[Key, int] = {}
        sigma: list[float] = []
        entries: list[tuple[int, int]] = []
        position = {feature: i for i, feature in enumerate(FEATURES)}
        for row, level in enumerate(levels):
            for feature, key, prior in keys_of(level):
                if key not in column:
                    column[key] = len(sigma)
                    sigma.append(prior)
                entries.append((row * len(FEATURES) + position[feature], column[key]))
        at = np.array(entries).T
        shape = (len(levels) * len(FEATURES), len(sigma))
        return cls(tuple(column), np.array(sigma), csr_array((np.ones(len(entries)), tuple(at)), shape=shape), features)

    def rows(self, chosen: Mask) -> Design:
        """The design of some rows."""
        return Design(self.keys, self.sigma, self.incidence[np.repeat(chosen, len(FEATURES))], self.features[chosen])

    def collapsed(self) -> Design:
        """The same predictions from fewer effects: those that act on the same features of the same rows are summed.

        Their variances add. Keys of a sum are those of its first member.
        """
        columns = self.incidence.tocsc()
        first: dict[bytes, int] = {}
        member = np.array(
            [
                first.setdefault(columns.indices[columns.indptr[i] : columns.indptr[i + 1]].tobytes(), i)
                for i in range(len(self.keys))
            ]
        )
        kept = np.unique(member)
        variance = np.bincount(member, weights=self.sigma**2, minlength=len(self.keys))[kept]
        keys = tuple(self.keys[i] for i in kept)
        return Design(keys, np.sqrt(variance), columns[:, kept].tocsr(), self.features)

    def predict(self, theta: Floats) -> Floats:
        """Log cycles of every row, shape (rows,)."""
        predicted: Floats = np.log(self._parts(theta).sum(axis=1))
        return predicted

    def linearise(self, theta: Floats) -> tuple[Floats, Any]:
        """Log cycles of every row, shape (rows,), and their derivatives by effect, sparse, shape (rows, p)."""
        from scipy.sparse import csr_array

        parts = self._parts(theta)
        total = parts.sum(axis=1)
        n, width = parts.shape
        starts = np.arange(0, n * width + 1, width)
        shares = csr_array(((parts / total[:, None]).ravel(), np.arange(n * width), starts), shape=(n, n * width))
        return np.log(total), shares @ self.incidence

    def shares(self, theta: Floats) -> Floats:
        """Parts of each row's predicted cycles by feature, shape (rows, features)."""
        parts = self._parts(theta)
        shares: Floats = parts / parts.sum(axis=1, keepdims=True)
        return shares

    def _parts(self, theta: Floats) -> Floats:
        parts: Floats = self.features * np.exp(_BASE + (self.incidence @ theta).reshape(self.features.shape))
        return parts


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


def noise_variance(residual: Floats, noise_ln: float | Floats = NOISE_LN) -> Floats:
    """Noise variance of rows in the fit, shape (n,) [ln^2]: Huber's, who lets a far row pull no harder than a near one.

    residual: ln(measured / predicted), shape (n,). noise_ln: standard deviation, one for all or one each [ln].
    """
    variance: Floats = noise_ln**2 * np.maximum(1.0, np.abs(residual) / (_HUBER * noise_ln))
    return variance


def covariance(design: Design, theta: Floats) -> Floats:
    """Prior covariance of the rows' ln cycles about fitted effects, without noise, shape (n, n) [ln^2]."""
    _, jacobian = design.linearise(theta)
    scaled = jacobian.multiply(design.sigma[None, :]).tocsr()
    dense: Floats = (scaled @ scaled.T).toarray()
    return dense


def fit_effects(
    design: Design,
    ln_cycles: Floats,
    *,
    prior: Floats | None = None,
    start: Floats | None = None,
    tolerance: float = 1e-4,
    noise_ln: float | Floats = NOISE_LN,
) -> Floats:
    """Fit the effects to the rows of a design: shape (p,).

    ln_cycles: shape (n,). prior: means of the effects before these rows, zero by default. start: effects to start
    from. tolerance: largest change of a prediction in the last step [ln]. noise_ln: standard deviation of a
    measurement and of what the structure misses of a row, one for all or one each [ln].
    """
    mean = np.zeros(len(design.keys)) if prior is None else prior
    theta = mean.copy() if start is None else start.copy()
    variance = design.sigma**2
    predicted, jacobian = design.linearise(theta)
    for iteration in range(40):
        residual = ln_cycles - predicted
        noise = noise_variance(residual, noise_ln)
        dense = jacobian.toarray()
        kernel = (dense * variance) @ dense.T + np.diag(noise)
        weights = np.linalg.solve(kernel, residual + dense @ (theta - mean))
        step = mean + variance * (dense.T @ weights) - theta
        largest = float(np.abs(step).max(initial=0.0))
        # Once near, half steps keep the Huber weights from flipping to and fro.
        reach = 1.0 if iteration < 4 else 0.5
        theta = theta + step * min(reach, _STEP_LIMIT / largest if largest > 0 else 1.0)
        before = predicted
        predicted, jacobian = design.linearise(theta)
        if float(np.sqrt(np.mean((predicted - before) ** 2))) < tolerance:
            break
    return theta


def posterior(design: Design, ln_cycles: Floats, theta: Floats, *, noise_ln: float | Floats = NOISE_LN) -> Fit:
    """Standard deviations of fitted effects, and how many of them the data determine."""
    predicted, jacobian = design.linearise(theta)
    noise = noise_variance(ln_cycles - predicted, noise_ln)
    variance = design.sigma**2
    dense = jacobian.toarray()
    kernel = (dense * variance) @ dense.T
    gain = np.linalg.solve(kernel + np.diag(noise), dense)
    explained = np.einsum("ip,ip->p", dense, gain) * variance
    hat = float(np.trace(np.linalg.solve(kernel + np.diag(noise), kernel)))
    sd = np.sqrt(variance * np.clip(1.0 - explained, 1e-6, 1.0))
    return Fit(design, theta, sd, len(ln_cycles), hat)
