"""What every planner owes: no overlap, no plan below the bound, and the optimum below all heuristics."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_nets import autoencoder, ds_cnn, mcunet_vww1, mobilenet_v1, mobilenet_v2, proxyless, random_network

from tinysim.deploy.memory import (
    PLANNERS,
    Buffers,
    MemoryPolicy,
    cp_sat_plan,
    lifetimes,
    live_bytes,
    optimum_plan,
    plan_arena,
)
from tinysim.deploy.memory.greedy import groups, place
from tinysim.deploy.memory.in_place import IN_PLACE_RULES, tie_in_place
from tinysim.errors import InputError, SpecError

BARE = MemoryPolicy(kernels="none", persistent="none", alignment=1)


@st.composite
def buffers(draw, most=9):
    n = draw(st.integers(1, most))
    size = draw(st.lists(st.integers(1, 40), min_size=n, max_size=n))
    first = draw(st.lists(st.integers(0, 8), min_size=n, max_size=n))
    length = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    return Buffers.of(np.array(size) * 16, first, np.array(first) + length)


def overlaps(b, offset):
    """Pairs of buffers that live in one step and share a byte."""
    return [
        (i, j)
        for i, j in itertools.combinations(range(len(b)), 2)
        if b.first[i] <= b.last[j]
        and b.first[j] <= b.last[i]
        and offset[i] < offset[j] + b.size[j]
        and offset[j] < offset[i] + b.size[i]
    ]


@pytest.mark.parametrize("name", PLANNERS)
@given(b=buffers())
@settings(max_examples=40, deadline=None)
def test_no_two_live_buffers_overlap(name, b):
    packing = PLANNERS[name](b)
    assert overlaps(b, packing.offset) == []
    assert packing.head_bytes == (packing.offset + b.size).max()
    assert packing.head_bytes >= packing.bound_bytes >= live_bytes(b).max()


@given(b=buffers())
@settings(max_examples=40, deadline=None)
def test_optimum_is_below_every_heuristic(b):
    optimum = optimum_plan(b)
    assert optimum.proven
    assert optimum.gap == 0
    for name in PLANNERS:
        assert optimum.head_bytes <= PLANNERS[name](b).head_bytes


@given(b=buffers(most=5))
@settings(max_examples=40, deadline=None)
def test_optimum_equals_all_orders(b):
    """Lowest placement in the order of an optimal plan's offsets is optimal: so all orders hold the optimum."""
    grouped = groups(b)
    heads = [(np.array(place(order, grouped)) + b.size).max() for order in itertools.permutations(range(len(b)))]
    assert optimum_plan(b, repairs=1).head_bytes == min(heads)


def test_branch_and_bound_proves_an_optimum_above_the_liveness_bound():
    # five units live in every step, yet no plan fits five: some buffer would have to be split
    b = Buffers.of([3, 2, 1, 2, 1, 1, 2, 3], [0, 0, 1, 1, 2, 2, 3, 6], [0, 1, 2, 5, 2, 5, 6, 6])
    grouped = groups(b)
    heads = [(np.array(place(order, grouped)) + b.size).max() for order in itertools.permutations(range(len(b)))]
    packing = optimum_plan(b)
    assert packing.proven
    assert live_bytes(b).max() == 5
    assert packing.head_bytes == packing.bound_bytes == min(heads) == 6


def test_a_search_cut_short_reports_its_gap():
    rng = np.random.default_rng(5)
    first = rng.integers(0, 30, 60)
    b = Buffers.of(rng.integers(1, 99, 60), first, first + rng.integers(0, 9, 60))
    packing = optimum_plan(b, repairs=1, node_limit=5)
    assert packing.head_bytes >= packing.bound_bytes
    assert packing.gap == pytest.approx(packing.head_bytes / packing.bound_bytes - 1)


@pytest.mark.parametrize(
    ("network", "greedy_bytes", "optimum_bytes"),
    [(mobilenet_v1(), 73728, 55296), (ds_cnn(), 16000, 16000), (autoencoder(), 768, 768)],
    ids=lambda n: getattr(n, "name", None),
)
def test_known_optima(network, greedy_bytes, optimum_bytes):
    """Heads of TFLM and proven optima of the MLPerf Tiny networks (CP-SAT, OR-Tools 9.15)."""
    policy = MemoryPolicy(kernels="tflm-reference")
    assert plan_arena(network, policy).head_bytes == greedy_bytes
    plan = plan_arena(network, MemoryPolicy(planner="optimum", kernels="tflm-reference"))
    assert plan.head_bytes == plan.lower_bound_bytes == optimum_bytes


@given(seed=st.integers(0, 10_000), rules=st.sets(st.sampled_from(sorted(IN_PLACE_RULES))))
@settings(max_examples=40, deadline=None)
def test_in_place_never_raises_the_live_bytes(seed, rules):
    network = random_network(seed)
    plain = lifetimes(network)
    tied = tie_in_place(network, plain, frozenset(rules))
    assert live_bytes(tied).max() <= live_bytes(plain).max()
    for name in PLANNERS:
        packing = PLANNERS[name](tied)
        assert overlaps(tied, packing.offset) == []
        np.testing.assert_array_equal(packing.offset, packing.offset[tied.root])


