"""CMSIS-NN int8 pooling: `arm_avgpool_s8` and `arm_max_pool_s8`.

With DSP, average pooling keeps a row of 32-bit sums over the channels (the first tap copies, the others add), then
divides; plain C sums output by output and tests every tap against the image. Helium takes 16 channels at a time.
Max pooling copies the first tap and compares the others four channels at a time, then clamps the whole output.
Source: github.com/ARM-software/CMSIS-NN, Source/PoolingFunctions.
"""

from __future__ import annotations

from tinysim.cost.cpu.geometry import taps_inside
from tinysim.cost.cpu.kernel import Kernel, Rows, Trips, always

__all__ = ["AVGPOOL", "MAXPOOL", "avgpool_s8", "max_pool_s8"]


def avgpool_s8(rows: Rows, path: str) -> Trips:
    """Loops of `arm_avgpool_s8`."""
    kernel_rows, kernel_columns = taps_inside(rows)
    taps = rows.batch * kernel_rows * kernel_columns
    pixels = rows.batch * rows.out_h * rows.out_w
    outputs = pixels * rows.in_c
    if path == "mve":
        vectors = -(-rows.in_c // 16)
        return {
            "call": rows.batch,
            "pixel": pixels,
            "vector": pixels * vectors,
            "vector_row": rows.batch * kernel_rows * rows.out_w * vectors,
            "vector_tap": taps * vectors,
        }
    if path == "plain":
        return {
            "call": rows.batch,
            "pixel": pixels,
            "output": outputs,
            "window_row": outputs * rows.kernel_h,
            "tap": taps * rows.in_c,
            "padding_tap": (pixels * rows.kernel_h * rows.kernel_w - taps) * rows.in_c,
        }
    return {
        "call": rows.batch,
        "pixel": pixels,
        "tap": taps,
        "output": outputs,
        "accumulate": (taps - pixels) * rows.in_c,
    }


def max_pool_s8(rows: Rows, path: str) -> Trips:
    """Loops of `arm_max_pool_s8`."""
    kernel_rows, kernel_columns = taps_inside(rows)
    taps = rows.batch * kernel_rows * kernel_columns
    pixels = rows.batch * rows.out_h * rows.out_w
    if path == "mve":
        vectors = -(-rows.in_c // 16)
        return {
            "call": rows.batch,
            "pixel": pixels,
            "tap": taps,
            "compare_16": taps * vectors,
            "clamp_16": -(-(pixels * rows.in_c) // 16),
        }
    others, quads, left = taps - pixels, rows.in_c // 4, rows.in_c % 4
    return {
        "call": rows.batch,
        "pixel": pixels,
        "compare_tap": others,
        "compare_4": others * quads,
        "compare_1": others * left,
        "clamp_4": pixels * rows.in_c // 4,
    }


AVGPOOL = Kernel("cmsis_nn", "arm_avgpool_s8", avgpool_s8)
MAXPOOL = Kernel("cmsis_nn", "arm_max_pool_s8", max_pool_s8)
always("cmsis-nn", AVGPOOL, "avg_pool2d")
always("cmsis-nn", MAXPOOL, "max_pool2d")
