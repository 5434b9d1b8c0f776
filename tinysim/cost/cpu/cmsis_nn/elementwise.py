"""CMSIS-NN int8 element-wise addition and softmax: `arm_elementwise_add_s8` and `arm_softmax_s8`.

Addition takes four elements a trip; each is offset, scaled, added, requantized and clamped. Softmax passes three times
over a row: maximum, sum of exponentials, outputs.
Source: github.com/ARM-software/CMSIS-NN, Source/BasicMathFunctions and Source/SoftmaxFunctions.
"""

from __future__ import annotations

from tinysim.cost.cpu.kernel import Kernel, Rows, Trips, always

__all__ = ["ADD", "SOFTMAX", "elementwise_add_s8", "softmax_s8"]


def elementwise_add_s8(rows: Rows, path: str) -> Trips:
    """Loops of `arm_elementwise_add_s8`."""
    elements = rows.out_elements
    return {"call": rows.batch, "four": elements // 4, "one": elements % 4}


def softmax_s8(rows: Rows, path: str) -> Trips:
    """Loops of `arm_softmax_s8`."""
    vectors = rows.in_elements // rows.in_c
    return {"call": rows.batch, "vector": vectors, "element": rows.in_elements}


ADD = Kernel("cmsis_nn", "arm_elementwise_add_s8", elementwise_add_s8)
SOFTMAX = Kernel("cmsis_nn", "arm_softmax_s8", softmax_s8)
always("cmsis-nn", ADD, "add", "sub")
always("cmsis-nn", SOFTMAX, "softmax")