def test_in_place_chain_shares_one_address():
    policy = MemoryPolicy(kernels="none", persistent="none", in_place=frozenset(IN_PLACE_RULES))
    plan = plan_arena(mobilenet_v1(), policy)
    frame = plan.to_frame().set_index("name")
    # the last tensors: pool over its input, reshape, then softmax over the classifier's output
    assert plan.head_bytes < plan_arena(mobilenet_v1(), BARE).head_bytes
    assert (frame.size_bytes > 0).all()
    assert "softmax 30" not in frame.index


@pytest.mark.parametrize(
    ("network", "in_place", "peak_bytes"),
    [
        (mcunet_vww1(), True, 89600),
        (mobilenet_v2(224, 1.0), True, 1404928),
        (mobilenet_v2(224, 1.0), False, 1505280),
        (autoencoder(), True, 768),
    ],
)
def test_tinyengine_arena(network, in_place, peak_bytes):
    """The input_output buffer of TinyEngine's scheduler (47bb283), in bytes."""
    rules = frozenset({"depthwise", "view"}) if in_place else frozenset()
    policy = MemoryPolicy(kernels="none", persistent="tinyengine", alignment=1, in_place=rules)
    assert plan_arena(network, policy).head_bytes == peak_bytes


@pytest.mark.parametrize(
    ("network", "static_bytes"), [(mobilenet_v2(224, 1.0), 25992 + 864), (autoencoder(), 2560)], ids=["mbv2", "ad"]
)
def test_tinyengine_static_buffers(network, static_bytes):
    """im2col and kernel buffers that TinyEngine (47bb283) reports."""
    assert plan_arena(network, MemoryPolicy(kernels="none", persistent="tinyengine")).tail_bytes == static_bytes


def test_tinyengine_measured_peaks():
    """SRAM on an STM32H743, TinyEngine README table (47bb283), printed in whole KiB."""
    measured = {
        "mcunet-vww1": 93992,
        "mbv2-w0.3-r64": 62464,
        "proxyless-w0.3-r64": 35840,
        "proxyless-w0.3-r176": 265216,
    }
    networks = (mcunet_vww1(), mobilenet_v2(64, 0.3), proxyless(64, 0.3), proxyless(176, 0.3))
    policy = MemoryPolicy(
        kernels="none", persistent="tinyengine", alignment=1, in_place=frozenset({"depthwise", "view"})
    )
    errors = [
        abs(plan_arena(network, policy).peak_bytes / figure - 1)
        for network, figure in zip(networks, measured.values(), strict=True)
    ]
    assert np.mean(errors) < 0.05


@pytest.mark.parametrize(
    ("network", "workspace_bytes"), [(ds_cnn(), 17232), (mobilenet_v1(), 64800)], ids=["kws", "vww"]
)
def test_microtvm_workspace(network, workspace_bytes):
    """Workspace of microTVM's generated code with CMSIS-NN on the NUCLEO-L4R5ZI (MLPerf Tiny v1.0, OctoML)."""
    policy = MemoryPolicy(planner="greedy-by-size", kernels="cmsis-nn-2021", persistent="none")
    assert plan_arena(network, policy).peak_bytes == pytest.approx(workspace_bytes, rel=0.01)


@pytest.mark.parametrize(
    ("network", "buffer_bytes"),
    [(autoencoder(), 768), (ds_cnn(), 16000), (mobilenet_v1(), 55296)],
    ids=["ad", "kws", "vww"],
)
def test_hale_buffer(network, buffer_bytes):
    """Network buffer of Bosch HALE 1.0 on the NUCLEO-H7A3ZI (MLPerf Tiny v1.1): the optimum, no kernel scratch."""
    policy = MemoryPolicy(planner="optimum", kernels="none", persistent="none")
    assert plan_arena(network, policy).peak_bytes == buffer_bytes


def test_wrong_input_is_named():
    with pytest.raises(InputError, match=r"buffer 1.*steps 3\.\.2"):
        Buffers.of([1, 1], [0, 3], [0, 2])
    with pytest.raises(SpecError, match="did you mean depthwise"):
        tie_in_place(ds_cnn(), lifetimes(ds_cnn()), frozenset({"depthwize"}))


@pytest.mark.parametrize("seed", range(6))
def test_cp_sat_agrees(seed):
    pytest.importorskip("ortools", reason="extra `optimum` is not installed")
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 12, 16)
    b = Buffers.of(rng.integers(1, 99, 16) * 16, first, first + rng.integers(0, 5, 16))
    solved = cp_sat_plan(b)
    assert overlaps(b, solved.offset) == []
    assert solved.head_bytes == solved.bound_bytes == optimum_plan(b).head_bytes
