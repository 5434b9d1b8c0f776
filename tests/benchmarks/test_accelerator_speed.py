"""Speed of accelerator costs: 100,000 designs at once beside one call per design, and Vela's estimate per network."""

import numpy as np
import pytest

from tinysim.cost.accelerator.ethos.estimate import estimate_vela
from tinysim.cost.accelerator.ethos.systems import load_system
from tinysim.cost.accelerator.layer_cost import network_cost
from tinysim.cost.accelerator.machine import Machine, machine_of
from tinysim.cost.accelerator.spec import load_accelerator
from tinysim.cost.accelerator.work import columns_of
from tinysim.network.zoo import build_network

TABLE = build_network("mlperf-tiny-vww").table()
COLUMNS = columns_of(TABLE)
SYSTOLIC = machine_of(load_accelerator("systolic-16x16-ws"))


def designs(count: int) -> Machine:
    """Random designs: array, buffer, DRAM, clock and energies, so that time and energy of every level are priced."""
    rng = np.random.default_rng(0)
    return SYSTOLIC.vary(
        unroll_out_c=rng.integers(1, 65, count),
        unroll_in_c=rng.integers(1, 65, count),
        buffer__size_bytes=rng.uniform(4e3, 1e6, count),
        dram__bytes_per_cycle=rng.uniform(0.5, 32, count),
        clock_hz=rng.uniform(1e8, 1e9, count),
        mac_energy_j=rng.uniform(1e-13, 1e-11, count),
        buffer__read_energy_j=1e-12,
        buffer__write_energy_j=1e-12,
        active_power_w=1e-3,
    )


def test_a_hundred_thousand_designs_of_vww(benchmark) -> None:
    machine = designs(100_000)
    cost = benchmark.pedantic(network_cost, (machine,), COLUMNS, rounds=1)
    assert cost.latency_s.shape == (100_000, 1)
    assert np.isfinite(cost.energy_j).all()
    assert len(np.unique(cost.latency_s)) > 99_000


def test_baseline_one_call_per_design(benchmark) -> None:
    """A hundred designs, one after the other."""
    machines = list(designs(100).chunks(1))
    found = benchmark.pedantic(lambda: [network_cost(m, **COLUMNS).latency_s[0, 0] for m in machines], rounds=1)
    assert len(set(found)) == 100
    assert found == pytest.approx(network_cost(designs(100), **COLUMNS).latency_s[:, 0].tolist())


def test_compiler_estimate_of_a_network(benchmark) -> None:
    spec = load_accelerator("ethos-u55-128")
    system, _ = load_system("Ethos_U55_High_End_Embedded", "Shared_Sram")
    wanted = {name: v for name, v in COLUMNS.items() if name not in ("network", "groups")}
    result = benchmark(lambda: estimate_vela(spec.vela, system, **wanted))
    assert result.op_cycles.sum() > 0
