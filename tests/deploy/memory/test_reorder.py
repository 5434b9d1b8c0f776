"""Operator orders: exact against dynamic programming over all sets of operators."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_nets import Builder, ds_cnn, random_network

from tinysim.deploy.memory import least_peak_order, lifetimes, live_bytes, reordered
from tinysim.errors import InputError, NetworkError


def parallel_chains(sizes):
    """Chains of element-wise operators from one input, joined at the end; sizes: elements per operator, per chain."""
    b = Builder((1, 50))
    ends = []
    for chain in sizes:
        b.here = 0
        for size in chain:
            b.add("relu", (1, size))
        ends.append(b.here)
    b.add("concatenation", (1, 20), ends)
    return b.done("chains")


def peak(network):
    return int(live_bytes(lifetimes(network, alignment=1)).max())


def least_peak(network):
    """Least peak over all orders, by dynamic programming over sets of finished operators."""
    ops, tensors = network.ops, network.tensors
    made = {t: i for i, op in enumerate(ops) for t in op.outputs}

    def live(done):
        held = [t for t in range(len(tensors)) if made.get(t, -1) < 0 or made[t] in done]
        return sum(
            tensors[t].n_bytes
            for t in held
            if t in network.outputs or any(t in op.inputs for i, op in enumerate(ops) if i not in done)
        )

    @functools.cache
    def after(done):
        if len(done) == len(ops):
            return 0
        best = 10**9
        for i, op in enumerate(ops):
            if i not in done and all(made.get(t, i) in done or t not in made for t in op.inputs):
                during = live(done) + sum(tensors[t].n_bytes for t in op.outputs)
                best = min(best, max(during, after(done | {i})))
        return best

    return max(after(frozenset()), sum(tensors[t].n_bytes for t in network.inputs))


@given(st.lists(st.lists(st.integers(1, 90), min_size=1, max_size=4), min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_parallel_chains_are_exact(sizes):
    network = parallel_chains(sizes)
    found = least_peak_order(network)
    assert found.peak_bytes == found.bound_bytes == least_peak(network) == peak(reordered(network, found.order))


@given(seed=st.integers(0, 10_000), n_ops=st.integers(1, 9))
@settings(max_examples=35, deadline=None)
def test_random_graphs_are_exact(seed, n_ops):
    network = random_network(seed, n_ops)
    found = least_peak_order(network)
    assert found.peak_bytes == found.bound_bytes == least_peak(network) == peak(reordered(network, found.order))
    assert found.gap == 0


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_beam_keeps_dependencies_and_its_bound(seed):
    network = random_network(seed, 14)
    beam = least_peak_order(network, node_limit=1, beam=3)
    exact = least_peak_order(network)
    # `reordered` refuses an order that breaks a dependency
    assert peak(reordered(network, beam.order)) == beam.peak_bytes
    assert beam.bound_bytes <= exact.peak_bytes <= beam.peak_bytes


def test_valley_between_two_equal_humps_is_a_stop():
    """Each chain should pause in its valley while the other passes its humps."""
    sizes = [[90, 1, 2, 1, 90, 10], [90, 1, 2, 1, 90, 10]]
    network = parallel_chains(sizes)
    assert least_peak_order(network).peak_bytes == least_peak(network)


def test_six_branches_of_26_operators():
    rng = np.random.default_rng(0)
    network = parallel_chains([rng.integers(100, 5000, 4).tolist() for _ in range(6)])
    found = least_peak_order(network)
    assert len(network.ops) == 25
    assert found.gap == 0
    assert found.peak_bytes < peak(network)


def test_scratch_counts_in_the_step_of_its_operator():
    network = parallel_chains([[10, 20], [30]])
    scratch = np.array([0, 0, 1000, 0])
    assert least_peak_order(network, scratch=scratch).peak_bytes > 1000


def test_wrong_orders_are_refused():
    network = ds_cnn()
    with pytest.raises(InputError, match="must hold each operator"):
        reordered(network, [0, 0])
    with pytest.raises(NetworkError, match="before anything writes it"):
        reordered(network, range(len(network.ops))[::-1])
