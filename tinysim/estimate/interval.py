"""Prediction intervals from out-of-fold residuals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinysim.errors import InputError

__all__ = ["conformal_factor", "energy_factor"]

#: Half-width in ln where nothing similar was measured: the 90 % spread of an uncalibrated structural model.
UNMEASURED_LN = 0.5


def conformal_factor(residuals: Sequence[float], level: float, *, widening: float = 1.0) -> float:
    """Factor f such that [x / f, x * f] holds the truth with probability `level`.

    Split-conformal on |ln(measured / predicted)|: the ceil((n + 1) * level)-th smallest of n residuals; where that
    rank exceeds n, the largest residual grows by the normal ratio of the two levels.

    residuals: out-of-fold ln(measured / predicted). level: 0 to 1.
    Source: Lei et al. 2018, Distribution-free predictive inference for regression, JASA 113, alg. 2.

    Raises:
        InputError: a level outside 0 to 1.

    >>> round(conformal_factor([0.01 * i for i in range(1, 20)], 0.9), 6) == round(math.exp(0.18), 6)
    True
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"interval level {level!r} is not between 0 and 1 (for example 0.9)")
    n = len(residuals)
    if n == 0:
        return math.exp(UNMEASURED_LN * _normal(level) / _normal(0.9) * widening)
    ranked = np.sort(np.abs(np.asarray(residuals, dtype=np.float64)))
    rank = math.ceil((n + 1) * level)
    half = float(ranked[min(rank, n) - 1])
    if rank > n:
        half *= _normal(level) / _normal(n / (n + 1))
    return math.exp(half * widening)


def energy_factor(latency_factor: float, power_residuals: Sequence[float], level: float) -> float:
    """Factor of energy from those of latency and power, whose errors are independent.

    ln f_E = sqrt(ln^2 f_t + ln^2 f_P)

    latency_factor: `conformal_factor` of latency at this level. power_residuals: out-of-fold
    ln(measured / predicted) power. level: 0 to 1.
    Source: ISO/IEC Guide 98-3 (GUM), sec. 5.1.2, for a product of independent quantities.

    >>> round(energy_factor(1.0, [0.01 * i for i in range(1, 20)], 0.9), 6) == round(math.exp(0.18), 6)
    True
    """
    return math.exp(math.hypot(math.log(latency_factor), math.log(conformal_factor(power_residuals, level))))


def _normal(level: float) -> float:
    """Two-sided normal quantile."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(0.5 + level / 2)
