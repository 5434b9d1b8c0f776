"""CMSIS-NN int8 depthwise convolution: `arm_depthwise_conv_wrapper_s8` and what it chooses.

- 3x3, multiplier 1, padding <= 1 (not with Helium): `arm_depthwise_conv_3x3_s8`, four channels at a time, taps outside
  the image skipped, left-over channels one by one.
- other kernels with multiplier 1 and no dilation, DSP: `arm_depthwise_conv_s8_opt`, im2col to 16 bits, then four
  channels by two taps a trip. Helium: blocks of up to 124 channels by four pixels. Without DSP it falls to the next.
- Helium, one input channel: the filter is transposed and `arm_convolve_s8` runs (GCC's threshold: over one output).
- the rest: `arm_depthwise_conv_s8`, four multiplier channels at a time where the multiplier is a multiple of 4,
  otherwise output by output.

Source: github.com/ARM-software/CMSIS-NN, Source/ConvolutionFunctions/arm_depthwise_conv_*.c.
"""

from __future__ import annotations

import numpy as np

from tinysim.cost.cpu.cmsis_nn.conv import CONVOLVE_S8
from tinysim.cost.cpu.geometry import taps_inside
from tinysim.cost.cpu.kernel import Kernel, Mask, Rows, Trips, select_for

__all__ = ["DEPTHWISE_3X3", "DEPTHWISE_GENERIC", "DEPTHWISE_MULT_4", "DEPTHWISE_OPT", "select_depthwise_conv2d"]

#: channels per block of the Helium kernel (CH_IN_BLOCK_MVE)
MVE_BLOCK = 124


def depthwise_3x3_s8(rows: Rows, path: str) -> Trips:
    """Loops of `arm_depthwise_conv_3x3_s8`."""
    kernel_rows, kernel_columns = taps_inside(rows)
    window_rows, taps = kernel_rows * rows.out_w, kernel_rows * kernel_columns
    pixels = rows.out_h * rows.out_w
    quads, left = rows.in_c // 4, rows.in_c % 4
    return {
        "call": rows.batch,
        "output_row": rows.out_h,
        "pixel": pixels,
        "quad": pixels * quads,
        "quad_row": window_rows * quads,
        "quad_tap": taps * quads,
        "left": pixels * left,
        "left_row": window_rows * left,
        "left_tap": taps * left,
    }


def depthwise_opt_s8(rows: Rows, path: str) -> Trips:
    """Loops of `arm_depthwise_conv_s8_opt`, DSP and Helium."""
    kernel_rows, kernel_columns = taps_inside(rows)
    window_rows, taps = kernel_rows * rows.out_w, kernel_rows * kernel_columns
    pixels, window = rows.out_h * rows.out_w, rows.kernel_h * rows.kernel_w
    if path == "mve":
        blocks = -(-rows.in_c // MVE_BLOCK)
        vectors = -(-rows.in_c // 4)
        copies = -(-rows.in_c // 16)
        quads, left = pixels // 4, pixels % 4
        return {
            "call": blocks,
            "output_row": rows.out_h * blocks,
            "pixel": pixels * blocks,
            "kernel_row": pixels * rows.kernel_h * blocks,
            "tap": taps * blocks,
            "padding_tap": (pixels * window - taps) * blocks,
            "copy_16_bytes": pixels * window * copies,
            "product": quads * blocks,
            "vector": quads * vectors,
            "vector_tap": quads * vectors * window,
            "left_pixel": left * blocks,
            "left": left * vectors,
            "left_tap": left * vectors * window,
        }
    quads, left = rows.in_c // 4, rows.in_c % 4
    padding_rows = pixels * rows.kernel_h - window_rows
    padding_taps = window_rows * rows.kernel_w - taps
    return {
        "call": rows.batch,
        "output_row": rows.out_h,
        "pixel": pixels,
        "window_row": window_rows,
        "tap": taps,
        "widen_4": taps * quads,
        "widen_1": taps * left,
        "padding_tap": padding_taps,
        "padding_row": padding_rows,
        "fill_16_bytes": (padding_taps + padding_rows * rows.kernel_w) * (rows.in_c // 8),
        "quad": pixels * quads,
        "quad_2_taps": pixels * quads * (window // 2),
        "quad_odd_tap": pixels * quads * (window % 2),
        "left": pixels * left,
        "left_tap": pixels * left * window,
    }


def depthwise_mult_4_s8(rows: Rows, path: str) -> Trips:
    """Loops of `depthwise_conv_s8_mult_4`."""
    kernel_rows, kernel_columns = taps_inside(rows)
    pixels, quads = rows.out_h * rows.out_w, rows.out_c // 4
    return {
        "call": rows.batch,
        "output_row": rows.out_h,
        "pixel": pixels,
        "input_channel": pixels * rows.in_c,
        "quad": pixels * quads,
        "quad_row": kernel_rows * rows.out_w * quads,
        "quad_tap": kernel_rows * kernel_columns * quads,
    }


def depthwise_generic_s8(rows: Rows, path: str) -> Trips:
    """Loops of `depthwise_conv_s8_generic`: any multiplier, dilation, batch."""
    kernel_rows, kernel_columns = taps_inside(rows)
    pixels = rows.batch * rows.out_h * rows.out_w
    outputs = rows.batch * rows.out_c
    return {
        "call": rows.batch,
        "output_row": rows.batch * rows.out_h,
        "pixel": pixels,
        "input_channel": pixels * rows.in_c,
        "output": pixels * rows.out_c,
        "window_row": kernel_rows * rows.out_w * outputs,
        "tap": kernel_rows * kernel_columns * outputs,
    }


DEPTHWISE_3X3 = Kernel("cmsis_nn", "arm_depthwise_conv_3x3_s8", depthwise_3x3_s8)
DEPTHWISE_OPT = Kernel("cmsis_nn", "arm_depthwise_conv_s8_opt", depthwise_opt_s8)
DEPTHWISE_MULT_4 = Kernel("cmsis_nn", "depthwise_conv_s8_mult_4", depthwise_mult_4_s8)
DEPTHWISE_GENERIC = Kernel("cmsis_nn", "depthwise_conv_s8_generic", depthwise_generic_s8)


@select_for("cmsis-nn", "depthwise_conv2d")
def select_depthwise_conv2d(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """`arm_depthwise_conv_wrapper_s8`."""
    single = (rows.batch == 1) & (rows.dilation_h == 1) & (rows.dilation_w == 1)
    plain = single & (rows.channel_multiplier == 1)
    by_four = single & (rows.channel_multiplier % 4 == 0)
    if path == "mve":
        as_conv = (rows.in_c == 1) & (rows.out_c > 1)
        opt, by_four = plain & ~as_conv, by_four & ~as_conv
        rest = ~(as_conv | opt | by_four)
        return [
            (CONVOLVE_S8, as_conv),
            (DEPTHWISE_OPT, opt),
            (DEPTHWISE_MULT_4, by_four),
            (DEPTHWISE_GENERIC, rest),
        ]
    small = plain & (rows.kernel_h == 3) & (rows.kernel_w == 3) & (rows.pad_top <= 1) & (rows.pad_left <= 1)
    opt = plain & ~small if path == "dsp" else np.zeros_like(plain)
    return [
        (DEPTHWISE_3X3, small),
        (DEPTHWISE_OPT, opt),
        (DEPTHWISE_MULT_4, by_four),
        (DEPTHWISE_GENERIC, ~(small | opt | by_four)),
    ]
