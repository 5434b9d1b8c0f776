"""What the planners promise in time; run with --benchmark-enable."""

import numpy as np
import pytest
from memory_nets import Builder, mobilenet_v1

from tinysim.deploy.memory import (
    MemoryPolicy,
    batch_live_peaks,
    greedy_plan,
    least_peak_order,
    optimum_plan,
    plan_arena,
)


@pytest.fixture(scope="module")
def vww():
    return plan_arena(mobilenet_v1(), MemoryPolicy(kernels="tflm-reference"))


def test_greedy_plan_of_64_buffers(benchmark):
    rng = np.random.default_rng(0)
    first = rng.integers(0, 40, 64)
    offsets = benchmark(greedy_plan, rng.integers(1, 9999, 64), first, first + rng.integers(0, 20, 64))
    assert len(offsets) == 64


def test_optimum_of_vww(benchmark, vww):
    packing = benchmark(optimum_plan, vww.buffers)
    assert packing.proven
    assert packing.head_bytes == 55296


def test_whole_plan_of_vww(benchmark):
    network = mobilenet_v1()
    assert benchmark(plan_arena, network).head_bytes == 73728


def test_batch_of_one_topology(benchmark, vww):
    sizes = np.tile(vww.buffers.size, (200_000, 1))
    peaks = benchmark(batch_live_peaks, sizes, vww.buffers.first, vww.buffers.last)
    assert (peaks == 55296).all()


def test_order_of_six_branches(benchmark):
    rng = np.random.default_rng(0)
    b = Builder((1, 1000))
    ends = []
    for _ in range(6):
        b.here = 0
        for size in rng.integers(100, 5000, 4).tolist():
            b.add("relu", (1, size))
        ends.append(b.here)
    b.add("concatenation", (1, 100), ends)
    b.add("relu", (1, 100))
    network = b.done()
    found = benchmark(least_peak_order, network)
    assert len(network.ops) == 26
    assert found.gap == 0
