"""ESP-DL convolutions on the SIMD units of the ESP32-S3 and ESP32-P4, int8: sixteen output channels at a time.

A block of 16 outputs of one pixel walks its taps; each input channel is one instruction that multiplies it with 16
weights and loads the next 16. Scales are powers of two, so a block is rounded and packed at once. Channels that 16
leaves over are read unaligned, left-over outputs one by one. Layers are padded by skipping taps. Other cores, and
other operators, are priced as ESP-NN's plain C.
Source: github.com/espressif/esp-dl, esp-dl/dl/base/isa/tie728/dl_tie728_s8_conv2d.S, ..._depthwise_conv2d.S.
"""

from __future__ import annotations

from tinysim.cost.cpu.esp_nn.conv import CONV_OPT
from tinysim.cost.cpu.esp_nn.depthwise import DEPTHWISE_OPT
from tinysim.cost.cpu.geometry import taps_inside
from tinysim.cost.cpu.kernel import Kernel, Mask, Rows, Trips, select_for

__all__ = ["LIBRARY", "conv_by_16", "depthwise_by_16"]

#: name under which the selections are registered
LIBRARY = "esp-dl"


def conv_by_16(rows: Rows, path: str) -> Trips:
    """Loops of `dl_tie728_s8_conv2d_hwcn` and its unaligned form."""
    kernel_rows, kernel_columns = taps_inside(rows)
    blocks, single = rows.batch * (rows.out_c // 16), rows.batch * (rows.out_c % 16)
    pixels, taps = rows.out_h * rows.out_w, kernel_rows * kernel_columns
    whole, left = rows.in_c // 16, rows.in_c % 16
    return {
        "call": rows.batch,
        "pixel": rows.batch * pixels,
        "block": pixels * blocks,
        "block_row": kernel_rows * rows.out_w * blocks,
        "block_tap": taps * blocks,
        "block_16_channels": taps * blocks * whole,
        "block_left_channel": taps * blocks * left,
        "single": pixels * single,
        "single_tap": taps * single,
        "single_16_channels": taps * single * (whole + (left > 0)),
    }


def depthwise_by_16(rows: Rows, path: str) -> Trips:
    """Loops of `dl_tie728_s8_depthwise_conv2d_hwc1` and its unaligned form."""
    kernel_rows, kernel_columns = taps_inside(rows)
    taps, aligned = kernel_rows * kernel_columns * rows.batch, rows.in_c % 16 == 0
    blocks = -(-rows.in_c // 16)
    return {
        "call": rows.batch,
        "pixel": rows.batch * rows.out_h * rows.out_w,
        "block": rows.batch * rows.out_h * rows.out_w * blocks,
        "block_row": rows.batch * kernel_rows * rows.out_w * blocks,
        "tap": taps * blocks * aligned,
        "unaligned_tap": taps * blocks * ~aligned,
    }


_CONV = Kernel("esp_dl", "dl_s8_conv2d", conv_by_16)
_DEPTHWISE = Kernel("esp_dl", "dl_s8_depthwise_conv2d", depthwise_by_16)


@select_for(LIBRARY, "conv2d")
def select_conv2d(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """Blocks of 16 where there is SIMD."""
    fits = (rows.groups == 1) if path.startswith("pie") else (rows.groups < 0)
    return [(_CONV, fits), (CONV_OPT, ~fits)]


@select_for(LIBRARY, "depthwise_conv2d")
def select_depthwise_conv2d(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """Blocks of 16 where there is SIMD."""
    fits = (rows.channel_multiplier == 1) if path.startswith("pie") else (rows.channel_multiplier < 0)
    return [(_DEPTHWISE, fits), (DEPTHWISE_OPT, ~fits)]
