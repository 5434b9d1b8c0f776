"""TFLM reference fully connected layer and matrix product: a dot product per output, one multiply a trip.

With 16-bit activations the accumulator has 64 bits.

Source: github.com/tensorflow/tflite-micro, tensorflow/lite/kernels/internal/reference/integer_ops/fully_connected.h.
"""

from __future__ import annotations

from tinysim.cost.cpu.kernel import Kernel, Mask, Rows, Trips, always, select_for

__all__ = ["FULLY_CONNECTED", "LIBRARY_16", "fully_connected"]

#: name under which the selections for 16-bit activations are registered
LIBRARY_16 = "tflm-reference-int16"


def fully_connected(rows: Rows, path: str) -> Trips:
    """Loops of `reference_integer_ops::FullyConnected`."""
    vectors = rows.batch * rows.in_h * rows.in_w
    outputs = vectors * rows.out_c
    return {"call": rows.batch, "vector": vectors, "output": outputs, "mac": outputs * rows.in_c}


FULLY_CONNECTED = Kernel("tflm_reference", "FullyConnected", fully_connected)
always("tflm-reference", FULLY_CONNECTED, "fully_connected", "batch_matmul")


def wide_sum(rows: Rows, path: str) -> Trips:
    """What a 64-bit sum costs beyond a 32-bit one."""
    return {"mac": rows.batch * rows.in_h * rows.in_w * rows.out_c * rows.in_c}


_WIDE_SUM = Kernel("tflm_reference", "AccumulateInt64", wide_sum)


@select_for(LIBRARY_16, "fully_connected", "batch_matmul")
def select_fully_connected(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """`reference_integer_ops::FullyConnected` with `AccumType = int64_t`."""
    return [(FULLY_CONNECTED, None), (_WIDE_SUM, None)]
