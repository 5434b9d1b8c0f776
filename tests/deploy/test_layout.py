"""Where things live: spill to other memories, what it costs, and the cliffs that were measured."""

import csv
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinysim as ts
from tinysim.deploy.memory import PLANNERS, Buffers, fill_pools, greedy_plan
from tinysim.deploy.memory.optimum import Packing
from tinysim.explore.encoded import encode_table

MEASURED_MS = {
    (row["network"], row["runtime"]): float(row["latency_ms"])
    for row in csv.DictReader(
        line
        for line in files("tinysim.calibrate").joinpath("data/st_modelzoo.csv").read_text("utf-8").splitlines()
        if not line.startswith("#")
    )
    if row["device"] == "stm32h747i-disco"
}
MOBILENET, SQUEEZENET = "st-mobilenet-v2-0.35-{}-c5", "st-squeezenet-1.1-{}-c5"


def latency(network, runtime, **options):
    return ts.estimate(network, "stm32h747i-disco", runtime, **options).latency_s


@pytest.mark.parametrize("network", [MOBILENET, SQUEEZENET])
@pytest.mark.parametrize("runtime", ["x-cube-ai-7.3", "x-cube-ai-8.1"])
def test_an_arena_in_sdram_costs_what_was_measured(network, runtime):
    """224 against 128 pixels: the larger arena (686 and 756 KiB) lies in SDRAM. Two tool runs differ by up to 8 %."""
    small, large = network.format(128), network.format(224)
    measured = MEASURED_MS[large, runtime] / MEASURED_MS[small, runtime]
    assert latency(large, runtime) / latency(small, runtime) == pytest.approx(measured, rel=0.08)
    moved = ts.estimate(large, "stm32h747i-disco", runtime)
    assert list(moved.memory.arena_in) == ["sdram"]
    assert "moves to sdram" in moved.notes[0]
    assert 1.05 < moved.latency_s / latency(large, runtime, activations_in="axi-sram") < 1.2


@pytest.mark.parametrize("runtime", ["x-cube-ai-9.1", "x-cube-ai-10.0", "st-edge-ai-3.0"])
def test_pools_keep_the_cliff_small(runtime):
    """From version 9 on only the tensors that exceed the on-chip memory lie outside: a step of a few percent."""
    large = MOBILENET.format(224)
    result = ts.estimate(large, "stm32h747i-disco", runtime)
    assert set(result.memory.arena_in) == {"axi-sram", "sdram"}
    step = result.latency_s / latency(large, runtime, activations_in="axi-sram")
    assert 1.0 < step < 1.05
    measured = MEASURED_MS[large, runtime] / MEASURED_MS[MOBILENET.format(128), runtime]
    assert result.latency_s / latency(MOBILENET.format(128), runtime) == pytest.approx(measured, rel=0.05)


def test_pools_of_resnet_50_are_those_reported():
    """2142.07 KiB in AXI SRAM, a second memory on the chip and SDRAM together."""
    result = ts.estimate("resnet-50-v2-224", "stm32h747i-disco", "st-edge-ai-3.0")
    pools = result.memory.arena_in
    assert (next(iter(pools)), len(pools), list(pools)[-1]) == ("axi-sram", 3, "sdram")
    assert sum(pools.values()) / 1024 == pytest.approx(2142.07, abs=0.1)


def test_weights_that_exceed_the_flash_are_read_in_place():
    result = ts.estimate("st-mobilenet-v1-1.0-224-c1000", "stm32h747i-disco", "x-cube-ai-10.0")
    assert result.memory.weights_in == ("qspi-flash",)
    assert any("latency of qspi-flash is unknown" in gap for gap in result.gaps)
    assert result.fits


@pytest.mark.parametrize(
    ("device", "flash_ms", "ram_ms"), [("nucleo-l4r5zi", 5.83515, 4.72831), ("nucleo-u575zi-q", 3.8043, 3.09093)]
)
def test_weights_in_ram(device, flash_ms, ram_ms):
    """Bosch HALE, anomaly detection: 19 % less time with the weights in RAM (MLPerf Tiny v1.2, max_performance)."""
    ram = ts.load_device(device).memory_for("activations").name
    near, far = (ts.estimate("ad", device, "bosch-hale-1.0.175", weights_in=m).latency_s for m in (ram, "flash"))
    assert near / far == pytest.approx(ram_ms / flash_ms, abs=0.1)
    assert near < far
    build = ts.estimate("ad", device, "bosch-hale-1.0.175", build="max-performance")
    assert build.memory.weights_in == (ram,)


