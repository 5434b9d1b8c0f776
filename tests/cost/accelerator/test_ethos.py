"""Vela's estimate: NPU cycles, memory cycles, SRAM and fall-back, against what Vela 5.2 printed."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysim.cost.accelerator.ethos.estimate import (
    encoded_weight_bytes,
    estimate_vela,
)
from tinysim.cost.accelerator.ethos.lowering import lower
from tinysim.cost.accelerator.ethos.memory import sram_used_bytes
from tinysim.cost.accelerator.ethos.supported import ethos_supported
from tinysim.cost.accelerator.ethos.systems import MEMORY_MODES, list_systems, load_system
from tinysim.cost.accelerator.spec import list_accelerators, load_accelerator
from tinysim.errors import SpecError, UnsupportedOperator

DATA = Path(__file__).parent / "data"
TOTALS = pd.read_csv(DATA / "vela_totals.csv")
NETWORKS = pd.read_csv(DATA / "vela_networks.csv")
SHAPES = ["in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w"]
SHAPES += ["dilation_h", "dilation_w"]


def layers(model):
    return NETWORKS[NETWORKS.model == model].reset_index(drop=True)


def estimate(model, accel, system_config, memory_mode, encoded_total):
    table, hardware = layers(model), load_accelerator(accel).vela
    columns = {name: table[name].to_numpy() for name in ["kind", *SHAPES, "sparse_2_4"]}
    ops = lower(chains=hardware.family == "u85", **columns)
    # Only the total is printed; share it out as our own encoding of the model's weights does, else by their number.
    weights = np.bincount(ops.layer, weights=ops.weight_elements, minlength=len(table))
    rice = table.rice_bytes.fillna(0).to_numpy()
    weights = np.where(weights > 0, rice, 0) if rice.any() else weights
    encoded = np.ceil(weights * encoded_total / max(weights.sum(), 1) / 16) * 16
    system, _ = load_system(system_config, memory_mode)
    return estimate_vela(hardware, system, weight_bytes=encoded.astype(int), **columns)


def sram_kib(model, result, spilled):
    table = layers(model)
    reads = [[int(x) for x in str(r).split(";")] if isinstance(r, str) else [i - 1] for i, r in enumerate(table.inputs)]
    return sram_used_bytes(result, reads, layers=len(table), spilled=spilled) / 1024


@cache
def comparison():
    """Every second row, to keep the run short; the figures below hold for all of them."""
    rows = []
    for t in TOTALS[::2].itertuples():
        result = estimate(t.model, t.accel, t.system_config, t.memory_mode, t.total_npu_encoded_weights)
        rows.append(
            {
                "npu": result.npu_cycles.sum(),
                "total": result.op_cycles.sum(),
                "sram_kib": sram_kib(t.model, result, "Dedicated" in t.memory_mode),
                "flash": result.memory_cycles.get("off_chip_flash", np.zeros(1)).sum(),
                "index": t.Index,
            }
        )
    return TOTALS.join(pd.DataFrame(rows).set_index("index"), how="inner")


def error(predicted, printed):
    return (predicted / printed - 1).abs()


def test_every_row_is_priced():
    assert len(TOTALS) == 649
    assert len(comparison()) == 325
    assert comparison().npu.notna().all()


def test_npu_cycles():
    frame = comparison()
    assert error(frame.npu, frame.npu_cycles).mean() <= 0.0085
    per_family = error(frame.npu, frame.npu_cycles).groupby(frame.accel.str[:9]).mean()
    assert (per_family <= 0.03).all()


def test_npu_cycles_are_equal_where_no_weight_is_copied():
    frame = comparison()[lambda f: f.memory_mode == "Sram_Only"]
    assert len(frame) == 84
    assert (frame.npu == frame.npu_cycles).all()


def test_total_cycles():
    frame = comparison()
    assert error(frame.total, frame.total_cycles).mean() <= 0.008


def test_sram_used():
    frame = comparison()
    exact = frame[frame.memory_mode == "Sram_Only"]
    assert (error(exact.sram_kib, exact.sram_used_kib) <= 0.10).all()
    assert np.mean(error(frame.sram_kib, frame.sram_used_kib) <= 0.10) >= 0.96
    assert error(frame.sram_kib, frame.sram_used_kib).mean() <= 0.075
    assert error(frame.sram_kib, frame.sram_used_kib).median() == 0


def test_which_operators_fall_back():
    frame = TOTALS.drop_duplicates(["model", "accel"])
    for t in frame.itertuples():
        table = layers(t.model)
        columns = {name: table[name].to_numpy() for name in ["kind", *SHAPES]}
        mask, _ = ethos_supported(load_accelerator(t.accel).vela, **columns)
        assert (~mask).sum() == t.cpu_ops, t.model


def test_reasons_of_a_fall_back():
    hardware = load_accelerator("ethos-u55-64").vela
    mask, reasons = ethos_supported(
        hardware,
        kind=["conv2d", "conv2d", "depthwise_conv2d", "avg_pool2d", "gather", "resize_bilinear"],
        in_h=[8, 8, 8, 30, 8, 8],
        in_w=[8, 8, 8, 30, 8, 8],
        out_h=[8, 8, 2, 30, 8, 24],
        out_w=[8, 8, 2, 30, 8, 24],
        stride_h=[1, 1, 4, 1, 1, 1],
        kernel_h=[3, 3, 3, 9, 1, 1],
        kernel_w=[3, 3, 3, 9, 1, 1],
        pad_top=[1, 1, 1, 4, 0, 0],
        weight_bits=[8, 4, 8, 8, 8, 8],
    )
    assert mask.tolist() == [True, False, False, False, False, False]
    for reason, word in zip(reasons[1:], ["8 bit", "stride", "window", "list", "factors"], strict=True):
        assert word in reason


def test_unknown_names_are_refused():
    with pytest.raises(SpecError, match="Ethos_U55_High_End_Embedded"):
        load_system("Ethos_U55_High_End")
    with pytest.raises(SpecError, match="Shared_Sram"):
        load_system("Ethos_U65_Embedded", "Shared_SRAM")
    with pytest.raises(SpecError, match="feature maps to the flash"):
        load_system("Ethos_U55_High_End_Embedded", "Dedicated_Sram")
    with pytest.raises(UnsupportedOperator, match="svdf"):
        lower(kind=["svdf"], in_c=1, out_c=1)


@pytest.mark.parametrize("accel", [name for name in list_accelerators() if name.startswith("ethos")])
def test_every_system_configuration_of_every_ethos_gives_an_estimate(accel):
    spec = load_accelerator(accel)
    assert set(spec.systems) <= set(list_systems())
    columns = {"in_h": 16, "in_w": 16, "in_c": 16, "out_h": 16, "out_w": 16, "out_c": 32, "kernel_h": 3, "kernel_w": 3}
    for name in spec.systems:
        for mode in ["Sram_Only", "Shared_Sram", *(m for m in MEMORY_MODES if "Dedicated" in m and "DRAM" in name)]:
            system, clock_hz = load_system(name, mode)
            result = estimate_vela(spec.vela, system, kind=["conv2d"], **columns)
            macs = 16 * 16 * 32 * 9 * 16
            assert result.op_cycles.sum() >= macs / spec.engines[0].macs_per_cycle
            assert clock_hz > 0


sides, depths = st.integers(1, 40), st.integers(1, 96)


@settings(max_examples=40, deadline=None)
@given(sides, sides, depths, depths, st.sampled_from([1, 3, 5]), st.sampled_from(["conv2d", "depthwise_conv2d"]))
def test_cycles_at_least_the_peak_and_bytes_at_least_the_tensors(height, width, in_c, out_c, kernel, kind):
    out_c = in_c if kind == "depthwise_conv2d" else out_c
    columns = {"in_h": height, "in_w": width, "out_h": height, "out_w": width, "in_c": in_c, "out_c": out_c}
    taps = kernel * kernel * (1 if kind == "depthwise_conv2d" else in_c)
    macs = height * width * out_c * taps
    for name in ("ethos-u55-32", "ethos-u65-512", "ethos-u85-256"):
        spec = load_accelerator(name)
        system, _ = load_system(spec.systems[0], "Sram_Only")
        result = estimate_vela(spec.vela, system, kind=[kind], kernel_h=kernel, kernel_w=kernel, **columns)
        # 2:4 sparsity does two multiplications in the time of one
        assert result.npu_cycles.sum() * spec.engines[0].macs_per_cycle * 2 >= macs
        moved = height * width * (in_c + out_c) + taps * out_c
        assert result.memory_bytes["sram"].sum() >= moved


@given(st.integers(1, 10**6), st.floats(0, 0.99), st.floats(0, 0.99))
def test_sparser_weights_above_a_half_never_encode_larger(elements, a, b):
    low, high = sorted((0.5 + a / 2, 0.5 + b / 2))
    assert encoded_weight_bytes(elements, sparsity=high) <= encoded_weight_bytes(elements, sparsity=low)
