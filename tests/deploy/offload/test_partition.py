"""The partition against every assignment of small random graphs, and against the two that need no choice."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysim.deploy.offload.partition import Flow, best_partition, crossings, overlap, partition_cycles
from tinysim.errors import UnsupportedOperator


@st.composite
def problems(draw, engines=2, most=7, chance=0.2, back=7):
    n = draw(st.integers(1, most))
    reads = tuple(
        tuple(sorted(draw(st.sets(st.integers(max(0, op - back), op - 1), max_size=3)))) if op else ()
        for op in range(n)
    )
    flow = Flow(reads, tuple(float(draw(st.integers(0, 30))) for _ in range(n)))
    cycles = np.array([[float(draw(st.integers(0, 60))) for _ in range(n)] for _ in range(engines)])
    for engine, op in product(range(1, engines), range(n)):
        if draw(st.floats(0, 1)) < chance:
            cycles[engine, op] = np.inf
    start = (0.0, *(float(draw(st.integers(0, 40))) for _ in range(engines - 1)))
    once = (0.0, *(float(draw(st.integers(-20, 40))) for _ in range(engines - 1)))
    return cycles, flow, {"start_cycles": start, "once_cycles": once}


def every(cycles, flow, price):
    engines, n = cycles.shape
    return min(partition_cycles(np.array(a), cycles, flow, **price) for a in product(range(engines), repeat=n))


@settings(max_examples=120, deadline=None)
@given(problems())
def test_no_assignment_is_cheaper(problem):
    cycles, flow, price = problem
    assert partition_cycles(best_partition(cycles, flow, **price), cycles, flow, **price) == every(cycles, flow, price)


@settings(max_examples=40, deadline=None)
@given(problems(engines=3, most=5))
def test_nor_among_three_engines(problem):
    cycles, flow, price = problem
    assert partition_cycles(best_partition(cycles, flow, **price), cycles, flow, **price) == every(cycles, flow, price)


@settings(max_examples=40, deadline=None)
@given(problems(most=30, chance=0.0, back=3))
def test_never_dearer_than_one_engine_alone(problem):
    cycles, flow, price = problem
    best = partition_cycles(best_partition(cycles, flow, **price), cycles, flow, **price)
    for engine in (0, 1):
        alone = np.full(cycles.shape[1], engine)
        assert best <= partition_cycles(alone, cycles, flow, **price)


def test_a_tensor_is_handed_over_once_per_engine():
    flow = Flow(reads=((), (0,), (0,), (0,)), border_cycles=(7.0, 0.0, 0.0, 0.0))
    assert crossings(np.array([0, 1, 1, 1]), flow).tolist() == [0, 7, 0, 0]
    assert crossings(np.array([0, 1, 0, 2]), flow).tolist() == [0, 7, 0, 7]


def test_a_long_graph_is_quick_and_an_operator_without_engine_refused():
    rng = np.random.default_rng(1)
    cycles = rng.integers(1, 1000, (2, 400)).astype(float)
    reads = ((), *((op - 1, max(op - 5, 0)) for op in range(1, 400)))
    flow = Flow(tuple(tuple(sorted(set(r))) for r in reads), tuple(rng.integers(1, 50, 400).astype(float)))
    chosen = best_partition(cycles, flow, start_cycles=(0, 100), once_cycles=(0, 0))
    assert set(chosen.tolist()) == {0, 1}
    cycles[:, 3] = np.inf
    with pytest.raises(UnsupportedOperator, match="no engine runs operator 3"):
        best_partition(cycles, flow, start_cycles=(0, 100), once_cycles=(0, 0))


@settings(max_examples=80, deadline=None)
@given(problems(engines=3, most=12, chance=0.0), st.data())
def test_overlap_lies_between_the_busier_engine_and_the_sum(problem, data):
    cycles, flow, _ = problem
    engine = np.array([data.draw(st.integers(0, 2)) for _ in flow.reads])
    own = cycles[engine, np.arange(len(engine))]
    found = overlap(engine, own, flow.reads)
    busiest = max(own[engine == e].sum() for e in range(3))
    assert found.interval_cycles == busiest
    assert busiest <= found.latency_cycles <= own.sum()
    path = np.zeros(len(own))
    for op, sources in enumerate(flow.reads):
        path[op] = own[op] + max([path[s] for s in sources], default=0.0)
    assert found.latency_cycles >= path.max()
    assert overlap(np.zeros(len(own), dtype=int), own, flow.reads).latency_cycles == own.sum()
