"""Networks per second of the cost model, beside a naive loop and a loop over layers in torch, in the same run.

Run with ``pytest tests/benchmarks --benchmark-enable --benchmark-only --benchmark-json out.json``.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tinysim as ts
from tinysim.explore.encoded import Encoded
from tinysim.explore.search import Question
from tinysim.explore.space import SearchSpace
from tinysim.explore.spaces import SPACES

DEVICE, RUNTIME = "nucleo-l4r5zi", "tflm-cmsis-nn"
N_NETWORKS, N_TABLES = 100_000, 20_000


@pytest.fixture(scope="module")
def model() -> ts.CostModel:
    return ts.CostModel(DEVICE, RUNTIME)


def rate(benchmark: Any, networks: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["networks_per_second"] = networks / benchmark.stats.stats.min


@pytest.mark.benchmark(group="batch")
@pytest.mark.parametrize("threads", [1, None], ids=["one core", "all cores"])
@pytest.mark.parametrize("name", sorted(SPACES))
def test_batch_of_vectors(benchmark: Any, model: ts.CostModel, name: str, threads: int | None) -> None:
    """All five figures, encoding included."""
    space = SPACES[name]()
    vectors = space.sample(N_NETWORKS, seed=1)

    def run() -> dict[str, np.ndarray]:
        return model.columns(space.encode(vectors), threads=threads)

    run()
    assert len(benchmark(run)["latency_s"]) == N_NETWORKS
    rate(benchmark, N_NETWORKS)


@pytest.mark.benchmark(group="batch")
@pytest.mark.parametrize("name", ["ds-cnn", "mobilenet-v2"])
def test_batch_of_layers(benchmark: Any, model: ts.CostModel, name: str) -> None:
    """A table of layers, whose distinct rows are found, priced and summed."""
    space = SPACES[name]()
    encoded = space.encode(space.sample(N_TABLES, seed=1))
    table, skips = encoded.table(), encoded.skips()
    model.batch(table, skips=skips)
    assert len(benchmark(model.batch, table, skips=skips)) == N_TABLES
    rate(benchmark, N_TABLES)


@pytest.fixture(scope="module")
def network() -> ts.Network:
    return ts.load_network("mobilenet-v2-0.35-96")


@pytest.fixture(scope="module")
def one() -> tuple[SearchSpace, np.ndarray, Encoded]:
    space = SPACES["mobilenet-v2"]()
    vector = space.sample(1, seed=1)[0]
    return space, vector, space.encode(vector)


@pytest.mark.benchmark(group="one network")
def test_one_network_with_known_layers(benchmark: Any, model: ts.CostModel, network: ts.Network) -> None:
    """A `Network` that was never asked before, nor its table made, of layers that were priced before."""
    model(network)

    def fresh() -> tuple[tuple[ts.Network], dict[str, Any]]:
        return (replace(network),), {}

    assert benchmark.pedantic(model, setup=fresh, rounds=300).macs == network.macs


@pytest.mark.benchmark(group="one network")
def test_one_network_of_new_layers(benchmark: Any, network: ts.Network) -> None:
    """The first network that a model sees: every layer is priced."""

    def fresh() -> tuple[tuple[ts.CostModel], dict[str, Any]]:
        return (ts.CostModel(DEVICE, RUNTIME),), {}

    assert benchmark.pedantic(lambda model: model(replace(network)), setup=fresh, rounds=50).macs == network.macs


@pytest.mark.benchmark(group="one network")
def test_two_hundred_networks_of_new_layers(benchmark: Any) -> None:
    """A population of graphs that no model has seen."""
    space = SPACES["mobilenet-v2"]()
    networks = [space.network(vector) for vector in space.sample(200, seed=2)]

    def fresh() -> tuple[tuple[ts.CostModel, list[ts.Network]], dict[str, Any]]:
        return (ts.CostModel(DEVICE, RUNTIME), [replace(network) for network in networks]), {}

    frame = benchmark.pedantic(lambda model, many: model.batch(many), setup=fresh, rounds=3)
    assert (frame["macs"] == [network.macs for network in networks]).all()


@pytest.mark.benchmark(group="one network")
def test_one_vector(benchmark: Any, model: ts.CostModel, one: tuple[SearchSpace, np.ndarray, Encoded]) -> None:
    space, vector, _ = one
    assert benchmark(lambda: model(space.encode(vector))).macs == space.network(vector).macs


@pytest.mark.benchmark(group="one network")
def test_naive_estimate_of_each(benchmark: Any, one: tuple[SearchSpace, np.ndarray, Encoded]) -> None:
    space, vector, _ = one
    assert benchmark(lambda: ts.estimate(space.network(vector), DEVICE, RUNTIME)).macs > 0


@pytest.mark.benchmark(group="one network")
def test_loop_over_layers_in_torch(benchmark: Any, network: ts.Network) -> None:
    """What differentiable NAS tools such as PLiNIO do: a cost function per layer on a dictionary of tensors, summed.

    MACs, parameters and a bound of the cycles only; no arena, no stalls, no energy.
    """
    torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
    rows = [
        {name: torch.tensor(float(value)) for name, value in row.items() if name not in {"kind", "network"}}
        for row in network.table().to_frame().to_dict("records")
    ]

    def layer(spec: dict[str, Any], depthwise: bool) -> tuple[Any, Any, Any]:
        per_output = spec["kernel_h"] * spec["kernel_w"] * (1.0 if depthwise else spec["in_c"])
        macs = per_output * spec["out_c"] * spec["out_h"] * spec["out_w"]
        return macs, per_output * spec["out_c"], torch.maximum(macs / 0.7, spec["out_c"] * spec["out_h"])

    kinds = [kind == "depthwise_conv2d" for kind in network.table().kind_names]

    def run() -> float:
        costs = [layer(row, depthwise) for row, depthwise in zip(rows, kinds, strict=True)]
        return float(sum(cost[0] for cost in costs) + sum(cost[1] for cost in costs) + sum(cost[2] for cost in costs))

    assert benchmark(run) > network.macs


@pytest.mark.benchmark(group="search")
def test_search_of_20_generations_of_200(benchmark: Any, model: ts.CostModel) -> None:
    space = SPACES["mobilenet-v2"]()
    question = Question(space, model, ["latency_s", "flash_bytes"], limits={"sram_peak_bytes": 256 * 1024})
    vectors, front = benchmark.pedantic(question.minimise, kwargs={"population": 200, "generations": 20}, rounds=1)
    assert len(vectors) == len(front) > 0
