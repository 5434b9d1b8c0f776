"""TFLM reference fully connected layer and matrix product: a dot product per output, one multiply a trip.

Source: github.com/tensorflow/tflite-micro, tensorflow/lite/kernels/internal/reference/integer_ops/fully_connected.h.
"""

from __future__ import annotations

from tinysim.cost.cpu.kernel import Kernel, Rows, Trips, always

__all__ = ["FULLY_CONNECTED", "fully_connected"]


def fully_connected(rows: Rows, path: str) -> Trips:
    """Loops of `reference_integer_ops::FullyConnected`."""
    vectors = rows.batch * rows.in_h * rows.in_w
    outputs = vectors * rows.out_c
    return {"call": rows.batch, "vector": vectors, "output": outputs, "mac": outputs * rows.in_c}


FULLY_CONNECTED = Kernel("tflm_reference", "FullyConnected", fully_connected)
always("tflm-reference", FULLY_CONNECTED, "fully_connected", "batch_matmul")
