"""Zero-skipping: bounds, monotony in sparsity, and the waiting of lanes against random draws."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import stacked

import tinysim as ts
from tinysim.cost.accelerator.layer_cost import layer_cost, sparse_steps
from tinysim.cost.accelerator.machine import machine_of
from tinysim.cost.accelerator.spec import load_accelerator
from tinysim.cost.accelerator.work import work_of

RAMAN = load_accelerator("raman")
SHARE = st.floats(0, 1)


@given(st.integers(1, 5000), SHARE, st.integers(1, 256))
def test_steps_lie_between_the_density_and_all(steps, density, lanes):
    found = float(sparse_steps(steps, density=density, lanes=lanes))
    assert density * steps - 1e-9 <= found <= steps
    assert float(sparse_steps(steps, density=density, lanes=1)) == pytest.approx(density * steps)


@pytest.mark.parametrize(("steps", "density", "lanes"), [(64, 0.5, 12), (576, 0.3, 12), (1000, 0.8, 64)])
def test_waiting_for_the_slowest_lane_against_draws(steps, density, lanes):
    draws = np.random.default_rng(0).binomial(steps, density, (4000, lanes)).max(axis=1).mean()
    bound = float(sparse_steps(steps, density=density, lanes=lanes))
    assert draws <= bound <= draws * 1.1


@settings(max_examples=40, deadline=None)
@given(SHARE, SHARE, SHARE)
def test_more_zeros_are_never_slower_nor_beat_the_work_left(a, b, activations):
    low, high = sorted((a, b))
    layer = {"kind": ["conv2d"], "in_h": 8, "in_w": 8, "in_c": 64, "out_h": 8, "out_w": 8, "out_c": 96}
    layer |= {"kernel_h": 3, "kernel_w": 3, "activation_sparsity": activations}
    dense, some, more = (layer_cost(RAMAN, weight_sparsity=s, **layer).compute_cycles[0] for s in (0.0, low, high))
    kept = work_of(**layer).macs[0] * (1 - high) * (1 - activations)
    assert kept / 12 - 1e-6 <= more <= some + 1e-6 <= dense + 2e-6


def test_only_engines_that_skip_gain():
    columns = stacked(["mlperf-tiny-kws"])
    zeros = {"weight_sparsity": np.full(len(columns["kind"]), 0.7), "activation_sparsity": 0.5}
    less, all_of_it = (layer_cost(RAMAN, **columns, **z).compute_cycles for z in (zeros, {}))
    kinds = np.array(columns["kind"])
    assert (less < 0.45 * all_of_it)[kinds == "conv2d"].all()  # 0.15 of the work, and waiting
    assert (less == 0.5 * all_of_it)[kinds == "depthwise_conv2d"].all()  # activations only, shared by the lanes
    plain = load_accelerator("systolic-16x16-ws")
    np.testing.assert_array_equal(
        layer_cost(plain, **columns, **zeros).op_cycles, layer_cost(plain, **columns).op_cycles
    )


def test_skipped_operands_cost_no_energy():
    machine = machine_of(RAMAN).vary(mac_energy_j=1e-12)
    layer = {"kind": ["conv2d"], "in_h": 8, "in_w": 8, "in_c": 64, "out_h": 8, "out_w": 8, "out_c": 96}
    dense, half = (
        layer_cost(machine, weight_sparsity=s, activation_sparsity=s, **layer).level_energy_j["mac"][0]
        for s in (0, 0.5)
    )
    assert half == pytest.approx(dense / 4)


def test_on_a_board_of_ones_own(tmp_path):
    board = (Path(ts.__file__).parents[1] / "docs" / "device-template.yaml").read_text(encoding="utf-8")
    board = board.replace("runtimes: [tflm-cmsis-nn, tflm-reference]", "runtimes: [npu-codegen, tflm-cmsis-nn]")
    (tmp_path / "board.yaml").write_text(board + "accelerator: raman\n", encoding="utf-8")
    dense, sparse = (
        ts.estimate("kws", tmp_path / "board.yaml", offload="greedy", activation_sparsity=share) for share in (0.0, 0.6)
    )
    assert sparse.cycles < 0.75 * dense.cycles
    assert sparse.energy_j is None
    assert dense.accelerator["name"] == "raman"
    assert dense.interval().basis.startswith("nothing measured on raman")
