"""The closed-form engine: conservation, attribution, reproducibility."""

import json
from itertools import pairwise

import numpy as np
import pytest

import tinysim as ts
from tinysim.deploy.costs import layer_costs
from tinysim.deploy.target import resolve_target
from tinysim.errors import InputError, SpecError, UnknownDevice, UnknownRuntime

NETWORKS = ["kws", "ic", "vww", "ad", "sww"]


@pytest.fixture(scope="module", params=NETWORKS)
def est(request: pytest.FixtureRequest) -> ts.Estimate:
    return ts.estimate(request.param, "nucleo-l4r5zi", runtime="tflm-cmsis-nn")


def test_layers_sum_to_the_totals(est: ts.Estimate) -> None:
    assert sum(row.cycles for row in est.layers) + est.inference_overhead_cycles == est.cycles
    assert sum(est.cycles_by_cause.values()) == est.cycles
    assert sum(row.macs for row in est.layers) == est.macs
    assert est.latency_s == est.cycles / est.clock_hz
    for row in est.layers:
        parts = row.compute_cycles + row.weight_stall_cycles + row.fetch_stall_cycles + row.data_stall_cycles
        assert parts + row.overhead_cycles == row.cycles


def test_energy_is_conserved(est: ts.Estimate) -> None:
    assert est.energy_by_component is not None
    assert sum(est.energy_by_component.values()) == pytest.approx(est.energy_j, rel=1e-12)
    once = est.inference_overhead_cycles / est.clock_hz * est.deployment.target.prices.power_w
    assert sum(row.energy_j for row in est.layers) + once == pytest.approx(est.energy_j, rel=1e-12)


def test_memory_adds_up(est: ts.Estimate) -> None:
    memory = est.memory
    assert memory.sram_peak_bytes == memory.arena_planned_bytes + memory.arena_persistent_bytes
    assert memory.flash_bytes == memory.model_bytes + memory.code_bytes
    assert memory.weights_bytes <= memory.model_bytes


def test_frame_json_and_layers_say_the_same(est: ts.Estimate) -> None:
    document = json.loads(json.dumps(est.to_dict(), allow_nan=False))
    frame = est.to_frame()
    assert [row["cycles"] for row in document["layers"]] == frame["cycles"].tolist()
    top = "network device runtime macs cycles latency_s energy_j memory interval layers".split()
    assert set(top) <= set(document)
    for name in ("macs", "cycles", "latency_s", "energy_j"):
        assert document[name] == getattr(est, name)


def test_intervals_nest_and_hold_the_estimate(est: ts.Estimate) -> None:
    bounds = [est.interval(level).latency_s for level in (0.5, 0.8, 0.9)]
    for (low, high), (wider_low, wider_high) in pairwise(bounds):
        assert wider_low <= low <= est.latency_s <= high <= wider_high
    with pytest.raises(InputError, match="between 0 and 1"):
        est.interval(90)


def test_explains_every_layer(est: ts.Estimate) -> None:
    assert "% of the cycles" in est.explain()
    for row in est.layers:
        assert row.name in est.explain(row.index)
    with pytest.raises(InputError, match="has no layer 'conv_9'"):
        est.explain("conv_9")


def test_a_batch_costs_what_its_networks_cost() -> None:
    target = resolve_target("nucleo-l4r5zi", "tflm-cmsis-nn")
    tables = [ts.load_network(name).table() for name in NETWORKS]
    batch = layer_costs(ts.LayerTable.concat(tables), target)
    alone = np.concatenate([layer_costs(table, target).cycles.total for table in tables])
    assert np.array_equal(batch.cycles.total, alone)


def test_slower_clock_has_fewer_wait_states() -> None:
    fast = ts.estimate("kws", "nucleo-l4r5zi")
    slow = ts.estimate("kws", "nucleo-l4r5zi", clock_hz=20e6)
    assert slow.cycles < fast.cycles
    assert slow.latency_s > fast.latency_s
    assert slow.cycles_by_cause["weight_stall"] == 0


def test_weights_in_sram_do_not_wait() -> None:
    flash, sram = ts.estimate("ad", "nucleo-l4r5zi"), ts.estimate("ad", "nucleo-l4r5zi", weights_in="sram")
    assert sram.cycles < flash.cycles
    assert sram.cycles_by_cause["weight_stall"] == 0


def test_names_what_does_not_exist() -> None:
    with pytest.raises(UnknownDevice, match="did you mean nucleo-l4r5zi"):
        ts.estimate("kws", "nucleo-l4r5z")
    with pytest.raises(UnknownRuntime, match="has no runtime 'esp-nn'"):
        ts.estimate("kws", "nucleo-l4r5zi", runtime="esp-nn")
    with pytest.raises(UnknownRuntime, match="did you mean tflm-cmsis-nn"):
        ts.estimate("kws", "nucleo-l4r5zi", runtime="tflm-cmsisnn")
    with pytest.raises(SpecError, match="no memory 'psram'"):
        ts.estimate("kws", "nucleo-l4r5zi", weights_in="psram")
    with pytest.raises(SpecError, match="240 MHz is outside"):
        ts.estimate("kws", "nucleo-l4r5zi", clock_hz=240e6)
