"""PULP-NN on the GAP8 cluster: laws of its loops, and layers of MobileNetV1 1.0 128 measured under DORY."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysim.cost.cpu import instruction_counts
from tinysim.cost.timing import CoreTiming, zero_wait_cycles
from tinysim.device import load_core
from tinysim.network.table import LayerTable

MEASURED = Path(__file__).parents[1] / "accelerator" / "data" / "measured.csv"
TIMING = CoreTiming(**{name: figure.si for name, figure in load_core("gap8-cluster").timing.items()})


def layer(kind, size, stride, in_c, out_c, kernel):
    out = -(-size // stride)
    pad = max((out - 1) * stride + kernel - size, 0)
    shape = {"in_h": size, "in_w": size, "in_c": in_c, "out_h": out, "out_w": out, "out_c": out_c}
    window = {"kernel_h": kernel, "kernel_w": kernel, "stride_h": stride, "stride_w": stride}
    pads = {"pad_top": pad // 2, "pad_left": pad // 2, "pad_bottom": pad - pad // 2, "pad_right": pad - pad // 2}
    return {"kind": kind, "groups": in_c if kind == "depthwise_conv2d" else 1} | shape | window | pads


def cycles_of(*layers, runtime="pulp-nn"):
    table = LayerTable.from_columns({name: [one[name] for one in layers] for name in layers[0]})
    return zero_wait_cycles(instruction_counts(table, core="gap8-cluster", runtime=runtime), TIMING)


def mobilenet():
    layers, size, channels = {"Conv1": layer("conv2d", 128, 2, 3, 32, 3)}, 64, 32
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for i, (out_c, stride) in enumerate(blocks, 1):
        layers[f"DwConv{i}"] = layer("depthwise_conv2d", size, stride, channels, channels, 3)
        size //= stride
        layers[f"PwConv{i + 1}"] = layer("conv2d", size, 1, channels, out_c, 1)
        channels = out_c
    return layers


def measured_cycles():
    with MEASURED.open() as lines:
        rows = {row["network"]: row for row in csv.DictReader(lines) if row["network"].startswith("dory:")}
    each = {name[5:].replace("-11(each)", "").replace("-12(each)", ""): row for name, row in rows.items()}
    return {name: float(row["latency_ms"]) * 1e5 for name, row in each.items()}


def test_layers_measured_under_dory():
    # Nothing is fitted. A measured layer contains its DMA too, so kernels alone must take less, but most of it; the
    # last two 1 x 1 layers (0.5 and 1 MB of weights) wait for the external memory, and strided depthwise ones move four
    # times their output.
    layers, measured = mobilenet(), measured_cycles()
    named = [name for name in measured if name in layers]
    share = dict(zip(named, cycles_of(*(layers[n] for n in named)) / [measured[n] for n in named], strict=True))
    assert len(share) == 19
    assert max(share.values()) < 1.05
    pointwise = [share[f"PwConv{i}"] for i in range(2, 9)]
    assert min(pointwise) > 0.7
    assert np.std(pointwise) < 0.06
    assert min(share[f"DwConv{i}"] for i in (1, 3, 5, 7)) > 0.9


def test_a_step_of_a_tile_is_14_cycles_for_32_products():
    few, many = cycles_of(layer("conv2d", 16, 1, 64, 32, 1), layer("conv2d", 16, 1, 128, 32, 1))
    products_per_core = 16 * 16 * 64 * 32 / 8
    assert (many - few) / products_per_core == pytest.approx(14 / 32)


@settings(max_examples=30)
@given(
    kind=st.sampled_from(["conv2d", "depthwise_conv2d", "avg_pool2d", "max_pool2d", "add", "fully_connected"]),
    size=st.integers(1, 20),
    channels=st.integers(1, 40),
    kernel=st.sampled_from([1, 3]),
    stride=st.sampled_from([1, 2]),
)
def test_more_channels_never_cost_less_and_eight_cores_at_most_share(kind, size, channels, kernel, stride):
    one, two = cycles_of(*(layer(kind, size, stride, c, c, kernel) for c in (channels, channels + 8)))
    assert 50 < one < two


def test_rows_that_eight_cores_do_not_divide():
    seven, eight, nine = cycles_of(
        *(layer("conv2d", size, 1, 16, 16, 3) | {"in_w": 8, "out_w": 8} for size in (7, 8, 9))
    )
    assert seven == pytest.approx(eight, rel=0.02)  # an idle core saves nothing
    assert nine > 1.7 * eight  # a ninth row: one core has two


def test_other_cores_and_grouped_layers_run_the_plain_c():
    grouped = LayerTable.from_columns({k: [v] for k, v in layer("conv2d", 8, 1, 16, 16, 3).items()}).replace(groups=4)
    for core in ("gap8-cluster", "cortex-m4"):
        frames = [instruction_counts(grouped, core=core, runtime=r).to_frame() for r in ("pulp-nn", "cmsis-nn")]
        assert frames[0].equals(frames[1])
