"""ESP-NN int8 depthwise convolution: `esp_nn_depthwise_conv_s8_esp32s3` and `..._opt`.

ESP32-S3: 3 x 3 with multiplier 1 on multiples of 16 channels stays in 8 bits, 16 channels at a time, the input padded
first if need be. Otherwise input and filter are widened to 16 bits and eight outputs (multiplier 1 or a multiple of 8)
or four (multiple of 4) are made at a time, taps outside the image skipped. Fewer than four channels, and all other
chips: plain loops over four outputs.
Source: github.com/espressif/esp-nn, src/convolution/esp_nn_depthwise_conv_s8_esp32s3.c, ..._opt.c and the .S files.
"""

from __future__ import annotations

from tinysim.cost.cpu.esp_nn.conv import padded, pixels_of
from tinysim.cost.cpu.geometry import taps_inside
from tinysim.cost.cpu.kernel import Kernel, Mask, Rows, Trips, select_for

__all__ = ["select_depthwise_conv2d"]


def depthwise_3x3_s8(rows: Rows, path: str) -> Trips:
    """Loops of `esp_nn_depthwise_conv_s8_mult1_3x3_padded_esp32s3`."""
    blocks = rows.in_c // 16
    return {
        "call": rows.batch,
        "copied_16": (rows.in_elements * padded(rows) + 9 * rows.in_c) // 16,
        "block": rows.batch * blocks,
        "row": rows.batch * rows.out_h * blocks,
        "output_16": pixels_of(rows) * blocks,
    }


def _depthwise_s16(rows: Rows, lanes: int) -> Trips:
    kernel_rows, kernel_columns = taps_inside(rows)
    groups = rows.batch * -(-rows.out_c // lanes)
    return {
        "call": rows.batch,
        "widened_8": (rows.in_elements + rows.kernel_h * rows.kernel_w * rows.out_c) // 8,
        "pixel_channel": pixels_of(rows) * rows.in_c * (rows.channel_multiplier > 1),
        "outputs": rows.out_h * rows.out_w * groups,
        "window_row": kernel_rows * rows.out_w * groups,
        "tap": kernel_rows * kernel_columns * groups,
    }


def depthwise_s16_by_8(rows: Rows, path: str) -> Trips:
    """Loops of `esp_nn_depthwise_conv_s16_mult1_esp32s3` and `..._mult8_esp32s3`."""
    return _depthwise_s16(rows, 8)


def depthwise_s16_by_4(rows: Rows, path: str) -> Trips:
    """Loops of `esp_nn_depthwise_conv_s16_mult4_esp32s3`."""
    return _depthwise_s16(rows, 4)


def depthwise_opt(rows: Rows, path: str) -> Trips:
    """Loops of `esp_nn_depthwise_conv_s8_opt`: fours of channels, or of multipliers, then one by one."""
    kernel_rows, kernel_columns = taps_inside(rows)
    single = rows.channel_multiplier == 1
    fours = rows.in_c // 4 * single + rows.in_c * (rows.channel_multiplier // 4) * ~single
    left = rows.out_c - 4 * fours
    window_rows, taps = rows.batch * kernel_rows * rows.out_w, rows.batch * kernel_rows * kernel_columns
    return {
        "call": rows.batch,
        "four": pixels_of(rows) * fours,
        "four_row": window_rows * fours,
        "four_tap": taps * fours * single,
        "four_shared_tap": taps * fours * ~single,
        "left": pixels_of(rows) * left,
        "left_row": window_rows * left,
        "left_tap": taps * left,
    }


DEPTHWISE_3X3 = Kernel("esp_nn", "esp_nn_depthwise_conv_s8_mult1_3x3_padded", depthwise_3x3_s8)
DEPTHWISE_BY_8 = Kernel("esp_nn", "esp_nn_depthwise_conv_s16_mult8", depthwise_s16_by_8)
DEPTHWISE_BY_4 = Kernel("esp_nn", "esp_nn_depthwise_conv_s16_mult4", depthwise_s16_by_4)
DEPTHWISE_OPT = Kernel("esp_nn", "esp_nn_depthwise_conv_s8_opt", depthwise_opt)


@select_for("esp-nn", "depthwise_conv2d")
def select_depthwise_conv2d(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """`esp_nn_depthwise_conv_s8` of the chip."""
    if path != "pie-s3":
        return [(DEPTHWISE_OPT, None)]
    fast = (rows.dilation_h == 1) & (rows.dilation_w == 1)
    single = fast & (rows.channel_multiplier == 1)
    bytewise = single & (rows.kernel_h == 3) & (rows.kernel_w == 3) & (rows.in_c % 16 == 0)
    by_8 = (single & ~bytewise & (rows.in_c > 3)) | (fast & (rows.channel_multiplier % 8 == 0))
    by_4 = fast & ~by_8 & (rows.channel_multiplier % 4 == 0)
    rest = ~(bytewise | by_8 | by_4)
    return [(DEPTHWISE_3X3, bytewise), (DEPTHWISE_BY_8, by_8), (DEPTHWISE_BY_4, by_4), (DEPTHWISE_OPT, rest)]
