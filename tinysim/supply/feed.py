"""Piecewise-constant input of a capacitor, and the exact integrals of its voltage over constant pieces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import TraceError

__all__ = ["Feed", "Pieces"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Feed:
    """What reaches a capacitor: a power (W, behind a converter) or a current (A, wired straight) per interval.

    `edges_s` has one entry more than `inputs`. `gross` is what the harvester gave for it (same unit; the difference
    is converter loss). Loads of a run are in the same unit as the feed.
    """

    edges_s: Array
    inputs: Array
    kind: Literal["power", "current"] = "power"
    gross: Array | None = None

    def __post_init__(self) -> None:
        edges, values = np.asarray(self.edges_s, float), np.asarray(self.inputs, float)
        object.__setattr__(self, "edges_s", edges)
        object.__setattr__(self, "inputs", values)
        unit = "power_w" if self.kind == "power" else "current_a"
        if values.ndim != 1 or values.size < 1 or edges.shape != (values.size + 1,):
            raise TraceError(f"Feed: needs n + 1 edges for n values, got {edges.size} and {values.size}")
        wrong = np.nonzero(~(np.diff(edges) > 0.0))[0]
        if wrong.size:
            row = int(wrong[0])
            raise TraceError(
                f"Feed row {row + 1}, time_s: {edges[row + 1]:g} after {edges[row]:g}; times must rise from row to row"
            )
        wrong = np.nonzero(~(np.isfinite(values) & (values >= 0.0)))[0]
        if wrong.size:
            row = int(wrong[0])
            raise TraceError(f"Feed row {row}, {unit}: {values[row]:g}; accepted is a finite number >= 0")
        if self.gross is not None:
            gross = np.asarray(self.gross, float)
            object.__setattr__(self, "gross", gross)
            if gross.shape != values.shape or np.any(gross < values):
                raise TraceError(
                    f"Feed, gross {unit}: needs one entry per value, none below what reaches the capacitor"
                )

    @classmethod
    def sampled(
        cls,
        values: ArrayLike,
        step_s: float,
        *,
        kind: Literal["power", "current"] = "power",
        gross: ArrayLike | None = None,
    ) -> Feed:
        """Equidistant samples, each held for one step.

        >>> Feed.sampled([1e-3, 0.0], 60.0).duration_s
        120.0
        """
        v = np.asarray(values, float)
        return cls(np.arange(v.size + 1.0) * step_s, v, kind, None if gross is None else np.asarray(gross, float))

    @property
    def duration_s(self) -> float:
        """Time from first to last edge."""
        return float(self.edges_s[-1] - self.edges_s[0])


@dataclass(frozen=True, slots=True)
class Pieces:
    """Integrals over pieces of constant net input of dx/dt = k (net - g x), clipped at x_max.

    x = V^2, k = 2/C, net in W for a power feed; x = V, k = 1/C, net in A for a current feed; g the leakage.
    """

    start: Array
    net: Array
    span_s: Array
    k: float
    g: float
    x_max: float
    held: NDArray[np.bool_]
    """Pieces that end full or empty, where x rests at x_max or 0; the others never rest."""

    def free_s(self) -> Array:
        """Time of each piece before the capacitor rests full or empty (its whole span if it never does)."""
        free = self.span_s.copy()
        if not self.held.any():
            return free
        start, net, span = self.start[self.held], self.net[self.held], self.span_s[self.held]
        slope = self.k * (net - self.g * start)
        room, rate = np.where(net > 0.0, self.x_max, 0.0) - start, self.k * self.g
        with np.errstate(divide="ignore", invalid="ignore"):
            share = rate * room / slope
            delay = -np.log1p(-share) / rate if rate else room / slope
            until = np.where(
                (np.sign(slope) * np.sign(room) > 0.0) & (share < 1.0), delay, np.where(room == 0.0, 0.0, span)
            )
        free[self.held] = np.clip(until, 0.0, span)
        return free

    def moments(self, *, square: bool) -> tuple[Array, Array, Array]:
        """(integral of x dt, integral of x^2 dt if `square` else 0, time before it rests at an end) of each piece."""
        t = self.free_s()
        hold = self.span_s - t
        z = self.k * self.g * t
        slope = self.k * (self.net - self.g * self.start)
        first = t * t * _phi(z, _PHI2, lambda u: (u + np.expm1(-u)) / (u * u))
        one = self.start * t + slope * first
        two = np.zeros_like(one)
        if square:
            second = t**3 * _phi(z, _PHI3, lambda u: (u + 2.0 * np.expm1(-u) - np.expm1(-2.0 * u) / 2.0) / u**3)
            two = self.start**2 * t + 2.0 * self.start * slope * first + slope**2 * second
        if self.held.any():
            top = np.where((hold > 0.0) & (self.net > 0.0), self.x_max, 0.0)
            one = one + top * hold
            two = two + top * top * hold
        return one, two, t


#: Series of (z - 1 + e^-z)/z^2 and of the integral of ((1 - e^-u)/z)^2 around 0: no cancellation for slow leakage.
_PHI2 = (1 / 2, -1 / 6, 1 / 24, -1 / 120, 1 / 720, -1 / 5040)
_PHI3 = (1 / 3, -1 / 4, 7 / 60, -1 / 24, 31 / 2520, -1 / 320)
_SMALL = 0.02


def _phi(z: Array, series: tuple[float, ...], exact: Callable[[Array], Array]) -> Array:
    out = np.full_like(z, series[-1])
    for factor in series[-2::-1]:
        out *= z
        out += factor
    large = z >= _SMALL
    if large.any():
        out[large] = exact(z[large])
    return out