def test_weights_are_copied_to_ram_while_there_is_room():
    """258 KiB of weights and 256 KiB of RAM: 24 % less time measured (MLPerf Tiny v1.2, max_performance)."""
    build = ts.estimate("ad", "rh850-f1km-s4", "bosch-hale-1.0.175", build="max-performance")
    assert build.memory.weights_in == ("ram", "flash")
    assert any("stay in flash: ram is too small" in text for text in build.notes)
    assert build.latency_s < ts.estimate("ad", "rh850-f1km-s4").latency_s


@pytest.mark.parametrize("runtime", ["x-cube-ai-7.3", "x-cube-ai-10.0"])
def test_both_engines_and_the_batch_agree_on_a_spilt_arena(runtime):
    network = ts.load_network(MOBILENET.format(224))
    estimate = ts.estimate(network, "stm32h747i-disco", runtime)
    assert ts.simulate(network, "stm32h747i-disco", runtime).latency_s == pytest.approx(estimate.latency_s, rel=1e-9)
    assert ts.CostModel("stm32h747i-disco", runtime)(network).latency_s == estimate.latency_s


def test_a_batch_prices_each_network_where_its_arena_lies():
    """On a board whose SRAM holds one network and not the other."""
    board = ts.load_device("stm32h747i-disco")
    tight = board.memories[1].size.model_copy(update={"value": 30.0})
    memories = tuple(m.model_copy(update={"size": tight}) if m.name == "axi-sram" else m for m in board.memories)
    board = board.model_copy(update={"memories": tuple(m for m in memories if "tcm" not in m.name), "name": "tight"})
    board = board.model_copy(update={"runtimes": ("tflm-cmsis-nn",)})
    names = ["kws", "vww"]
    tables = [ts.load_network(n).table() for n in names]
    model = ts.CostModel(board, "tflm-cmsis-nn")
    batch = model.batch(ts.LayerTable.concat(tables))
    single = [model(table) for table in tables]
    assert batch.latency_s.tolist() == [cost.latency_s for cost in single]
    assert batch.sram_peak_bytes.tolist() == [cost.sram_peak_bytes for cost in single]
    alone = model.columns(encode_table(ts.LayerTable.concat(tables)), ["latency_s"])
    assert alone["latency_s"].tolist() == batch.latency_s.tolist()


def test_external_memory_takes_time_and_its_own_energy():
    near, far = (ts.estimate("vww", "esp32-s3-devkit", "tflm-reference", activations_in=m) for m in ("sram", "psram"))
    assert far.latency_s > near.latency_s
    assert near.energy_by_component["external"] == 0 < far.energy_by_component["external"]
    assert far.energy_j > near.energy_j


def greedy(buffers):
    offset = greedy_plan(buffers.size, buffers.first, buffers.last, alignment=1)
    return Packing(offset, int((offset + buffers.size).max(initial=0)), 0)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(1, 99), st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=15),
    capacities=st.lists(st.integers(0, 200), min_size=1, max_size=3),
    planner=st.sampled_from([greedy, PLANNERS["near-optimum"]]),
)
def test_every_buffer_lies_in_one_pool_that_holds_it(rows, capacities, planner):
    size, first, span = np.array(rows).T
    buffers = Buffers.of(size, first, first + span)
    pools = fill_pools(buffers, [*capacities, 10**6], planner)
    assert sorted(np.concatenate([r for r, _ in pools]).tolist()) == list(range(len(rows)))
    assert all(plan.head_bytes <= c for (_, plan), c in zip(pools, capacities, strict=False))
    for held, plan in pools:
        part = buffers.rows(held)
        for i in range(len(part)):
            for j in range(i):
                apart = part.last[i] < part.first[j] or part.last[j] < part.first[i]
                below = plan.offset[i] + part.size[i] <= plan.offset[j]
                assert apart or below or plan.offset[j] + part.size[j] <= plan.offset[i]
