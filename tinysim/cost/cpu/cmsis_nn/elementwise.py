"""CMSIS-NN int8 element-wise addition and softmax: `arm_elementwise_add_s8` and `arm_softmax_s8`.

Addition takes four elements a trip; each is offset, scaled, added, requantized and clamped. Softmax passes three times
over a row: maximum, sum of exponentials, outputs.
With Helium the exponentials are made four at a time, unless the compiler is GCC 12.2, which cannot compile that.
Source: github.com/ARM-software/CMSIS-NN, Source/BasicMathFunctions and Source/SoftmaxFunctions.
"""

from __future__ import annotations

from tinysim.cost.cpu.kernel import Kernel, Mask, Rows, Trips, always, select_for

__all__ = ["ADD", "LIBRARY_ARMCLANG", "SOFTMAX", "elementwise_add_s8", "softmax_s8"]

#: name under which the selections of other compilers than GCC 12.2 are registered
LIBRARY_ARMCLANG = "cmsis-nn-armclang"


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


def softmax_s8_mve(rows: Rows, path: str) -> Trips:
    """Loops of `arm_softmax_s8` with Helium: fours of elements, and what they leave."""
    vectors = rows.in_elements // rows.in_c
    return {"call": rows.batch, "vector": vectors, "four": vectors * (rows.in_c // 4), "one": vectors * (rows.in_c % 4)}


_SOFTMAX_MVE = Kernel("cmsis_nn", "arm_softmax_s8 mve", softmax_s8_mve)


@select_for(LIBRARY_ARMCLANG, "softmax")
def select_softmax(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """`arm_softmax_s8` without the restriction of GCC 12.2."""
    return [(_SOFTMAX_MVE if path == "mve" else SOFTMAX, None)]
