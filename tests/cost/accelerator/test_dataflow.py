"""Folded pipelines: the pace asked for is kept with the fewest multipliers, and bounds of latency."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import stacked

from tinysim.cost.accelerator.dataflow import Folding, fold, pipeline_cost
from tinysim.errors import DoesNotFit, InputError

KWS = stacked(["mlperf-tiny-kws"])
LAYER = {"kind": ["conv2d"], "in_h": 6, "in_w": 6, "out_h": 6, "out_w": 6, "kernel_h": 3, "kernel_w": 3}


@settings(max_examples=30, deadline=None)
@given(st.integers(5_000, 3_000_000))
def test_the_pace_is_kept_and_a_slower_one_needs_no_more(interval):
    folding = fold(interval, **KWS)
    cost = pipeline_cost(folding, **KWS)
    assert cost.interval_cycles <= interval
    assert cost.multipliers >= 2_656_768 / interval
    assert fold(interval * 2, **KWS).multipliers <= folding.multipliers
    assert cost.interval_cycles <= cost.latency_cycles <= cost.interval_cycles * (1 + len(KWS["kind"]))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(36, 20_000))
def test_no_folding_by_divisors_needs_fewer_multipliers(in_c, out_c, interval):
    layer = LAYER | {"in_c": in_c, "out_c": out_c}
    ways = [
        pe * simd
        for pe, simd in product(range(1, out_c + 1), range(1, 9 * in_c + 1))
        if out_c % pe == 0 and 9 * in_c % simd == 0 and 36 * (out_c // pe) * (9 * in_c // simd) <= interval
    ]
    assert fold(interval, **layer).multipliers == min(ways)


def test_unfolded_and_wholly_folded():
    layer = LAYER | {"in_c": 4, "out_c": 8}
    one, all_at_once = (pipeline_cost(Folding(np.array([a]), np.array([b])), **layer) for a, b in ((1, 1), (8, 36)))
    assert one.interval_cycles == 36 * 8 * 36
    assert (all_at_once.interval_cycles, all_at_once.multipliers) == (36, 288)
    assert one.weight_bytes == 288


def test_a_dense_layer_waits_for_the_whole_map():
    columns = {
        "kind": ["conv2d", "mean"],
        "in_h": 6,
        "in_w": 6,
        "out_h": [6, 1],
        "out_w": [6, 1],
        "in_c": 4,
        "out_c": 4,
    }
    columns |= {"kernel_h": [1, 6], "kernel_w": [1, 6]}
    cost = pipeline_cost(Folding(np.array([1, 1]), np.array([1, 1])), **columns)
    assert cost.fill_cycles.tolist() == [0.0, cost.interval_cycles]
    assert cost.latency_cycles == 2 * cost.interval_cycles


def test_errors():
    with pytest.raises(DoesNotFit, match=r"layer 0: 125 output positions take more than 100 cycles"):
        fold(100, **KWS)
    with pytest.raises(InputError, match="1 or more"):
        pipeline_cost(Folding(np.array([0]), np.array([1])), **LAYER, in_c=1, out_c=1)
