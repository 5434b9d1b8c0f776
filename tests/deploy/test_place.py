"""The fastest placement: never slower, within the memories, and what the knapsack promises."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinysim as ts
from tinysim.deploy.fit import flash_ways_out, misfits, speedups, too_small, ways_out
from tinysim.deploy.layout import room
from tinysim.deploy.place import weights_that_wait_least
from tinysim.errors import DoesNotFit, SpecError


@settings(deadline=None, max_examples=40)
@given(
    items=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 90), st.integers(0, 90)), min_size=1, max_size=5),
    capacity=st.tuples(st.integers(0, 120), st.integers(0, 120)),
)
def test_knapsack_equals_trying_all(items, capacity):
    size, near, nearer = np.array(items, dtype=float).T
    stalls = np.array([np.full(len(size), 90.0), near, nearer])
    best = np.inf
    for choice in itertools.product(range(3), repeat=len(size)):
        at = np.array(choice)
        if all(size[at == m].sum() <= capacity[m - 1] for m in (1, 2)):
            best = min(best, (stalls[at, np.arange(len(size))] + 1e-3 * size * (at > 0)).sum())
    chosen = weights_that_wait_least(stalls, size, np.array([np.inf, *capacity]))
    assert all(size[chosen == m].sum() <= capacity[m - 1] + 1e-6 for m in (1, 2))
    found = (stalls[chosen, np.arange(len(size))] + 1e-3 * size * (chosen > 0)).sum()
    assert found == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize(
    ("network", "device", "runtime"),
    [
        ("ad", "nucleo-l4r5zi", "tflm-cmsis-nn"),
        ("kws", "nucleo-h7a3zi-q", "tflm-cmsis-nn"),
        ("ic", "esp32-s3-devkit", "esp-nn"),
        ("st-mobilenet-v2-0.35-224-c5", "stm32h747i-disco", "x-cube-ai-7.3"),
    ],
)
def test_never_slower_and_within_the_memories(network, device, runtime):
    usual, fast = (ts.estimate(network, device, runtime, placement=p) for p in ("runtime", "fastest"))
    assert fast.latency_s <= usual.latency_s
    layout, weights = fast.deployment.layout, fast.costs.table.weight_bytes
    np.testing.assert_array_equal(layout.weight_share.sum(axis=0), 1)
    for memory, share in zip(layout.weight_memories[1:], layout.weight_share[1:], strict=True):
        held = float(share @ weights) + sum(p.peak_bytes for p in layout.pools if p.memory == memory)
        held += (fast.memory.code_bytes or 0) * (layout.code == memory)
        assert held <= room(memory)
    assert ts.simulate(network, device, runtime, placement="fastest").latency_s == pytest.approx(
        fast.latency_s, rel=1e-9
    )


def test_weights_and_code_in_ram_gain_what_was_measured():
    """The anomaly detector waits for its weights: 17 to 24 % less time from RAM (HALE, MLPerf Tiny v1.2).

    Here the code moves too.
    """
    usual, fast = (ts.estimate("ad", "nucleo-l4r5zi", "tflm-cmsis-nn", placement=p) for p in ("runtime", "fastest"))
    assert 0.15 < 1 - fast.latency_s / usual.latency_s < 0.36
    assert fast.energy_j < usual.energy_j
    assert any("weights of 10 operators" in note for note in fast.notes)
    (way,) = speedups(usual.deployment)
    assert way.extra_latency_s == pytest.approx(fast.latency_s - usual.latency_s, rel=1e-6)


def test_what_the_user_named_stays():
    fast = ts.estimate("ad", "nucleo-l4r5zi", "tflm-cmsis-nn", placement="fastest", weights_in="flash", code_in="flash")
    assert fast.memory.weights_in == ("flash",)
    assert fast.notes == ()


def test_an_unknown_placement():
    with pytest.raises(SpecError, match="placement 'quick'; accepted: runtime, fastest"):
        ts.estimate("kws", "nucleo-l4r5zi", placement="quick")


def test_ways_out_of_both_memories():
    deployment = ts.deploy(ts.load_network("mobilenet-v2-1.0-224"), "nucleo-l4r5zi", "tflm-cmsis-nn")
    with pytest.raises(DoesNotFit) as error:
        deployment.check_fit()
    message = str(error.value)
    assert "the arena needs 1,651,828 B of sram, which has 655,360 B" in message
    assert "of flash, which has 2,097,152 B" in message
    for way in (*ways_out(deployment), *flash_ways_out(deployment)):
        assert str(way) in message
    assert len(flash_ways_out(deployment)) == len(ways_out(deployment)) == 3
    assert all(way.peak_bytes <= 2_097_152 and way.changes_result for way in flash_ways_out(deployment))


def test_a_float_network_is_told_of_8_bits():
    deployment = ts.deploy(ts.load_network("mobilenet-v1-0.5-128@float32"), "nucleo-l4r5zi", "tflm-cmsis-nn")
    assert any(way.what.startswith("8-bit") for way in flash_ways_out(deployment))


def test_patches_gain_the_stalls_of_an_arena_that_comes_back():
    deployment = ts.deploy(ts.load_network("st-mobilenet-v2-0.35-224-c5"), "stm32h747i-disco", "x-cube-ai-7.3")
    way = next(way for way in ways_out(deployment) if way.peak_bytes)
    assert way.peak_bytes <= 512 * 1024
    assert way.extra_latency_s < 0


def with_sram(n_bytes):
    """A NUCLEO-L4R5ZI whose SRAM has so many bytes."""
    board = ts.load_device("nucleo-l4r5zi")
    memories = tuple(
        m.model_copy(update={"size": m.size.model_copy(update={"value": n_bytes / 1024})}) if m.name == "sram" else m
        for m in board.memories
    )
    return board.model_copy(update={"memories": memories, "name": "other-sram"})


@pytest.mark.parametrize(
    "beside", [{"weights_in": "sram"}, {"code_in": "sram"}, {"weights_in": "sram", "code_in": "sram"}]
)
def test_what_shares_a_memory_counts_together(beside):
    network = ts.load_network("kws")
    at_ease = ts.deploy(network, "nucleo-l4r5zi", "tflm-cmsis-nn", **beside)
    assert misfits(at_ease) == ()
    arena, flash = at_ease.arena.peak_bytes, at_ease.flash
    stored = flash.model_bytes * ("weights_in" in beside) + flash.code_bytes * ("code_in" in beside)
    options = {"activations_in": "sram", **beside}
    assert misfits(ts.deploy(network, with_sram(arena + stored), "tflm-cmsis-nn", **options)) == ()
    tight = ts.deploy(network, with_sram(arena + stored - 1), "tflm-cmsis-nn", **options)
    (text,) = misfits(tight)
    assert f"needs {arena + stored:,} B ({arena:,} + {stored:,}) of sram, which has {arena + stored - 1:,} B" in text
    assert too_small(tight) == (True, True)
    assert not ts.estimate(network, tight.target).fits
    with pytest.raises(DoesNotFit, match="the arena with model and code needs"):
        tight.check_fit()
    assert ways_out(tight)[0].peak_bytes < arena


def test_measured_rows_fit_beside_each_other():
    """HALE's weights in RAM beside its arena: rows that were measured, so they fit."""
    for network in ("ad", "ic", "kws", "vww"):
        for device in ("nucleo-l4r5zi", "nucleo-u575zi-q"):
            deployment = ts.deploy(ts.load_network(network), device, "bosch-hale-1.0.175", build="max-performance")
            assert misfits(deployment) == ()
