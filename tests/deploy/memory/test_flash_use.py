"""Flash of models and code against the reports of tools and the sizes of programs."""

import csv
from importlib.resources import files

import numpy as np
import pytest

import tinysim as ts
from tinysim.deploy.deployment import runtime_network
from tinysim.deploy.flash import flash_use, linked_code_bytes
from tinysim.device.library import load_runtime
from tinysim.network.table import LayerTable

#: flash of X-CUBE-AI's analyze reports in MLPerf Tiny submissions (v0.7 to v1.3): weights and code [B]
REPORTS = [
    ("ad", "x-cube-ai-7.3", 288680), ("ic", "x-cube-ai-7.3", 124156), ("kws", "x-cube-ai-7.3", 71492),
    ("vww", "x-cube-ai-7.3", 290596), ("ad", "x-cube-ai-8.1", 286189), ("ic", "x-cube-ai-8.1", 121757),
    ("kws", "x-cube-ai-8.1", 68322), ("vww", "x-cube-ai-8.1", 102544), ("ad", "x-cube-ai-10.2", 287529),
    ("ic", "x-cube-ai-10.2", 133037), ("kws", "x-cube-ai-10.2", 68750), ("vww", "x-cube-ai-10.2", 103792),
]  # fmt: skip


def measured(name):
    text = files("tinysim.calibrate").joinpath(f"data/{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def used(network, runtime):
    stack = load_runtime(runtime)
    return flash_use(runtime_network(ts.load_network(network), stack), stack)


def test_st_zoo():
    rows = [r for r in measured("st_modelzoo") if r["total_flash_kib"]]
    total = [used(r["network"], r["runtime"]).total_bytes / 1024 / float(r["total_flash_kib"]) - 1 for r in rows]
    assert len(rows) > 100
    assert np.abs(total).mean() < 0.05
    # SSD nets: two rows of 8.1 keep 124 KiB less than their third, 10.0 keeps the anchors as floats
    plain = [r for r in rows if "ssd" not in r["network"] or r["runtime"] == "x-cube-ai-7.3"]
    weights = [used(r["network"], r["runtime"]).weights_bytes / 1024 / float(r["weights_flash_kib"]) for r in plain]
    assert np.abs(np.array(weights) - 1).mean() < 0.001


@pytest.mark.parametrize(("opt", "build"), [("-O3", "-O3+dcheck"), ("-Os", "-Os+dcheck")])
def test_programs_of_edgemark(opt, build):
    runtime = load_runtime("tflm-cmsis-nn").model_copy(update={"opt": opt})
    rows = [
        r for r in measured("edgemark") if r["runtime"] == "tflm-cmsis-nn" and r["build"] == build and r["flash_kb"]
    ]
    errors = [
        flash_use(ts.load_network(r["network"]), runtime).total_bytes / 1024 / float(r["flash_kb"]) - 1 for r in rows
    ]
    assert len(rows) >= 26
    assert np.abs(errors).mean() < 0.02


def test_reports_that_nothing_was_fitted_to():
    errors = [abs(used(network, runtime).total_bytes / figure - 1) for network, runtime, figure in REPORTS]
    assert np.mean(errors) < 0.04
    assert max(errors) < 0.08


@pytest.mark.parametrize("runtime", ["tflm-cmsis-nn", "x-cube-ai-8.1", "bosch-hale-1.0"])
def test_code_of_a_batch_equals_code_of_each(runtime):
    stack = load_runtime(runtime)
    tables = [ts.load_network(n).table() for n in ("ad", "kws", "vww", "ad@float32")]
    each = [linked_code_bytes(t, stack)[0] for t in tables]
    np.testing.assert_array_equal(linked_code_bytes(LayerTable.concat(tables), stack), each)


def test_unknown_code_withholds_the_total():
    use = used("kws", "esp-nn")
    assert use.code_bytes is None
    assert use.total_bytes is None
    assert use.model_bytes > use.weights_bytes


def test_a_generator_keeps_no_metadata():
    network = ts.load_network("kws")
    use = used("kws", "tinyengine")
    assert use.metadata_bytes == 0
    assert use.weights_bytes > used("kws", "bosch-hale-1.0").weights_bytes
    assert used("kws", "tflm-cmsis-nn").model_bytes > network.weight_bytes
