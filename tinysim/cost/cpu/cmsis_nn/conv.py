"""CMSIS-NN int8 convolution: `arm_convolve_wrapper_s8` and what it chooses.

- 1x1 without padding goes straight to the matrix product `arm_nn_mat_mult_nt_t_s8` (`_fast` for stride 1, row by row
  otherwise): pairs of output channels by pairs of pixels, the offset correction summed once per pair of channels.
- everything else is im2col in `arm_convolve_s8`: each output pixel's patch is copied tap by tap (padding taps are
  filled), widened to 16 bits, and two such columns meet all channels, in pairs, in `arm_nn_mat_mult_kernel_s8_s16`.
- Helium copies 8-bit columns and multiplies four at a time with `arm_nn_mat_mult_nt_t_s8`; 1 x n kernels on one row
  need no copy (`arm_convolve_1_x_n_s8`).

Inner loops take 4 weights a trip with the DSP extension (16, then 4, in the 1x1 kernel) and 1 without.
Source: github.com/ARM-software/CMSIS-NN, Source/ConvolutionFunctions and Source/NNSupportFunctions.
"""

from __future__ import annotations

from tinysim.cost.cpu.geometry import taps_inside
from tinysim.cost.cpu.kernel import Kernel, Mask, Rows, Trips, select_for
from tinysim.network.kinds import KIND_CODE

__all__ = ["CONVOLVE_1X1_S8", "CONVOLVE_S8", "convolve_1x1_s8", "convolve_s8", "select_conv2d"]

DEPTHWISE = KIND_CODE["depthwise_conv2d"]


