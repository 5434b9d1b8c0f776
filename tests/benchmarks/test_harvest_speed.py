"""Speed of exact event stepping: simulated seconds per second of the processor, and a week of 1 Hz harvest.

Run with ``pytest tests/benchmarks/test_harvest_speed.py --benchmark-enable --benchmark-only``; `extra_info` holds the
simulated seconds per second at the best round, and the events. The baseline is a loop with a time step of 10 ms.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinysim.scenario.harvest import harvest_run
from tinysim.supply.capacitors import Capacitor
from tinysim.supply.feed import Feed
from tinysim.supply.stepping import hysteresis, run

SCENARIOS = Path(__file__).parents[2] / "examples" / "scenarios"
HOURLY = np.random.default_rng(0).uniform(0.0, 2e-4, 365 * 24)


def rate(benchmark: Any, simulated_s: float, events: int) -> None:
    benchmark.extra_info["events"] = events
    if benchmark.enabled:
        benchmark.extra_info["simulated_s_per_s"] = f"{simulated_s / benchmark.stats.stats.min:.3g}"


@pytest.mark.benchmark(group="a year, hourly harvest", timer=time.process_time)
@pytest.mark.parametrize("farads", [0.01, 0.1, 1.0])
def test_year(benchmark: Any, farads: float) -> None:
    """A node of 10 mW that switches between 1.8 and 3.0 V."""
    store = Capacitor(farads, leakage_ohm=1e7, rated_v=5.0)
    feed = Feed.sampled(HOURLY, 3600.0)

    def year() -> int:
        node = hysteresis(on_draw=10e-3, off_draw=1e-6, on_v=3.0, off_v=1.8)
        return len(run(store, feed, node).labels)

    rate(benchmark, HOURLY.size * 3600.0, benchmark.pedantic(year, rounds=3))


@pytest.mark.benchmark(group="a year, hourly harvest", timer=time.process_time)
def test_time_steps(benchmark: Any) -> None:
    """An hour of the same node in steps of 10 ms."""

    def steps() -> float:
        square, on = 0.0, False
        for _ in range(360_000):
            square += 2.0 / 0.1 * (1e-4 - square / 1e7 - (10e-3 if on else 1e-6)) * 0.01
            on = square > 1.8**2 if on else square >= 3.0**2
        return square

    assert benchmark.pedantic(steps, rounds=3) > 0.0
    rate(benchmark, 3600.0, 360_000)


@pytest.mark.benchmark(group="a week at 1 Hz", timer=time.process_time)
@pytest.mark.parametrize("name", ["batteryfree_msp430", "batteryfree_m33"])
def test_week(benchmark: Any, name: str) -> None:
    """DS-CNN, from the file: harvest, workload, run and ledger."""
    path = SCENARIOS / f"{name}.yaml"
    harvest_run(path)  # imports and library files are read once
    found = benchmark.pedantic(harvest_run, args=(path,), rounds=3)
    assert found.result.completed > 500
    rate(benchmark, 7 * 86400.0, len(found.result.supply.labels))
