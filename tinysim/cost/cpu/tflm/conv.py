"""TFLM reference convolutions: plain loops over outputs and taps, every tap tested against the image.

Source: github.com/tensorflow/tflite-micro, tensorflow/lite/kernels/internal/reference/integer_ops/conv.h,
depthwise_conv.h and transpose_conv.h.
"""

from __future__ import annotations

from tinysim.cost.cpu.geometry import taps_inside
from tinysim.cost.cpu.kernel import Kernel, Rows, Trips, always

__all__ = ["CONV", "DEPTHWISE_CONV", "TRANSPOSE_CONV", "conv", "depthwise_conv", "transpose_conv"]


def conv(rows: Rows, path: str) -> Trips:
    """Loops of `reference_integer_ops::ConvPerChannel`."""
    kernel_rows, kernel_columns = taps_inside(rows)
    pixels = rows.batch * rows.out_h * rows.out_w
    outputs = pixels * rows.out_c
    inside = rows.batch * kernel_rows * kernel_columns * rows.out_c
    return {
        "call": rows.batch,
        "pixel": pixels,
        "output": outputs,
        "window_row": outputs * rows.kernel_h,
        "tap": outputs * rows.kernel_h * rows.kernel_w,
        "tap_inside": inside,
        "mac": inside * (rows.in_c // rows.groups),
    }


def depthwise_conv(rows: Rows, path: str) -> Trips:
    """Loops of `reference_integer_ops::DepthwiseConvPerChannel`."""
    kernel_rows, kernel_columns = taps_inside(rows)
    pixels = rows.batch * rows.out_h * rows.out_w
    outputs = pixels * rows.out_c
    return {
        "call": rows.batch,
        "pixel": pixels,
        "channel": pixels * rows.in_c,
        "output": outputs,
        "window_row": outputs * rows.kernel_h,
        "tap": outputs * rows.kernel_h * rows.kernel_w,
        "mac": rows.batch * kernel_rows * kernel_columns * rows.out_c,
    }


def transpose_conv(rows: Rows, path: str) -> Trips:
    """Loops of `reference_integer_ops::TransposeConv`: scatter into a 32-bit scratch, then requantize it."""
    taps = rows.in_elements * rows.kernel_h * rows.kernel_w
    return {"call": rows.batch, "output": rows.out_elements, "tap": taps, "mac": taps * rows.out_c}


CONV = Kernel("tflm_reference", "ConvPerChannel", conv)
DEPTHWISE_CONV = Kernel("tflm_reference", "DepthwiseConvPerChannel", depthwise_conv)
TRANSPOSE_CONV = Kernel("tflm_reference", "TransposeConv", transpose_conv)
always("tflm-reference", CONV, "conv2d")
always("tflm-reference", DEPTHWISE_CONV, "depthwise_conv2d")
always("tflm-reference", TRANSPOSE_CONV, "transpose_conv")
