"""Work under random power failures: expected completion time, with and without checkpoints, and Young's period."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["completion_time_s", "sampled_completion_s", "young_period_s"]


def completion_time_s(
    work_s: ArrayLike,
    *,
    failures_per_s: float,
    downtime_s: float = 0.0,
    segments: int = 1,
    checkpoint_s: float = 0.0,
    restore_s: float = 0.0,
) -> NDArray[np.float64]:
    """Expected time to finish work that Poisson failures restart from its last checkpoint.

    Each of n segments of s = work / n + checkpoint takes (1/l + D)(e^{l s} - 1), the restore being redone with the
    segment after a failure: E = n (1/l + D) e^{l r} (e^{l s} - 1) for r > 0. One segment and no checkpoint: the classic
    (1/l + D)(e^{l T} - 1). Failures do not strike during downtime. Source: derived here; Daly 2006 has the same form.

    >>> round(float(completion_time_s(5.0, failures_per_s=0.1, downtime_s=2.0)), 9)
    7.784655248
    """
    rate = failures_per_s
    span = np.asarray(work_s, float) / segments + (checkpoint_s if segments > 1 else 0.0)
    if rate == 0.0:
        return np.asarray(segments * span)
    return np.asarray(segments * (1.0 / rate + downtime_s) * math.exp(rate * restore_s) * np.expm1(rate * span))


def young_period_s(*, checkpoint_s: ArrayLike, mean_time_between_failures_s: ArrayLike) -> NDArray[np.float64]:
    """Checkpoint period that wastes least, to first order: sqrt(2 d M). Source: Young 1974.

    >>> round(float(young_period_s(checkpoint_s=5e-3, mean_time_between_failures_s=10.0)), 9)
    0.316227766
    """
    return np.asarray(np.sqrt(2.0 * np.asarray(checkpoint_s, float) * np.asarray(mean_time_between_failures_s, float)))


def sampled_completion_s(
    work_s: float, *, failures_per_s: float, downtime_s: float, runs: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Completion times of work without checkpoints, drawn from the same process (for quantiles).

    Each attempt draws the time to the next failure; attempts shorter than the work are lost with a downtime.
    """
    chance = math.exp(-failures_per_s * work_s)
    failed = rng.geometric(chance, size=runs) - 1
    total = np.full(runs, work_s) + failed * downtime_s
    # the lost time of one failed attempt: exponential truncated to [0, work)
    draws = -np.log1p(-rng.random(int(failed.sum())) * -math.expm1(-failures_per_s * work_s)) / failures_per_s
    owner = np.repeat(np.arange(runs), failed)
    return np.asarray(total + np.bincount(owner, weights=draws, minlength=runs))
