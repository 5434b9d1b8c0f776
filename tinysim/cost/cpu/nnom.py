"""NNoM on CMSIS-NN's first kernels (q7, 2018): powers of two for scales, so an output costs a shift and a saturation.

`arm_convolve_HWC_q7_fast` (input channels a multiple of 4, output channels of 2) copies two columns to 16 bits in the
order in which weights unpack; `..._basic` takes any shape and reorders the weights each time. Pools of frames that are
not square, and every layer on a core without DSP, run NNoM's own plain C, which tests each tap against the image.
Counted from the source: github.com/majianjia/nnom, src/layers and src/backends/nnom_local.c;
github.com/ARM-software/CMSIS_5, CMSIS/NN/Source.
"""

from __future__ import annotations

from tinysim.cost.cpu.geometry import taps_inside
from tinysim.cost.cpu.kernel import Kernel, Mask, Rows, Trips, always, select_for
from tinysim.cost.cpu.tflm import pool

__all__ = ["LIBRARY", "convolve_q7"]

#: name under which the selections are registered
LIBRARY = "nnom"


def convolve_q7(rows: Rows, path: str) -> Trips:
    """Loops of `arm_convolve_HWC_q7_fast` and `..._basic` with their matrix kernels."""
    pixels = rows.batch * rows.out_h * rows.out_w
    patch = rows.kernel_h * rows.kernel_w * rows.in_c
    pairs, odd_pixel = pixels // 2, pixels % 2 * rows.out_c
    tiles, halves = pairs * (rows.out_c // 2), pairs * (rows.out_c % 2)
    return {
        "call": rows.batch,
        "pixel": pixels,
        "tap": pixels * rows.kernel_h * rows.kernel_w,
        "widen_4": pixels * (patch // 4),
        "widen_1": pixels * (patch % 4),
        "tile": tiles,
        "tile_step": tiles * (patch // 4),
        "tile_tail": tiles * (patch % 4),
        "half": halves + odd_pixel,
        "half_step": (halves + odd_pixel) * (patch // 4),
        "half_tail": (halves + odd_pixel) * (patch % 4),
    }


def convolve_local(rows: Rows, path: str) -> Trips:
    """Loops of `local_convolve_HWC_q7_nonsquare`: every tap is tested."""
    kernel_rows, kernel_columns = taps_inside(rows)
    outputs = rows.batch * rows.out_c
    return {
        "call": rows.batch,
        "output": rows.out_h * rows.out_w * outputs,
        "tap": rows.out_h * rows.out_w * outputs * rows.kernel_h * rows.kernel_w,
        "mac": kernel_rows * kernel_columns * outputs * (rows.in_c // rows.groups),
    }


FAST = Kernel("nnom", "arm_convolve_HWC_q7_fast", convolve_q7)
BASIC = Kernel("nnom", "arm_convolve_HWC_q7_basic", convolve_q7)
LOCAL = Kernel("nnom", "local_convolve_HWC_q7", convolve_local)


@select_for(LIBRARY, "conv2d")
def select_conv2d(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """`conv2d_run` of NNoM."""
    local = (rows.dilation_h > 1) | (rows.dilation_w > 1) | (rows.groups > 1)
    if path != "dsp":
        local |= True
    fast = ~local & (rows.in_c % 4 == 0) & (rows.out_c % 2 == 0)
    return [(FAST, fast), (BASIC, ~(local | fast)), (LOCAL, local)]


always(LIBRARY, Kernel("nnom", "local_maxpool_q7_HWC", pool.pool), "max_pool2d")
always(LIBRARY, Kernel("nnom", "local_avepool_q7_HWC", pool.pool), "avg_pool2d")
always(LIBRARY, Kernel("nnom", "local_sumpool_q7_HWC", pool.reduce), "mean", "sum")
