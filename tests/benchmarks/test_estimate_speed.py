"""Speed of the closed form, beside a naive loop over layers in the same run.

Run with ``pytest tests/benchmarks --benchmark-enable --benchmark-only``.
"""

from typing import Any

import pytest

import tinysim as ts
from tinysim.deploy.costs import layer_costs
from tinysim.deploy.target import resolve_target

DEVICE, RUNTIME = "nucleo-l4r5zi", "tflm-cmsis-nn"
COPIES = 2000


@pytest.fixture(scope="module")
def vww() -> ts.Network:
    network = ts.load_network("vww")
    ts.estimate(network, DEVICE, RUNTIME)
    return network


@pytest.mark.benchmark(group="one estimate of vww")
def test_estimate(benchmark: Any, vww: ts.Network) -> None:
    est = benchmark(ts.estimate, vww, DEVICE, RUNTIME)
    assert est.macs == 7_489_664


@pytest.mark.benchmark(group="one estimate of vww")
def test_naive_loop_over_layers(benchmark: Any, vww: ts.Network) -> None:
    target, table = resolve_target(DEVICE, RUNTIME), vww.table()

    def loop() -> float:
        return sum(float(layer_costs(table[row], target).cycles.total[0]) for row in range(len(table)))

    assert benchmark(loop) == layer_costs(table, target).cycles.total.sum()


@pytest.mark.benchmark(group="layers")
def test_batch_of_layers(benchmark: Any, vww: ts.Network) -> None:
    target, one = resolve_target(DEVICE, RUNTIME), vww.table()
    batch = ts.LayerTable.concat([one] * COPIES)
    costs = benchmark(lambda: layer_costs(batch[:], target))  # a fresh table: nothing is cached
    benchmark.extra_info["layers"] = len(batch)
    assert costs.cycles.total.sum() == COPIES * layer_costs(one, target).cycles.total.sum()
