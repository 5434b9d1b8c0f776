"""Energy per level: CACTI's runs, scaling laws, filled descriptions, and traffic as buffers grow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import stacked

from tinysim.cost.accelerator.energy import (
    dram_energy_j_per_byte,
    fill_energy,
    mac_energy_j,
    scaled_energy_j,
    sram_access,
)
from tinysim.cost.accelerator.layer_cost import layer_cost, network_cost
from tinysim.cost.accelerator.machine import machine_of
from tinysim.cost.accelerator.spec import load_accelerator
from tinysim.device.library import spec_folder
from tinysim.errors import SpecError

RUNS = np.genfromtxt(
    spec_folder() / "accelerators" / "technology" / "cacti_sram.csv", delimiter=",", comments="#", skip_header=3
)
SYSTOLIC = machine_of(load_accelerator("systolic-16x16-ws"))


def test_the_runs_themselves_come_back():
    node, size, width = RUNS[:, :3].T
    access = sram_access(size_bytes=size * 1024, width_bits=width, node_nm=node)
    assert len(RUNS) == 180
    np.testing.assert_allclose(access.read_j, RUNS[:, 3] * 1e-9, rtol=1e-9)
    np.testing.assert_allclose(access.write_j, RUNS[:, 4] * 1e-9, rtol=1e-9)
    np.testing.assert_allclose(access.leakage_w, RUNS[:, 5] * 1e-3, rtol=1e-9)
    np.testing.assert_allclose(access.access_s, RUNS[:, 6] * 1e-9, rtol=1e-9)


def test_a_run_left_out_lies_between_its_neighbours():
    table = {tuple(row[:3]): row[3] for row in RUNS}
    errors = []
    for (node, size, width), energy in table.items():
        below, above = table.get((node, size / 2, width)), table.get((node, size * 2, width))
        if below and above:
            errors.append(np.sqrt(below * above) / energy - 1)
    assert len(errors) == 150
    assert np.abs(errors).mean() <= 0.10


@given(st.floats(1024, 2**21), st.floats(1024, 2**21), st.floats(22, 90), st.floats(22, 90))
def test_larger_memories_and_older_nodes_cost_more(a, b, node_a, node_b):
    (small, large), (new, old) = sorted((a, b)), sorted((node_a, node_b))
    one = sram_access(size_bytes=small, width_bits=64, node_nm=new)
    other = sram_access(size_bytes=large, width_bits=64, node_nm=old)
    assert other.read_j >= one.read_j * (1 - 1e-9)


def test_arithmetic_and_dram():
    assert mac_energy_j(weight_bits=16, activation_bits=16) > mac_energy_j(weight_bits=8, activation_bits=8)
    assert float(mac_energy_j(weight_bits=8, activation_bits=8, node_nm=20)) == pytest.approx(0.377e-12, rel=1e-3)
    assert float(scaled_energy_j(2.0, from_nm=28, to_nm=28, to_v=0.5)) == 0.5
    with pytest.raises(SpecError, match="LPDDR4"):
        dram_energy_j_per_byte("LPDDR5")


def test_filling_leaves_what_is_known():
    filled = fill_energy(SYSTOLIC, node_nm=22)
    np.testing.assert_array_equal(filled.read_energy_j[1], SYSTOLIC.read_energy_j[1])
    assert np.isfinite(network_cost(filled, **stacked(["mlperf-tiny-vww"])).energy_j).all()
    older = fill_energy(SYSTOLIC, node_nm=65)
    assert older.read_energy_j[0] > filled.read_energy_j[0]


def test_larger_buffers_move_fewer_dram_bytes():
    columns = stacked(["mobilenet-v2-0.35-96"])
    sizes = 2.0 ** np.arange(12, 22)
    cost = layer_cost(SYSTOLIC.vary(buffer__size_bytes=sizes), **columns)
    moved = cost.memory_bytes["dram"].sum(axis=-1)
    work = layer_cost(SYSTOLIC.vary(buffer__size_bytes=1e12), **columns).memory_bytes["dram"].sum()
    assert (np.diff(moved) <= 0).all()
    assert moved[0] > 1.5 * moved[-1]
    assert moved[-1] == pytest.approx(work)
