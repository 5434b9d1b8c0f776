"""What parts cost beyond layer by layer: repeated work, calls of kernels, copies."""

import numpy as np
import pytest

import tinysim as ts
from tinysim.deploy.costs import layer_costs
from tinysim.deploy.memory import MemoryPolicy, memory_schedules, patch_work
from tinysim.deploy.schedule_time import copy_time_s, schedule_extra_s
from tinysim.deploy.target import resolve_target

NETWORK = ts.load_network("vww")
TARGET = resolve_target("nucleo-l4r5zi", "tflm-cmsis-nn")
COSTS = layer_costs(NETWORK.table(), TARGET)
SCHEDULES = list(memory_schedules(NETWORK, MemoryPolicy(planner="tflm-greedy")))


def extra(schedule):
    return schedule_extra_s(schedule, COSTS, TARGET)


def test_copies_tile_the_split_tensor_and_the_input():
    """96 x 96 x 3 into 2 x 2 tiles through a 3 x 3 convolution of stride 2: one row and one column are read twice."""
    work = patch_work(NETWORK, 1, 2, 2)
    out = NETWORK.tensors[NETWORK.ops[0].outputs[0]]
    assert work.copied_bytes == 97 * 97 * 3 + out.n_bytes
    np.testing.assert_array_equal(work.outputs, 1)


def test_only_layer_by_layer_and_reordering_are_free():
    for schedule in SCHEDULES:
        assert (extra(schedule) == 0) == (schedule.kind in {"layers", "reordered"})
        assert extra(schedule) >= 0


def test_every_further_call_costs_the_overhead_of_an_operator():
    rows = next(s for s in SCHEDULES if s.kind == "streaming" and s.split == 3)
    calls = sum(NETWORK.tensors[op.outputs[0]].shape[1] - 1 for op in NETWORK.ops[:3])
    assert rows.copied_bytes == 0
    overhead_s = np.rint(TARGET.factors.op_overhead_cycles) / TARGET.clock_hz
    assert extra(rows) == pytest.approx(calls * overhead_s, rel=1e-9)


def test_finer_grids_cost_more():
    by_grid = {(s.rows, s.columns): extra(s) for s in SCHEDULES if s.kind == "patches" and s.split == 5}
    squares = [by_grid[n, n] for n in (2, 3, 4, 6)]
    assert squares == sorted(squares)
    assert len(set(squares)) == 4


def test_patches_are_the_sum_of_their_causes():
    schedule = next(s for s in SCHEDULES if (s.kind, s.split, s.rows, s.columns) == ("patches", 5, 2, 2))
    overhead_s = COSTS.cycles.overhead / TARGET.clock_hz
    halo = ((np.array(schedule.outputs) - 1) * (COSTS.latency_s - overhead_s)).sum()
    calls = 3 * overhead_s[:5].sum()
    assert halo > 0
    assert extra(schedule) == pytest.approx(halo + calls + copy_time_s(schedule.copied_bytes, TARGET), rel=1e-12)


def test_a_copied_byte_costs_a_load_and_a_store_of_a_word_per_four():
    per_byte = copy_time_s(100_000, TARGET) * TARGET.clock_hz / 100_000
    assert 2 / 4 <= per_byte <= 2
    assert copy_time_s(0, TARGET) == 0
