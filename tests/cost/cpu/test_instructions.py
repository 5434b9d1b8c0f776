"""`instruction_counts`: what it accepts, what it covers, and laws that any shape obeys."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysim.cost.cpu import RUNTIMES, instruction_counts
from tinysim.cost.cpu.per_trip import CORES, OPTS
from tinysim.errors import UnknownRuntime
from tinysim.network.kinds import KINDS
from tinysim.network.table import LayerTable

SHAPE = {
    "in_h": 8, "in_w": 8, "in_c": 16, "out_h": 8, "out_w": 8, "out_c": 16, "kernel_h": 3, "kernel_w": 3,
    "pad_top": 1, "pad_bottom": 1, "pad_left": 1, "pad_right": 1, "in2_elements": 1024,
}  # fmt: skip
EVERY_KIND = LayerTable.from_columns({"kind": [kind.name for kind in KINDS]} | SHAPE)


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("core", sorted(set(CORES.values()) | {"xtensa-lx7"}))
def test_nothing_is_free(core, bits):
    table = EVERY_KIND.replace(activation_bits=bits)
    for runtime in ("cmsis-nn", "tflm-reference"):
        for opt in OPTS:
            counts = instruction_counts(table, core=core, runtime=runtime, opt=opt)
            assert counts.instructions.min() > 100
            assert np.isfinite(counts.to_frame().to_numpy()).all()
            assert (counts.to_frame().to_numpy() >= 0).all()
            assert (counts.branches_taken <= counts.branches * 1.05 + 20).all()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"core": "cortex-m5"}, "unknown core 'cortex-m5'"),
        ({"runtime": "cmsis"}, "unknown runtime 'cmsis'"),
        ({"opt": "-O0"}, "unknown compiler level '-O0'"),
    ],
)
def test_unknown_names(argument, message):
    with pytest.raises(UnknownRuntime, match=message):
        instruction_counts(EVERY_KIND, **argument)


def test_every_core_and_runtime_is_accepted():
    for core in CORES:
        for runtime in RUNTIMES:
            assert len(instruction_counts(EVERY_KIND[:1], core=core, runtime=runtime).loads) == 1


def test_without_fpu_float_costs_several_times_more_and_int8_the_same():
    for bits, least in ((8, 1.0), (32, 3.0)):
        conv = LayerTable.from_columns({"kind": ["conv2d"]} | SHAPE).replace(activation_bits=bits)
        ratio = instruction_counts(conv, fpu=False).instructions / instruction_counts(conv).instructions
        assert least <= ratio[0] <= 15 * least - 14 + 1e-9


def test_reference_kernels_cost_more_than_cmsis_nn():
    table = LayerTable.from_columns({"kind": ["conv2d", "depthwise_conv2d", "fully_connected"]} | SHAPE)
    reference = instruction_counts(table, runtime="tflm-reference").instructions
    assert (reference > [3.0, 3.0, 1.5] * instruction_counts(table).instructions).all()


@settings(max_examples=40)
@given(
    kind=st.sampled_from(["conv2d", "depthwise_conv2d", "fully_connected", "avg_pool2d", "max_pool2d", "add"]),
    channels=st.integers(1, 40),
    pixels=st.integers(1, 12),
    kernel=st.sampled_from([1, 3, 5]),
    core=st.sampled_from(["cortex-m0plus", "cortex-m4", "cortex-m55"]),
)
def test_eight_more_channels_cost_no_less(kind, channels, pixels, kernel, core):
    wide = np.array([channels, channels + 8])
    table = LayerTable.from_columns(
        {"kind": [kind] * 2, "in_h": pixels, "in_w": pixels, "in_c": wide, "out_h": pixels, "out_w": pixels}
        | {"out_c": wide, "kernel_h": kernel, "kernel_w": kernel, "pad_top": kernel // 2, "pad_left": kernel // 2}
    )
    # from 1 channel on, other kernels are chosen; within one kernel more work is never cheaper by more than a tail
    few, many = instruction_counts(table, core=core).instructions
    assert many >= few or channels == 1


def test_order_and_neighbours_do_not_matter():
    shuffled = np.random.default_rng(0).permutation(len(EVERY_KIND))
    whole = instruction_counts(EVERY_KIND).instructions
    assert (instruction_counts(EVERY_KIND[shuffled]).instructions == whole[shuffled]).all()


def test_empty_table():
    assert len(instruction_counts(EVERY_KIND[:0]).instructions) == 0


def test_a_million_layers_a_second():
    usual = EVERY_KIND[np.flatnonzero(EVERY_KIND.is_family("conv", "matmul", "pool"))]
    table = LayerTable.concat([usual] * (200_000 // len(usual)))
    seconds = []
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        counts = instruction_counts(table)
        # the machine may be shared (wall time grows), and the matrix product threaded (CPU time grows)
        seconds.append(min(time.perf_counter() - wall, time.process_time() - cpu))
    assert len(counts.loads) / min(seconds) >= 1e6


def test_index_checks_cost_reference_kernels_only():
    conv = LayerTable.from_columns({"kind": ["conv2d"]} | SHAPE)
    for bits, runtime, least, most in (
        (8, "cmsis-nn", 1, 1),
        (8, "tflm-reference", 3, 12),
        (32, "tflm-reference", 1.5, 4),
    ):
        table = conv.replace(activation_bits=bits)
        checked = instruction_counts(table, runtime=runtime, opt="-O3+dcheck").instructions
        ratio = checked / instruction_counts(table, runtime=runtime, opt="-O3").instructions
        assert least <= ratio[0] <= most
