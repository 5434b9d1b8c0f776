"""Networks per second of the cost model, beside a naive loop in the same run.

Run with ``pytest tests/benchmarks --benchmark-enable --benchmark-only --benchmark-json out.json``.
"""

from typing import Any

import numpy as np
import pytest

import tinysim as ts
from tinysim.explore.encoded import Encoded
from tinysim.explore.space import SearchSpace
from tinysim.explore.spaces import SPACES

DEVICE, RUNTIME = "nucleo-l4r5zi", "tflm-cmsis-nn"
N_NETWORKS = 20_000


@pytest.fixture(scope="module")
def model() -> ts.CostModel:
    return ts.CostModel(DEVICE, RUNTIME)


@pytest.mark.benchmark(group="batch")
@pytest.mark.parametrize("name", ["ds-cnn", "mobilenet-v2", "pruned"])
def test_batch(benchmark: Any, model: ts.CostModel, name: str) -> None:
    space = SPACES[name]()
    vectors = space.sample(N_NETWORKS, seed=1)

    def run() -> dict[str, np.ndarray]:
        return model.columns(space.encode(vectors))

    run()
    assert len(benchmark(run)["latency_s"]) == N_NETWORKS
    if benchmark.stats is not None:
        benchmark.extra_info["networks_per_second"] = N_NETWORKS / benchmark.stats.stats.mean


@pytest.fixture(scope="module")
def one() -> tuple[SearchSpace, np.ndarray, Encoded]:
    space = SPACES["mobilenet-v2"]()
    vector = space.sample(1, seed=1)[0]
    return space, vector, space.encode(vector)


@pytest.mark.benchmark(group="one network")
def test_one_encoding(benchmark: Any, model: ts.CostModel, one: tuple[SearchSpace, np.ndarray, Encoded]) -> None:
    space, vector, _ = one
    assert benchmark(lambda: model(space.encode(vector))).macs == space.network(vector).macs


@pytest.mark.benchmark(group="one network")
def test_naive_estimate_of_each(benchmark: Any, one: tuple[SearchSpace, np.ndarray, Encoded]) -> None:
    space, vector, _ = one
    assert benchmark(lambda: ts.estimate(space.network(vector), DEVICE, RUNTIME)).macs > 0
