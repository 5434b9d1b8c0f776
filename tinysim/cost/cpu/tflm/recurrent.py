"""TFLM recurrent kernels, reference: LSTM, GRU, simple RNN and SVDF.

A step multiplies every gate's weights with input and state, then updates the units; SVDF filters the features, shifts
its memory and sums it. GRU and RNN are not TFLM operators; they are priced as the same loops with 3 gates and 1.
Source: github.com/tensorflow/tflite-micro, kernels/lstm_eval.h, kernels/svdf_common.cc.
"""

from __future__ import annotations

from tinysim.cost.cpu.kernel import Kernel, Rows, Trips, always
from tinysim.network.kinds import KIND_CODE
from tinysim.network.table import Ints

__all__ = ["LSTM", "SVDF", "gates", "lstm", "svdf"]


def gates(rows: Rows) -> Ints:
    """Gates of a recurrent layer: 4 LSTM, 3 GRU, 1 RNN."""
    count: Ints = 1 + 3 * (rows.kind == KIND_CODE["unidirectional_sequence_lstm"]) + 2 * (rows.kind == KIND_CODE["gru"])
    return count


def lstm(rows: Rows, path: str) -> Trips:
    """Loops of `LSTMStep` over all time steps."""
    steps = rows.batch * rows.in_h
    gate_outputs = steps * gates(rows) * rows.out_c
    return {
        "call": rows.batch,
        "step": steps,
        "gate_output": gate_outputs,
        "mac": gate_outputs * (rows.in_c + rows.out_c),
    }


def svdf(rows: Rows, path: str) -> Trips:
    """Loops of `EvalIntegerSvdfReference`: rank 1, `kernel_h` steps of memory."""
    filters = rows.batch * rows.in_h * rows.out_c
    return {
        "call": rows.batch * rows.in_h,
        "filter": filters,
        "feature_mac": filters * rows.in_c,
        "memory": filters * rows.kernel_h,
    }


LSTM = Kernel("tflm_reference", "LSTMStep", lstm)
SVDF = Kernel("tflm_reference", "Svdf", svdf)
always("tflm-reference", LSTM, "unidirectional_sequence_lstm", "gru", "unidirectional_sequence_rnn")
always("tflm-reference", SVDF, "svdf")
