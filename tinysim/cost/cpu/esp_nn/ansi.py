"""ESP-NN's ANSI C kernels: the loops of TFLM's reference kernels with the index arithmetic written out.

They are the library's own yardstick, and what runs if its optimizations are switched off.
Source: github.com/espressif/esp-nn, src/*/*_ansi.c.
"""

from __future__ import annotations

from tinysim.cost.cpu.esp_nn.conv import conv_ansi
from tinysim.cost.cpu.geometry import taps_inside
from tinysim.cost.cpu.kernel import Kernel, Rows, Trips, always
from tinysim.cost.cpu.tflm import elementwise, matmul, pool

__all__ = ["LIBRARY_ANSI"]

#: name under which the selections are registered
LIBRARY_ANSI = "esp-nn-ansi"


def depthwise(rows: Rows, path: str) -> Trips:
    """Loops of `esp_nn_depthwise_conv_s8_ansi`."""
    kernel_rows, kernel_columns = taps_inside(rows)
    outputs = rows.batch * rows.out_c
    return {
        "call": rows.batch,
        "output": rows.out_h * rows.out_w * outputs,
        "window_row": kernel_rows * rows.out_w * outputs,
        "tap": kernel_rows * kernel_columns * outputs,
    }


for _name, _trips, _kind in (
    ("conv_s8", conv_ansi, "conv2d"),
    ("depthwise_conv_s8", depthwise, "depthwise_conv2d"),
    ("fully_connected_s8", matmul.fully_connected, "fully_connected"),
    ("max_pool_s8", pool.pool, "max_pool2d"),
    ("avg_pool_s8", pool.pool, "avg_pool2d"),
    ("add_elementwise_s8", elementwise.element, "add"),
    ("mul_elementwise_s8", elementwise.element, "mul"),
    ("softmax_s8", pool.softmax, "softmax"),
    ("mean_nhwc_s8", pool.reduce, "mean"),
):
    always(LIBRARY_ANSI, Kernel("esp_nn", f"esp_nn_{_name}_ansi", _trips), _kind)
