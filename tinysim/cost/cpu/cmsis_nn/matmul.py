"""CMSIS-NN int8 fully connected layer: `arm_fully_connected_s8` with `arm_nn_vec_mat_mult_t_s8`.

One row of activations at a time meets the weights of two outputs (DSP; four columns a step, unrolled by eight at -O2
and above), three outputs (plain C) or four outputs (Helium; 16 columns a step).
Source: github.com/ARM-software/CMSIS-NN, Source/NNSupportFunctions/arm_nn_vec_mat_mult_t_s8.c.
"""

from __future__ import annotations

import numpy as np

from tinysim.cost.cpu.kernel import Kernel, Rows, Trips, always

__all__ = ["FULLY_CONNECTED", "fully_connected_s8"]

#: outputs that share a pass over the activations, and columns of an inner trip, by path
OUTPUTS = {"plain": 3, "dsp": 2, "mve": 4}
UNROLLED = 8


def fully_connected_s8(rows: Rows, path: str) -> Trips:
    """Loops of `arm_nn_vec_mat_mult_t_s8` over all rows of activations."""
    products = rows.batch * rows.in_h * rows.in_w
    together = OUTPUTS[path]
    groups, single = products * (rows.out_c // together), products * (rows.out_c % together)
    trips = {"call": products, "grouped": products * (rows.out_c >= together), "group": groups, "single": single}
    if path == "plain":
        return trips | {"group_1": groups * rows.in_c, "single_1": single * rows.in_c}
    if path == "mve":
        steps = -(-rows.in_c // 16)
        return trips | {"group_16": groups * steps, "single_16": single * steps}
    # the loop is rolled as a first step, then blocks of eight and the steps that they leave
    steps, tail = np.maximum(rows.in_c // 4 - 1, 0), rows.in_c % 4
    return trips | {
        "group_32": groups * (steps // UNROLLED),
        "group_4": groups * (steps % UNROLLED),
        "group_1": groups * tail,
        "single_32": single * (steps // UNROLLED),
        "single_4": single * (steps % UNROLLED),
        "single_1": single * tail,
    }


FULLY_CONNECTED = Kernel("cmsis_nn", "arm_fully_connected_s8", fully_connected_s8)
always("cmsis-nn", FULLY_CONNECTED, "fully_connected", "batch_matmul")
