"""ESP-NN int8 convolution: `esp_nn_conv_s8_esp32s3`, `..._esp32p4`, `..._opt`.

ESP32-S3:
- 1 x 1, stride 1, no padding, input channels a multiple of 8: eight pixels at a time are transposed and widened to 16
  bits, then meet one weight after the other; a remainder of two or more pixels is filled up to eight.
- other windows that fit 16 bytes badly (row < 16 bytes, window >= 16), and 3 x 3 on multiples of 16 channels: the
  window is copied, then multiplied with every filter, 16 products an instruction.
- the rest: every row of the window with the row of the filter, filled up to 16, without copying.
ESP32-P4: rows of at least 16 bytes by 16 products, others one by one. Everywhere else: plain loops, unrolled by 4.
Source: github.com/espressif/esp-nn, src/convolution/esp_nn_conv_{esp32s3,esp32p4,opt}.c and the .S files they call.
"""

from __future__ import annotations

import numpy as np

from tinysim.cost.cpu.geometry import plain_window_trips
from tinysim.cost.cpu.kernel import Kernel, Mask, Rows, Trips, select_for
from tinysim.network.table import Ints

__all__ = ["select_conv2d"]


def pixels_of(rows: Rows) -> Ints:
    """Output pixels, shape (n,)."""
    pixels: Ints = rows.batch * rows.out_h * rows.out_w
    return pixels


def padded(rows: Rows) -> Mask:
    """Rows whose window leaves the image somewhere."""
    mask: Mask = (rows.pad_top + rows.pad_bottom + rows.pad_left + rows.pad_right) > 0
    return mask


def conv_1x1_mult8(rows: Rows, path: str) -> Trips:
    """Loops of `esp_nn_conv_s8_mult8_1x1_esp32s3`."""
    pixels = rows.out_h * rows.out_w
    single = rows.batch * (pixels % 8 == 1)
    eights = rows.batch * (pixels // 8 + (pixels % 8 > 1))
    groups = rows.in_c // 8
    return {
        "call": rows.batch,
        "eight_pixels": eights,
        "transpose": eights * groups,
        "output": eights * rows.out_c,
        "step": eights * rows.out_c * (groups - 1),
        "single": single * rows.out_c,
        "single_step": single * rows.out_c * groups,
    }


def conv_window(rows: Rows, path: str) -> Trips:
    """Loops of `esp_nn_conv_s8_im2col_s3` and `esp_nn_conv_s8_3x3_opt`."""
    pixels, window = pixels_of(rows), rows.kernel_h * rows.kernel_w * rows.in_c
    return {
        "call": rows.batch,
        "weight": rows.batch * rows.out_c * window,
        "pixel": pixels,
        "window_row": pixels * rows.kernel_h,
        "output": pixels * rows.out_c,
        "step": pixels * rows.out_c * -(-window // 16),
    }


def _row_by_row(rows: Rows) -> dict[str, Ints]:
    """Loops of every convolution that takes the window row by row."""
    outputs = pixels_of(rows) * rows.out_c
    return {
        "call": rows.batch,
        "weight": rows.batch * rows.out_c * rows.kernel_h * rows.kernel_w * rows.in_c,
        "padded_byte": rows.in_elements * padded(rows),
        "pixel": pixels_of(rows),
        "output": outputs,
        "window_row": outputs * rows.kernel_h,
    }


def conv_rows(rows: Rows, path: str) -> Trips:
    """Loops of `esp_nn_conv_s8_filter_aligned_input_padded_esp32s3`; on the P4 of `esp_nn_conv_s8_padded`."""
    trips = _row_by_row(rows)
    return {**trips, "step": trips["window_row"] * -(-rows.kernel_w * rows.in_c // 16)}


def conv_short_rows(rows: Rows, path: str) -> Trips:
    """`esp_nn_conv_s8_padded` with rows below 16 bytes, and what 16 leaves over of longer ones."""
    trips, row = _row_by_row(rows), rows.kernel_w * rows.in_c
    steps = np.where(row >= 16, row // 16, 0)
    return {**trips, "step": trips["window_row"] * steps, "mac": trips["window_row"] * (row - 16 * steps)}


def conv_opt(rows: Rows, path: str) -> Trips:
    """Loops of `esp_nn_conv_s8_opt`; 1 x 1 has a function of its own, without loops over the window."""
    trips = conv_ansi(rows, path)
    window = (rows.kernel_h * rows.kernel_w > 1).astype(int)
    return {**trips, "window_row": trips["window_row"] * window, "tap": trips["tap"] * window}


def conv_ansi(rows: Rows, path: str) -> Trips:
    """Loops of `esp_nn_conv_s8_ansi`."""
    return plain_window_trips(rows)


CONV_1X1 = Kernel("esp_nn", "esp_nn_conv_s8_mult8_1x1", conv_1x1_mult8)
CONV_WINDOW = Kernel("esp_nn", "esp_nn_conv_s8_im2col", conv_window)
CONV_ROWS = Kernel("esp_nn", "esp_nn_conv_s8_filter_aligned", conv_rows)
CONV_PADDED = Kernel("esp_nn", "esp_nn_conv_s8_padded", conv_short_rows)
CONV_OPT = Kernel("esp_nn", "esp_nn_conv_s8_opt", conv_opt)


@select_for("esp-nn", "conv2d")
def select_conv2d(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """`esp_nn_conv_s8` of the chip."""
    plain = (rows.groups > 1) | (rows.dilation_h > 1) | (rows.dilation_w > 1)
    if path == "pie-p4":
        return [(CONV_PADDED, ~plain), (CONV_OPT, plain)]
    if path != "pie-s3":
        return [(CONV_OPT, None)]
    tap = rows.kernel_h * rows.kernel_w
    row = rows.kernel_w * rows.in_c
    pointwise = ~plain & (tap == 1) & (rows.stride_h == 1) & (rows.stride_w == 1) & ~padded(rows)
    by_eight = pointwise & (rows.in_c % 8 == 0)
    square = (rows.kernel_h == 3) & (rows.kernel_w == 3) & (rows.in_c % 16 == 0) & (rows.out_c >= 16)
    short = (row < 16) & (tap * rows.in_c >= 16)
    window = ~plain & ~pointwise & (square | short) | (pointwise & ~by_eight)
    return [(CONV_1X1, by_eight), (CONV_WINDOW, window), (CONV_ROWS, ~(plain | by_eight | window)), (CONV_OPT, plain)]
