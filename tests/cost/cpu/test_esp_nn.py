"""ESP-NN and CMSIS-NN 5: loop trips by hand, and measured kernels within what structure can promise."""

import numpy as np
import pandas as pd
import pytest

from tinysim.calibrate.features import ln_cycles, row_features
from tinysim.calibrate.rows import load_rows
from tinysim.cost.cpu import instruction_counts
from tinysim.cost.cpu.esp_nn import conv, depthwise
from tinysim.cost.cpu.kernel import Rows
from tinysim.device.effects import FEATURES
from tinysim.network.table import LayerTable


def table(**columns):
    return LayerTable.from_frame(pd.DataFrame([columns]))


def rows(**columns):
    return Rows(table(**columns), np.arange(1))


def counts(layers, core, runtime):
    return float(instruction_counts(layers, core=core, runtime=runtime, opt="-O2").instructions[0])


def test_pointwise_takes_eight_pixels_at_a_time():
    layer = {"kind": "conv2d", "in_h": 3, "in_w": 7, "in_c": 24, "out_h": 3, "out_w": 7, "out_c": 5}
    trips = conv.conv_1x1_mult8(rows(**layer), "pie-s3")
    # 21 pixels: two eights, and five that are filled up to a third
    assert [int(trips[loop][0]) for loop in ("eight_pixels", "transpose", "output", "step", "single")] == [
        3,
        9,
        15,
        30,
        0,
    ]
    one_more = conv.conv_1x1_mult8(rows(**{**layer, "in_h": 1, "in_w": 9, "out_h": 1, "out_w": 9}), "pie-s3")
    assert (int(one_more["eight_pixels"][0]), int(one_more["single"][0])) == (1, 5)


def test_depthwise_opt_counts_taps_inside_the_image_by_fours():
    same = {"in_h": 4, "in_w": 4, "in_c": 6, "out_h": 4, "out_w": 4, "out_c": 6, "kernel_h": 3, "kernel_w": 3}
    pads = dict.fromkeys(("pad_top", "pad_bottom", "pad_left", "pad_right"), 1)
    trips = depthwise.depthwise_opt(rows(kind="depthwise_conv2d", **same, **pads), "plain")
    # 10 of 12 taps along each axis; one four and two single channels
    assert (int(trips["four_tap"][0]), int(trips["left_tap"][0]), int(trips["left"][0])) == (100, 200, 32)


def test_channels_that_are_no_multiple_of_eight_cost_more():
    def layer(channels):
        return table(kind="conv2d", in_h=8, in_w=8, in_c=channels, out_h=8, out_w=8, out_c=32)

    aligned, unaligned = (counts(layer(c), "xtensa-lx7", "esp-nn") for c in (32, 33))
    assert unaligned > 1.2 * aligned


@pytest.mark.parametrize("kind", ["conv2d", "depthwise_conv2d"])
def test_simd_beats_ansi_c_by_what_the_library_states(kind):
    shape = {"in_h": 16, "in_w": 16, "in_c": 64, "out_h": 16, "out_w": 16, "out_c": 64, "kernel_h": 3, "kernel_w": 3}
    layer = table(kind=kind, **shape, **dict.fromkeys(("pad_top", "pad_bottom", "pad_left", "pad_right"), 1))
    ratio = counts(layer, "xtensa-lx7", "esp-nn-ansi") / counts(layer, "xtensa-lx7", "esp-nn")
    assert 5 < ratio < 40


def test_plain_core_runs_the_loops_of_cmsis_nn_5_without_im2col():
    shape = {"in_h": 8, "in_w": 8, "in_c": 16, "out_h": 6, "out_w": 6, "out_c": 8, "kernel_h": 3, "kernel_w": 3}
    layer = table(kind="conv2d", **shape)
    macs = int(layer.macs[0])
    found = instruction_counts(layer, core="rxv2", runtime="cmsis-nn-5", opt="-O2")
    assert found.mac_instr[0] == pytest.approx(macs, rel=0.35)
    assert found.loads[0] > 2 * macs
    dsp = instruction_counts(layer, core="cortex-m4", runtime="cmsis-nn-5", opt="-O2")
    assert (
        dsp.instructions[0]
        == instruction_counts(layer, core="cortex-m4", runtime="cmsis-nn", opt="-O2").instructions[0]
    )


def test_assembly_of_the_esp32_s3_is_predicted_without_any_fit():
    """README of ESP-NN: ten kernels, timing table and memory latency of the data sheets, no fitted factor."""
    layers = load_rows("layers")
    layers = layers[layers.device == "esp32-s3-devkit"].reset_index(drop=True)
    cycles = row_features(layers).sum(axis=1) - row_features(layers)[:, FEATURES.index("code_stall")]
    error = np.abs(np.expm1(np.log(cycles) - ln_cycles(layers)))
    assert error.mean() < 0.12
    assert error.max() < 0.30
