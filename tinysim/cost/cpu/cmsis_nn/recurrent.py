"""CMSIS-NN int8 recurrent kernels and transposed convolution.

LSTM: `arm_lstm_unidirectional_s8` multiplies each gate's weights with input and state four columns a trip
(`arm_nn_vec_mat_mul_result_acc_s8_s16`), then the activations run on 16 bits. SVDF: `arm_svdf_s8` shifts its memory,
filters the features (`arm_nn_vec_mat_mult_t_svdf_s8`) and sums over time.
Source: github.com/ARM-software/CMSIS-NN, Source/LSTMFunctions, Source/SVDFunctions, arm_transpose_conv_s8.c.
"""

from __future__ import annotations

from tinysim.cost.cpu.kernel import Kernel, Rows, Trips, always
from tinysim.cost.cpu.tflm.conv import transpose_conv

__all__ = ["LSTM", "SVDF", "TRANSPOSE_CONV", "lstm_s8", "svdf_s8"]


def lstm_s8(rows: Rows, path: str) -> Trips:
    """Loops of `arm_lstm_unidirectional_s8`."""
    steps = rows.batch * rows.in_h
    gate_outputs = steps * 4 * rows.out_c
    stateful = (steps - rows.batch) * 4 * rows.out_c  # the first step has no state to multiply
    lanes = 1 if path == "plain" else 4
    return {
        "call": rows.batch,
        "step": steps,
        "gate_output": gate_outputs,
        "mac_step": gate_outputs * (rows.in_c // lanes) + stateful * (rows.out_c // lanes),
        "mac_tail": gate_outputs * (rows.in_c % lanes) + stateful * (rows.out_c % lanes),
    }


def svdf_s8(rows: Rows, path: str) -> Trips:
    """Loops of `arm_svdf_s8`, rank 1."""
    filters = rows.batch * rows.in_h * rows.out_c
    lanes = 1 if path == "plain" else 4
    return {
        "call": rows.batch * rows.in_h,
        "filter": filters,
        "feature_step": filters * (rows.in_c // lanes),
        "feature_tail": filters * (rows.in_c % lanes),
        "memory": filters * rows.kernel_h,
    }


LSTM = Kernel("cmsis_nn", "arm_lstm_unidirectional_s8", lstm_s8)
SVDF = Kernel("cmsis_nn", "arm_svdf_s8", svdf_s8)
TRANSPOSE_CONV = Kernel("cmsis_nn", "arm_transpose_conv_s8", transpose_conv)

always("cmsis-nn", LSTM, "unidirectional_sequence_lstm")
always("cmsis-nn", SVDF, "svdf")
always("cmsis-nn", TRANSPOSE_CONV, "transpose_conv")
