"""Instruction counts of CMSIS-NN kernels on shapes that no fit has seen."""

import numpy as np
import pandas as pd
import pytest
from counted_runs import ADDENDS, fit_kernel, halves, instructions, kernels_of, layer_table, predict, read_runs

from tinysim.cost.cpu import instruction_counts
from tinysim.cost.cpu.per_trip import CLASSES

RUNS = read_runs("cmsis_nn_instructions")
BUILDS = sorted(set(zip(RUNS.core, RUNS.opt, strict=True)))


def of_build(core, opt):
    return RUNS[(RUNS.core == core) & (RUNS.opt == opt)]


def held_out(core, opt, seed):
    """Fit every kernel on a random half of its layers, predict the other half: (counts, runs)."""
    predicted, runs = [], []
    for kernel, _, _, rows in kernels_of(of_build(core, opt)):
        fitted_on, scored_on = halves(rows, seed)
        _, matrix = fit_kernel(kernel, core, fitted_on)
        predicted.append(predict(kernel, core, scored_on, matrix))
        runs.append(scored_on)
    return np.concatenate(predicted), pd.concat(runs)


@pytest.mark.parametrize(("core", "opt"), BUILDS)
def test_the_other_half(core, opt):
    errors = []
    for seed in range(3):
        counts, runs = held_out(core, opt, seed)
        errors.append(np.abs(instructions(counts) / runs.instructions - 1))
    error = np.concatenate(errors)
    assert error.mean() <= 0.02
    assert np.quantile(error, 0.95) <= 0.05


@pytest.mark.parametrize(("core", "opt"), BUILDS)
def test_shipped_tables_reproduce_the_runs(core, opt):
    runs = of_build(core, opt)
    counts = instruction_counts(layer_table(runs), core=core, opt=opt)
    error = np.abs(counts.instructions / runs.instructions - 1)
    assert error.mean() <= 0.005
    assert error.max() <= 0.04
    for name in ("loads", "stores", "mac_instr", "alu", "branches", "load_bytes", "store_bytes"):
        # a class that is rare in a kernel (stores of a dot product) is judged by what it adds to the whole
        scale = np.maximum(runs[name], 0.05 * runs.instructions)
        assert np.mean(np.abs(getattr(counts, name) - runs[name]) / scale) <= 0.04, name


def test_unseen_layers_of_tflm_models():
    """The same kernels inside TFLM, on layers of other networks; what the interpreter adds stays below 400."""
    ops = read_runs("tflm_ops")
    kinds = ["conv2d", "depthwise_conv2d", "max_pool2d", "add"]
    ops = ops[(ops.kernels == "cmsis_nn") & ops.kind.isin(kinds)]
    shape = ["kind", "in_h", "in_w", "in_c", "out_c", "kernel_h", "kernel_w", "stride_h"]
    seen = set(RUNS[shape].itertuples(index=False, name=None))
    ops = ops[[row not in seen for row in ops[shape].itertuples(index=False, name=None)]]
    counts = instruction_counts(layer_table(ops), core="cortex-m4", opt="-O2")
    assert len(ops) > 60
    error = np.abs(counts.instructions / (ops.instructions - 320) - 1)
    assert error.mean() <= 0.01
    assert error.max() <= 0.03


def test_runs_add_up():
    assert (RUNS[list(ADDENDS)].sum(axis=1) == RUNS.instructions).all()
    assert set(CLASSES) <= set(RUNS.columns)


def test_helium_uses_vectors_and_others_do_not():
    for core, opt in BUILDS:
        counts = instruction_counts(layer_table(of_build(core, opt)), core=core, opt=opt)
        assert (counts.vec_instr.sum() > 0) == (core == "cortex-m55")