def convolve_s8(rows: Rows, path: str) -> Trips:
    """Loops of `arm_convolve_s8` with its matrix kernel; groups run one after the other."""
    if path == "mve":
        return _convolve_s8_mve(rows)
    depth, channels = rows.in_c // rows.groups, rows.out_c // rows.groups
    kernel_rows, kernel_columns = taps_inside(rows)
    passes = rows.batch * rows.groups
    pixels = rows.out_h * rows.out_w
    inside = passes * kernel_rows * kernel_columns
    window = rows.kernel_h * rows.kernel_w
    outside = passes * pixels * window - inside
    patch = window * depth
    pairs, odd_pixel = passes * (pixels // 2), passes * (pixels % 2)
    tiles, halves, last = pairs * (channels // 2), pairs * (channels % 2), odd_pixel * channels
    pixels = passes * pixels
    lanes = 4 if path == "dsp" else 1
    steps, tail = patch // lanes, patch % lanes
    return {
        "call": passes,
        "output_row": passes * rows.out_h,
        "pixel": pixels,
        "kernel_row": pixels * rows.kernel_h,
        "tap": inside,
        "copy_16_bytes": inside * (depth // 16),
        "copy_4_bytes": inside * (depth % 16 // 4),
        "copy_byte": inside * (depth % 4),
        "padding_tap": outside,
        "fill_16_bytes": outside * (depth // 16),
        "fill_4_bytes": outside * (depth % 16 // 4),
        "fill_byte": outside * (depth % 4),
        "widen_4": pixels * (patch // 4),
        "widen_1": pixels * (patch % 4),
        "pixel_pair": pairs,
        "tile": tiles,
        "tile_step": tiles * steps,
        "tile_tail": tiles * tail,
        "odd_channel": halves,
        "odd_channel_step": halves * steps,
        "odd_channel_tail": halves * tail,
        "odd_pixel": last,
        "odd_pixel_step": last * steps,
        "odd_pixel_tail": last * tail,
    }


def _convolve_s8_mve(rows: Rows) -> Trips:
    """Helium: four columns a product, 16 weights a trip, tails predicated; left-over columns one by one.

    A depthwise layer of one input channel comes here too, its filter transposed first.
    """
    depth, channels = rows.in_c // rows.groups, rows.out_c // rows.groups
    kernel_rows, kernel_columns = taps_inside(rows)
    passes = rows.batch * rows.groups
    pixels = rows.out_h * rows.out_w
    inside = passes * kernel_rows * kernel_columns
    window = rows.kernel_h * rows.kernel_w
    steps = -(-window * depth // 16)
    quads, left = passes * (pixels // 4), passes * (pixels % 4)
    taps = passes * pixels * window
    return {
        "call": passes,
        "transposed_weight": window * channels * (rows.kind == DEPTHWISE),
        "output_row": passes * rows.out_h,
        "pixel": passes * pixels,
        "kernel_row": passes * pixels * rows.kernel_h,
        "tap": inside,
        "padding_tap": taps - inside,
        "copy_16_bytes": taps * -(-depth // 16),
        "product": quads + passes * (pixels % 4 > 0),
        "quad": quads * channels,
        "quad_step": quads * channels * steps,
        "left": left * channels,
        "left_step": left * channels * steps,
        "left_requantize_4": left * (channels // 4),
        "left_requantize_1": left * (channels % 4),
    }


def convolve_1x1_s8(rows: Rows, path: str) -> Trips:
    """Loops of `arm_convolve_1x1_s8[_fast]` with `arm_nn_mat_mult_nt_t_s8`."""
    fast = (rows.stride_h == 1) & (rows.stride_w == 1)
    products = rows.groups * ~fast * rows.batch * rows.out_h + rows.groups * fast
    pixels = rows.batch * rows.out_h * rows.out_w * rows.groups // products
    depth, channels = rows.kernel_h * rows.kernel_w * (rows.in_c // rows.groups), rows.out_c // rows.groups
    if path == "mve":
        steps = -(-depth // 16)
        quads, left = products * (pixels // 4), products * (pixels % 4)
        return {
            "call": rows.groups,
            "product": products,
            "quad_pixels": quads,
            "quad": quads * channels,
            "quad_step": quads * channels * steps,
            "left": left * channels,
            "left_step": left * channels * steps,
            "left_requantize_4": left * (channels // 4),
            "left_requantize_1": left * (channels % 4),
        }
    channel_pairs, odd_channels = products * (channels // 2), products * (channels % 2) * pixels
    tiles, halves = channel_pairs * (pixels // 2), channel_pairs * (pixels % 2)
    if path == "dsp":
        blocks, steps, tail = depth // 16, depth % 16 // 4, depth % 4
        both, tailed = (blocks > 0) & (steps > 0), tail > 0
        return {
            "call": rows.groups,
            "product": products,
            "channel_pair": channel_pairs,
            "offset_sum": channel_pairs * depth,
            "tile": tiles,
            "tile_16": tiles * blocks,
            "tile_16_then_4": tiles * both,
            "tile_4": tiles * steps,
            "tile_tail": tiles * tailed,
            "tile_1": tiles * tail,
            "odd_pixel": halves,
            "odd_pixel_16": halves * blocks,
            "odd_pixel_4": halves * steps,
            "odd_pixel_1": halves * tail,
            "odd_channel": odd_channels,
            "odd_channel_1": odd_channels * depth,
        }
    return {
        "call": rows.groups,
        "product": products,
        "channel_pair": channel_pairs,
        "offset_sum": channel_pairs * depth,
        "tile": tiles,
        "tile_1": tiles * depth,
        "odd_pixel": halves,
        "odd_pixel_1": halves * depth,
        "odd_channel": odd_channels,
        "odd_channel_1": odd_channels * depth,
    }


CONVOLVE_S8 = Kernel("cmsis_nn", "arm_convolve_s8", convolve_s8)
CONVOLVE_1X1_S8 = Kernel("cmsis_nn", "arm_convolve_1x1_s8", convolve_1x1_s8)


def needs_no_im2col(rows: Rows, path: str) -> Mask:
    """Rows whose patches lie in the input as they are: one tap without padding; with Helium also 1 x n on one row."""
    mask: Mask = (rows.kernel_h * rows.kernel_w == 1) & (rows.pad_top + rows.pad_left == 0)
    if path == "mve":
        mask |= (rows.in_h == 1) & (rows.kernel_h == 1) & (rows.out_w % 4 == 0) & (rows.dilation_w == 1)
    return mask


@select_for("cmsis-nn", "conv2d")
def select_conv2d(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """`arm_convolve_wrapper_s8`."""
    pointwise = needs_no_im2col(rows, path)
    return [(CONVOLVE_1X1_S8, pointwise), (CONVOLVE_S8, ~pointwise)]
