"""Float32 convolutions of generated C on planes (channels first), as the Renesas e-AI Translator writes them.

Every output walks the input's planes, and in each of them its window, so a pair of output and input channel costs the
set-up of two loops: 1 x 1 convolutions pay it for a single product.
The cost per trip was counted from such loops; nothing was emulated.
"""

from __future__ import annotations

from tinysim.cost.cpu.geometry import taps_inside
from tinysim.cost.cpu.kernel import Kernel, Rows, Trips, always
from tinysim.network.kinds import KIND_CODE

__all__ = ["LIBRARY", "conv_planes"]

#: name under which the selections are registered
LIBRARY = "chw-float32"

DEPTHWISE = KIND_CODE["depthwise_conv2d"]


def conv_planes(rows: Rows, path: str) -> Trips:
    """Loops over outputs, input planes, window rows and taps inside the image."""
    kernel_rows, kernel_columns = taps_inside(rows)
    planes = rows.in_c // rows.groups
    planes = planes + (1 - planes) * (rows.kind == DEPTHWISE)
    outputs = rows.batch * rows.out_c
    return {
        "call": rows.batch,
        "output": rows.out_h * rows.out_w * outputs,
        "window": rows.out_h * rows.out_w * outputs * planes,
        "window_row": kernel_rows * rows.out_w * outputs * planes,
        "mac": kernel_rows * kernel_columns * outputs * planes,
    }


always(LIBRARY, Kernel("float32", "ConvPlanes", conv_planes), "conv2d", "depthwise_conv2d")
