"""Fronts and hypervolumes against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pymoo.indicators.hv import HV

from tinysim.errors import InputError
from tinysim.explore.pareto import hypervolume, pareto_front

POINTS = st.integers(1, 4).flatmap(
    lambda k: hnp.arrays(np.float64, st.tuples(st.integers(1, 25), st.just(k)), elements=st.integers(0, 6).map(float))
)


@settings(max_examples=60, deadline=None)
@given(POINTS)
def test_front_is_what_nothing_dominates(points: np.ndarray) -> None:
    dominated = [any((q <= p).all() and (q < p).any() for q in points) for p in points]
    assert pareto_front(points).tolist() == [not d for d in dominated]


@settings(max_examples=30, deadline=None)
@given(POINTS)
def test_hypervolume_counts_unit_cells(points: np.ndarray) -> None:
    k = points.shape[1]
    cells = np.stack(np.meshgrid(*[np.arange(7)] * k, indexing="ij"), axis=-1).reshape(-1, k)
    covered = (points[None] <= cells[:, None]).all(axis=2).any(axis=1)
    assert hypervolume(points, np.full(k, 7.0)) == covered.sum()


def test_hypervolume_agrees_with_pymoo() -> None:
    points = np.random.default_rng(0).random((40, 3))
    assert hypervolume(points, [1.1] * 3) == pytest.approx(HV(ref_point=np.full(3, 1.1))(points), rel=1e-12)


def test_errors() -> None:
    with pytest.raises(InputError, match="or one is NaN"):
        pareto_front([[np.nan]])
    with pytest.raises(InputError, match="reference of shape"):
        hypervolume([[1.0, 2.0]], [1.0])
    assert hypervolume([[2.0, 2.0]], [1.0, 1.0]) == 0
