"""Instruction counts of TFLM's reference kernels."""

import numpy as np
import pandas as pd
import pytest
from counted_runs import fit_kernel, halves, instructions, kernels_of, layer_table, predict, read_runs

from tinysim.cost.cpu import instruction_counts

OPS = read_runs("tflm_ops")
#: a multiplier per output is another variant of the kernel, which a layer table cannot tell
REFERENCE = OPS[(OPS.kernels == "reference") & (OPS.per_channel == 0)]
MEASURED_OFTEN = ["conv2d", "depthwise_conv2d", "fully_connected", "add"]


@pytest.mark.parametrize("core", sorted(REFERENCE.core.unique()))
def test_the_other_half(core):
    rows = REFERENCE[(REFERENCE.core == core) & (REFERENCE.activation_bits == 8) & REFERENCE.kind.isin(MEASURED_OFTEN)]
    errors = []
    for kernel, _, _, runs in kernels_of(rows, "tflm-reference"):
        fitted_on, scored_on = halves(runs, seed=2)
        _, matrix = fit_kernel(kernel, core, fitted_on)
        errors.append(np.abs(instructions(predict(kernel, core, scored_on, matrix)) / scored_on.instructions - 1))
    error = pd.concat(errors)
    assert error.mean() <= 0.02
    assert error.quantile(0.95) <= 0.05


@pytest.mark.parametrize("core", sorted(REFERENCE.core.unique()))
def test_shipped_tables_reproduce_every_operator(core):
    runs = REFERENCE[REFERENCE.core == core]
    counts = instruction_counts(layer_table(runs), core=core, runtime="tflm-reference", opt="-O2")
    error = np.abs(counts.instructions / runs.instructions - 1)
    assert error.mean() <= 0.01
    # exponentials of softmax take shorter paths for some data
    assert error[runs.kind != "softmax"].max() <= 0.04
    assert error.max() <= 0.09


@pytest.mark.parametrize("opt", ["-O3", "-Os", "-O3+dcheck", "-Os+dcheck"])
def test_float_convolution_loops_at_every_level(opt):
    loops = read_runs("reference_loops")
    loops = loops[(loops.activation_bits == 32) & (loops.opt == opt)]
    counts = instruction_counts(layer_table(loops), runtime="tflm-reference", opt=opt)
    # the runs are small: a few hundred instructions of set-up stand beside a few ten thousand
    error = np.abs(counts.instructions / loops.instructions - 1)
    assert error.mean() <= 0.05
    assert error.max() <= 0.2


def test_cmsis_nn_falls_back_to_reference_kernels():
    ops = OPS[OPS.kind.isin(["hard_swish", "logistic", "mean", "quantize"]) & (OPS.core == "cortex-m4")]
    table = layer_table(ops)
    ours = instruction_counts(table, runtime="cmsis-nn", opt="-O2").instructions
    assert (ours == instruction_counts(table, runtime="tflm-reference", opt="-O2").instructions).all()
    assert np.abs(ours / ops.instructions - 1).max() <= 0.01


def test_recurrent_layers_with_cmsis_nn():
    ops = OPS[OPS.kind.isin(["unidirectional_sequence_lstm", "svdf"]) & (OPS.kernels == "cmsis_nn")]
    counts = instruction_counts(layer_table(ops), opt="-O2")
    assert np.abs(counts.instructions / ops.instructions - 1).max() <= 0.03
