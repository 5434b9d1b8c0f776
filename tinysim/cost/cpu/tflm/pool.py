"""TFLM reference pooling, reductions and softmax.

Pooling: every output walks its window inside the image. Reductions: `Mean` walks the input with a 4-d index that it
rebuilds for every element, which dominates. Softmax passes three times over a row with fixed-point exponentials.
Source: github.com/tensorflow/tflite-micro, reference/integer_ops/pooling.h, reference/reduce.h, reference/softmax.h.
"""

from __future__ import annotations

from tinysim.cost.cpu.geometry import taps_inside
from tinysim.cost.cpu.kernel import Kernel, Rows, Trips, always

__all__ = ["ARG_MAX", "AVERAGE_POOL", "MAX_POOL", "MEAN", "NORMALIZE", "SOFTMAX", "pool", "reduce", "softmax"]


def pool(rows: Rows, path: str) -> Trips:
    """Loops of `AveragePool` and `MaxPool`."""
    kernel_rows, kernel_columns = taps_inside(rows)
    pixels = rows.batch * rows.out_h * rows.out_w
    return {
        "call": rows.batch,
        "pixel": pixels,
        "output": pixels * rows.out_c,
        "window_row": rows.batch * kernel_rows * rows.out_w * rows.out_c,
        "tap": rows.batch * kernel_rows * kernel_columns * rows.out_c,
    }


def reduce(rows: Rows, path: str) -> Trips:
    """Loops of `QuantizedMeanOrSum` and the other reductions."""
    return {"call": rows.batch, "input": rows.in_elements, "output": rows.out_elements}


def softmax(rows: Rows, path: str) -> Trips:
    """Loops of `Softmax` and of the normalizations that pass over a row more than once."""
    return {"call": rows.batch, "row": rows.in_elements // rows.in_c, "element": rows.in_elements}


AVERAGE_POOL = Kernel("tflm_reference", "AveragePool", pool)
MAX_POOL = Kernel("tflm_reference", "MaxPool", pool)
MEAN = Kernel("tflm_reference", "Mean", reduce)
SOFTMAX = Kernel("tflm_reference", "Softmax", softmax)
ARG_MAX = Kernel("tflm_reference", "ArgMinMax", reduce)
NORMALIZE = Kernel("tflm_reference", "Normalize", softmax)


for _kernel, _kinds in (
    (AVERAGE_POOL, ("avg_pool2d", "l2_pool2d")),
    (MAX_POOL, ("max_pool2d",)),
    (MEAN, ("mean", "sum", "reduce_max", "reduce_min", "reduce_prod")),
    (ARG_MAX, ("arg_max", "arg_min", "cumsum")),
    (SOFTMAX, ("softmax", "log_softmax")),
    (NORMALIZE, ("l2_normalization", "layer_norm")),
):
    always("tflm-reference", _kernel, *_kinds)
