"""Which factor a layer's cycles get, and what a cache keeps of its weights."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinysim as ts
from tinysim.cost.cpu import instruction_counts
from tinysim.cost.latency import KERNELS, StackFactors, kernel_codes, work_cycles
from tinysim.cost.traffic import LoopOrder, cache_misses, layer_traffic, loop_order, miss_ratio

positive = st.floats(1.0, 1e7)


def layer(kind: str, in_c: int, kernel: tuple[int, int] = (1, 1)) -> dict[str, object]:
    k = {"kernel_h": kernel[0], "kernel_w": kernel[1]}
    return {"kind": kind, "in_h": 8, "in_w": 8, "in_c": in_c, "out_h": 8, "out_w": 8, "out_c": 8, **k}


LAYERS = [
    (layer("conv2d", 16, (3, 3)), "conv"),
    (layer("transpose_conv", 16, (3, 3)), "conv"),
    (layer("conv2d", 1, (16, 1)), "conv_1d"),
    (layer("conv2d", 24, (1, 3)), "conv_1d"),
    (layer("conv2d", 3, (3, 3)), "stem"),
    (layer("conv2d", 1, (10, 4)), "mono_stem"),
    (layer("conv2d", 1), "pointwise"),
    (layer("depthwise_conv2d", 8, (3, 3)), "depthwise"),
    (layer("fully_connected", 64), "matmul"),
    (layer("unidirectional_sequence_lstm", 8), "matmul"),
    (layer("softmax", 8), "other"),
]
TABLE = ts.LayerTable.from_columns({name: [row[name] for row, _ in LAYERS] for name in LAYERS[0][0]})


def test_each_layer_has_one_kernel():
    assert [KERNELS[code] for code in kernel_codes(TABLE)] == [name for _, name in LAYERS]


@pytest.mark.parametrize("name", KERNELS)
def test_a_factor_scales_the_layers_of_its_kernel(name):
    zero_wait = np.full(len(TABLE), 1e6)
    plain = work_cycles(TABLE, zero_wait, StackFactors())
    dearer = work_cycles(TABLE, zero_wait, replace(StackFactors(), **{name: 2.0}))
    assert [own == name for _, own in LAYERS] == (dearer > plain).tolist()
    assert (plain == zero_wait).all()


def test_factors_of_a_sweep_broadcast():
    swept = replace(StackFactors(), conv=np.array([[1.0], [3.0]]), per_output=np.array([[1.0], [3.0]]))
    cycles = work_cycles(TABLE, np.full(len(TABLE), 1e6), swept)
    assert cycles.shape == (2, len(TABLE))
    assert cycles[1, 0] == pytest.approx(3e6)


@given(reuse=positive, cache=positive, factor=st.floats(1.0, 100.0))
def test_misses_grow_with_what_is_read_between_and_shrink_with_the_cache(reuse, cache, factor):
    ratio = miss_ratio(reuse, cache)
    assert 0.0 <= ratio <= 1.0
    assert miss_ratio(reuse * factor, cache) >= ratio >= miss_ratio(reuse, cache * factor)
    assert miss_ratio(reuse, 0.0) == 1.0


@given(footprint=positive, passes=st.floats(1.0, 100.0), cache=st.just(0.0) | positive, reuse=positive)
def test_misses_lie_between_one_reading_and_all(footprint, passes, cache, reuse):
    read = footprint * passes
    missed = cache_misses(read, footprint_bytes=footprint, cache_bytes=cache, reuse_bytes=reuse)
    assert footprint * (1 - 1e-12) <= missed <= read * (1 + 1e-12)


def test_a_pointwise_convolution_with_weights_outermost_comes_back_to_two_rows():
    table = ts.LayerTable.from_columns({name: [value] for name, value in layer("conv2d", 64).items()})
    counts = instruction_counts(table, core="cortex-m4", runtime="cmsis-nn")
    inner, outer = (
        layer_traffic(table, counts, order=LoopOrder(2, weights_outermost=outermost)) for outermost in (False, True)
    )
    assert outer.weight_reuse_bytes.tolist() == [128.0]
    assert inner.weight_reuse_bytes.tolist() == table.weight_bytes.tolist()
    assert inner.weight_read_bytes.tolist() == outer.weight_read_bytes.tolist()


def test_only_counted_libraries_have_a_known_order():
    assert loop_order("cmsis-nn").weights_outermost
    assert not loop_order("cmsis-nn", counted=False).weights_outermost
    assert not loop_order("cmsis-nn", helium=True).weights_outermost


def test_microtvm_has_no_dsp_instructions():
    """Its own schedules on a Cortex-M4 execute what CMSIS-NN does on a Cortex-M3, which has none."""
    native = instruction_counts(TABLE, core="cortex-m4", runtime="microtvm-native")
    plain = instruction_counts(TABLE, core="cortex-m3", runtime="cmsis-nn")
    assert native.instructions.tolist() == plain.instructions.tolist()
    assert (native.instructions > instruction_counts(TABLE, core="cortex-m4").instructions).any()
