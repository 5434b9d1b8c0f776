"""Closed forms of systolic arrays against SCALE-Sim v3, row by row."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysim.cost.accelerator.systolic import DATAFLOWS, systolic_cost
from tinysim.errors import SpecError

ROWS = pd.read_csv(Path(__file__).parent / "data" / "scalesim_layers.csv")
SIZES = st.integers(1, 3000)
SIDES = st.integers(2, 128)


def scalesim_cost():
    out_h = (ROWS.ifmap_h - ROWS.kh) // ROWS.stride + 1
    out_w = (ROWS.ifmap_w - ROWS.kw) // ROWS.stride + 1
    return systolic_cost(
        pixels=out_h * out_w,
        taps=ROWS.kh * ROWS.kw * ROWS.channels,
        filters=ROWS.filters,
        rows=ROWS.array_h,
        columns=ROWS.array_w,
        dataflow=ROWS.dataflow.to_numpy(dtype=str),
        repeats=ROWS.repeats,
    )


def test_cycles_equal_scalesim_on_every_row():
    cost = scalesim_cost()
    assert len(ROWS) == 570
    assert np.mean(cost.compute_cycles == ROWS.total_cycles - ROWS.stall_cycles) == 1.0


def test_utilization_equals_scalesim_where_nothing_stalls():
    cost, free = scalesim_cost(), (ROWS.stall_cycles == 0).to_numpy()
    assert free.sum() > 400
    np.testing.assert_allclose(cost.utilization[free], ROWS.overall_utilization_pct[free] / 100, rtol=1e-9)
    np.testing.assert_allclose(cost.mapping_efficiency, ROWS.mapping_efficiency_pct / 100, rtol=1e-9)


@given(SIZES, SIZES, SIZES, SIDES, SIDES, st.sampled_from(DATAFLOWS))
def test_never_faster_than_its_peak(pixels, taps, filters, rows, columns, dataflow):
    cost = systolic_cost(pixels=pixels, taps=taps, filters=filters, rows=rows, columns=columns, dataflow=dataflow)
    assert cost.compute_cycles * rows * columns >= pixels * taps * filters - rows * columns
    assert 0 < cost.mapping_efficiency <= 1


@given(SIZES, SIZES, SIZES, SIDES, SIDES, st.sampled_from(DATAFLOWS), st.sampled_from(["pixels", "taps", "filters"]))
def test_more_work_never_takes_fewer_cycles(pixels, taps, filters, rows, columns, dataflow, grown):
    sizes = {"pixels": pixels, "taps": taps, "filters": filters}
    array = {"rows": rows, "columns": columns, "dataflow": dataflow}
    larger = sizes | {grown: sizes[grown] + 1}
    assert systolic_cost(**larger, **array).compute_cycles >= systolic_cost(**sizes, **array).compute_cycles


def test_a_leading_axis_of_arrays_equals_one_array_at_a_time():
    side = np.array([8, 16, 32])[:, None]
    pixels, taps, filters = np.array([1024, 625, 1]), np.array([27, 64, 640]), np.array([16, 64, 128])
    all_at_once = systolic_cost(pixels=pixels, taps=taps, filters=filters, rows=side, columns=side, dataflow="os")
    assert all_at_once.compute_cycles.shape == (3, 3)
    for i, one in enumerate(side[:, 0]):
        alone = systolic_cost(pixels=pixels, taps=taps, filters=filters, rows=one, columns=one, dataflow="os")
        np.testing.assert_array_equal(all_at_once.compute_cycles[i], alone.compute_cycles)


def test_unknown_dataflow_is_named():
    with pytest.raises(SpecError, match="dataflow 'rs'"):
        systolic_cost(pixels=1, taps=1, filters=1, rows=1, columns=1, dataflow="rs")
