"""The ledger of traffic: nothing is lost, lines are whole, reuse is what kernels do."""

import numpy as np
import pytest

import tinysim as ts
from tinysim.deploy.traffic import OUTSIDE

CASES = [
    ("vww", "nucleo-l4r5zi", "tflm-cmsis-nn"),
    ("ic", "nucleo-l4r5zi", "tflm-reference"),
    ("lstm-32", "nucleo-l4r5zi", "tflm-cmsis-nn"),
    ("st-mobilenet-v2-0.35-224-c5", "stm32h747i-disco", "x-cube-ai-10.0"),
    ("st-ssd-mobilenet-v1-0.25-192", "stm32h747i-disco", "x-cube-ai-7.3"),
    ("ic", "stm32n6570-dk", "st-edge-ai-3.0"),
    ("kws", "corstone-300", "vela"),
    ("ic", "gap9-evk", None),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]} on {case[1]}")
def estimate(request):
    return ts.estimate(*request.param)


def test_every_memory_gives_back_the_activations_that_it_takes(estimate):
    rows = estimate.traffic()
    activations = rows[rows.what == "activations"]
    taken = activations.groupby("sink").content_bytes.sum()
    given = activations.groupby("source").released_bytes.sum()
    memories = {pool.memory.name for pool in estimate.deployment.layout.pools}
    assert memories == set(given.index[given > 0])
    for memory in memories:
        assert taken[memory] == given[memory]
    network = estimate.deployment.network
    assert taken[OUTSIDE] == sum(network.tensors[t].n_bytes for t in set(network.outputs))


def test_what_leaves_a_port_arrives_at_another(estimate):
    """Each byte has a memory at one end and an engine or the outside at the other, and what is moved holds the content
    of everything that an operator reads or writes at all."""
    rows = estimate.traffic()
    engines = {*estimate.deployment.engines, OUTSIDE}
    assert (rows.source.isin(engines) ^ rows.sink.isin(engines)).all()
    assert (rows.moved_bytes >= 0).all()
    assert (rows.lines * 4 <= rows.moved_bytes).all()


def test_the_ledger_sums_to_what_the_kernels_ask(estimate):
    rows, costs = estimate.traffic(), estimate.costs
    inside = rows[rows.layer >= 0]
    weights = inside[inside.what == "weights"].groupby("layer").asked_bytes.sum()
    found = weights.reindex(range(len(costs.table)), fill_value=0.0)
    if estimate.deployment.offload is None:
        np.testing.assert_allclose(found, costs.traffic.weight_read_bytes)
        read = inside[(inside.what == "activations") & ~inside.source.isin(estimate.deployment.engines)]
        with_inputs = read.groupby("layer").asked_bytes.sum()
        np.testing.assert_allclose(with_inputs, costs.traffic.sram_read_bytes[with_inputs.index])


def test_rows_of_a_dram_and_lines_of_a_cache():
    rows = ts.estimate("st-mobilenet-v2-0.35-224-c5", "stm32h747i-disco", "x-cube-ai-7.3").traffic()
    far = rows[(rows.source == "sdram") & (rows.layer >= 0)]
    assert (far.moved_bytes == 32 * far.lines).all()
    assert (far.dram_rows == np.ceil(far.moved_bytes / 2048)).all()
    first = rows[(rows.layer == 1) & (rows.what == "activations") & (rows.source == "sdram")].iloc[0]
    assert first.content_bytes == 224 * 224 * 3
    assert first.content_bytes <= first.moved_bytes < first.content_bytes + 32
    assert first.reuse > 9


def test_roofline():
    result = ts.estimate("vww", "nucleo-l4r5zi", "tflm-cmsis-nn")
    roofline = result.roofline()
    frame = roofline.to_frame()
    assert len(frame) == sum(row.macs > 0 for row in result.layers)
    assert roofline.peak_macs_per_s == {"cortex-m4 at 8 bit": 240e6}
    assert roofline.bandwidth_bytes_per_s["flash"] == pytest.approx(8 / 7 * 120e6)
    assert roofline.bandwidth_bytes_per_s["sram"] == 480e6
    assert (frame.efficiency < 1).all()
    bounds = frame[["compute_roof_macs_per_s", "memory_roof_macs_per_s"]].min(axis=1)
    np.testing.assert_allclose(frame.roof_macs_per_s, bounds)
    np.testing.assert_allclose(frame.intensity_macs_per_byte, frame.macs / (frame.flash_bytes + frame.sram_bytes))
    # a fully connected layer uses each weight once: it is the one that the flash bounds
    assert set(frame[frame.kind == "fully_connected"].bound) == {"flash"}
    assert "bound" in repr(roofline)
    axes = roofline.plot()
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_roofline_of_an_accelerator_names_its_memories():
    roofline = ts.estimate("ic", "stm32n6570-dk", "st-edge-ai-3.0").roofline()
    assert {"axi-sram", "external-flash"} <= set(roofline.bandwidth_bytes_per_s)
    assert roofline.peak_macs_per_s["stm32n6-neural-art at 8 bit"] == 288e9
