"""Exact non-dominated sets and hypervolumes of points whose every column is to be small."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InputError

__all__ = ["hypervolume", "pareto_front"]


def _points(values: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 2 or not points.shape[1] or np.isnan(points).any():
        raise InputError(f"points: expected numbers of shape (n, columns), got shape {points.shape}, or one is NaN")
    return points


def pareto_front(values: ArrayLike) -> NDArray[np.bool_]:
    """Mask of the points that no other dominates, shape (n,).

    a dominates b if it is nowhere larger and somewhere smaller; equal points stand or fall together.

    values: shape (n, k), smaller is better.

    Raises:
        InputError: no table of numbers.

    >>> pareto_front([[1, 3], [2, 2], [3, 3], [2, 2]]).tolist()
    [True, True, False, True]
    """
    points, inverse = np.unique(_points(values), axis=0, return_inverse=True)
    kept = np.zeros(len(points), dtype=bool)
    if points.shape[1] <= 2:
        # sorted by the first column, a point stands if the second is below all before it
        last = points[:, -1]
        kept = np.ones(len(points), dtype=bool)
        if len(points):
            before = np.minimum.accumulate(np.append(np.inf, last[:-1]))
            kept = last < before if points.shape[1] == 2 else points[:, 0] == points[0, 0]
    else:
        # sorted, so no point is dominated by a later one
        front = np.empty((0, points.shape[1]))
        for i, point in enumerate(points):
            if not (front <= point).all(axis=1).any():
                kept[i] = True
                front = np.vstack([front, point])
    return np.asarray(kept[inverse.ravel()])


def hypervolume(values: ArrayLike, reference: ArrayLike) -> float:
    """Volume that the points dominate below a reference point; exact for any number of columns.

    The last column is swept: between its values, the volume is that of the other columns of the points below.

    Raises:
        InputError: no table of numbers, or a reference of another length.

    >>> hypervolume([[1, 2], [2, 1]], [3, 3])
    3.0
    """
    points, ref = _points(values), np.asarray(reference, dtype=np.float64)
    if ref.shape != (points.shape[1],):
        raise InputError(f"hypervolume: reference of shape {ref.shape}, expected ({points.shape[1]},)")
    points = points[(points < ref).all(axis=1)]
    if not len(points):
        return 0.0
    if len(ref) == 1:
        return float(ref[0] - points.min())
    points = points[pareto_front(points)]
    points = points[np.argsort(points[:, -1], kind="stable")]
    if len(ref) == 2:
        # falling in the first column as the second rises
        heights = np.append(points[1:, 1], ref[1]) - points[:, 1]
        return float(((ref[0] - points[:, 0]) * heights).sum())
    edges = np.append(points[1:, -1], ref[-1])
    slabs = [
        (edge - point[-1]) * hypervolume(points[: i + 1, :-1], ref[:-1])
        for i, (point, edge) in enumerate(zip(points, edges, strict=True))
        if edge > point[-1]
    ]
    return float(sum(slabs))
