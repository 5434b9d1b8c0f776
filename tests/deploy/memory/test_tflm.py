"""TFLM's arena against what its interpreter used on a Cortex-M4 and on x86-64."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from memory_nets import ds_cnn, single_layer

from tinysim.deploy.memory import (
    MemoryPolicy,
    cmsis_nn_scratch_bytes,
    greedy_plan,
    plan_arena,
    scratch_bytes,
    tflm_tail,
)
from tinysim.errors import SpecError
from tinysim.network import LayerTable

DATA = Path(__file__).parent / "data"
ARENA = pd.read_csv(DATA / "tflm_arena.csv")
BUFFERS = pd.read_csv(DATA / "tflm_buffers.csv")
SCRATCH = pd.read_csv(DATA / "cmsis_nn_scratch.csv")
KERNELS = {"cmsis_nn": "cmsis-nn", "reference": "tflm-reference"}


@pytest.mark.parametrize(("key", "rows"), list(BUFFERS.groupby(["model", "kernels"])), ids=str)
def test_greedy_plan_is_byte_identical(key, rows):
    offsets = greedy_plan(rows["size"], rows.first_op, rows.last_op)
    np.testing.assert_array_equal(offsets, rows.offset)


@pytest.mark.parametrize("row", list(ARENA.itertuples()), ids=lambda r: f"{r.model}-{r.target}-{r.kernels}")
def test_arena_is_byte_identical(row):
    network = single_layer(row.model)
    core = {"m4": "cortex-m4", "host64": "x86-64"}[row.target]
    policy = MemoryPolicy(kernels=KERNELS[row.kernels], core=core, ptr_bytes=row.ptr_size)
    plan = plan_arena(network, policy)
    assert (plan.head_bytes, plan.tail_bytes, plan.peak_bytes) == (row.head_bytes, row.tail_bytes, row.arena_used)


def test_buffers_of_a_network_are_those_of_the_interpreter():
    plan = plan_arena(ds_cnn())
    rows = BUFFERS[(BUFFERS.model == "mlperf_kws_int8") & (BUFFERS.kernels == "cmsis_nn")]
    # the interpreter numbers tensors in file order, which for this model is the order of the chain
    frame = plan.to_frame()
    np.testing.assert_array_equal(
        frame[["size_bytes", "first_step", "last_step"]], rows[["size", "first_op", "last_op"]]
    )
    np.testing.assert_array_equal(frame.offset_bytes, rows.offset)
    assert plan.lower_bound_bytes == 16000
    assert plan.to_dict()["peak_bytes"] == plan.head_bytes + plan.tail_bytes
    assert repr(plan).startswith("ArenaPlan(22,820 B = 16,000 planned + 6,820 persistent, 16 buffers")


KINDS = {
    "conv": "conv2d",
    "dwconv": "depthwise_conv2d",
    "fc": "fully_connected",
    "avgpool": "avg_pool2d",
    "maxpool": "max_pool2d",
    "softmax": "softmax",
    "add": "add",
}


@pytest.mark.parametrize(("core", "rows"), list(SCRATCH.groupby("core")), ids=str)
def test_scratch_of_cmsis_nn(core, rows):
    columns = {"in_h": "in_h", "in_w": "in_w", "in_c": "in_c", "out_h": "out_h", "out_w": "out_w", "out_c": "out_c"}
    columns |= {"kernel_h": "kh", "kernel_w": "kw", "stride_h": "stride", "stride_w": "stride_w"}
    columns |= {"pad_top": "pad", "pad_left": "pad_w"}
    given = {name: rows[column] for name, column in columns.items()}
    table = LayerTable.from_columns({"kind": [KINDS[k] for k in rows.kernel]} | given)
    got = cmsis_nn_scratch_bytes(table, core=core.replace("m", "cortex-m", 1))
    np.testing.assert_array_equal(got, rows.scratch_buffer_bytes)


def test_unknown_names_are_refused():
    network = ds_cnn()
    with pytest.raises(SpecError, match="did you mean tflm-greedy"):
        plan_arena(network, MemoryPolicy(planner="tflm-gredy"))
    with pytest.raises(SpecError, match="did you mean cmsis-nn"):
        scratch_bytes(network.table(), kernels="cmsisnn", core="cortex-m4")
    with pytest.raises(SpecError, match="accepted: 4, 8"):
        tflm_tail(network, ptr_bytes=2)
    with pytest.raises(SpecError, match="accepted: none, tflm, tinyengine"):
        plan_arena(network, MemoryPolicy(persistent="heap"))
