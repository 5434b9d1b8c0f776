"""CMSIS-NN 5.x (2019 to 2022) without the DSP extension: a convolution is five plain loops.

`arm_convolve_s8` then had no im2col for such cores ("reference implementation for Cortex-M0 and Cortex-M3"): every
output walks the taps inside the image and multiplies channel by channel. All other kernels are priced as today's, and
so is the convolution with DSP or Helium.
Source: github.com/ARM-software/CMSIS_5, CMSIS/NN/Source/ConvolutionFunctions/arm_convolve_s8.c.
"""

from __future__ import annotations

from tinysim.cost.cpu.cmsis_nn.conv import CONVOLVE_1X1_S8, CONVOLVE_S8, needs_no_im2col
from tinysim.cost.cpu.geometry import plain_window_trips
from tinysim.cost.cpu.kernel import Kernel, Mask, Rows, Trips, select_for

__all__ = ["LIBRARY_5", "convolve_s8_plain"]

#: name under which the selection is registered
LIBRARY_5 = "cmsis-nn-5"


def convolve_s8_plain(rows: Rows, path: str) -> Trips:
    """Loops of `arm_convolve_s8` without DSP."""
    return plain_window_trips(rows)


CONVOLVE_S8_PLAIN = Kernel("cmsis_nn", "arm_convolve_s8 5.x", convolve_s8_plain)


@select_for(LIBRARY_5, "conv2d")
def select_conv2d(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """`arm_convolve_wrapper_s8`: plain loops where there is neither DSP nor Helium."""
    pointwise = needs_no_im2col(rows, path)
    return [(CONVOLVE_1X1_S8, pointwise), (CONVOLVE_S8_PLAIN if path == "plain" else CONVOLVE_S8, ~pointwise)]
