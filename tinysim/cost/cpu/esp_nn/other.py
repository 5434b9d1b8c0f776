"""ESP-NN int8 fully connected, pooling, element-wise and softmax kernels.

ESP32-S3: 16 products an instruction in fully connected layers, eight channels at a time in pools (multiples of 4
only), eight elements at a time in addition and multiplication. ESP32-P4: 16 products, 16 channels. Other chips run the
plain C of these kernels.
Source: github.com/espressif/esp-nn, src/fully_connected, src/pooling, src/basic_math, src/softmax.
"""

from __future__ import annotations

import numpy as np

from tinysim.cost.cpu.esp_nn.conv import pixels_of
from tinysim.cost.cpu.geometry import taps_inside
from tinysim.cost.cpu.kernel import Kernel, Mask, Rows, Selection, Trips, always, select_for
from tinysim.cost.cpu.tflm import elementwise, matmul, pool

__all__ = ["ADD", "FULLY_CONNECTED", "MAX_POOL", "MUL", "SOFTMAX"]

#: channels that a pool makes at a time, by path
LANES = {"pie-s3": 8, "pie-p4": 16}


def fully_connected(rows: Rows, path: str) -> Trips:
    """Loops of `esp_nn_fully_connected_s8`: steps of 16 products, then one by one."""
    vectors = rows.batch * rows.in_h * rows.in_w
    outputs = vectors * rows.out_c
    return {
        "call": vectors,
        "output": outputs,
        "step": outputs * (rows.in_c // 16),
        "mac": outputs * (rows.in_c % 16),
    }


def pool_by_lanes(rows: Rows, path: str) -> Trips:
    """Loops of `esp_nn_max_pool_s8` and `esp_nn_avg_pool_s8` with SIMD."""
    kernel_rows, kernel_columns = taps_inside(rows)
    groups = -(-rows.out_c // LANES[path])
    return {
        "call": rows.batch,
        "pixel": pixels_of(rows),
        "outputs": pixels_of(rows) * groups,
        "window_row": rows.batch * kernel_rows * rows.out_w * groups,
        "tap": rows.batch * kernel_rows * kernel_columns * groups,
    }


def by_eight(rows: Rows, path: str) -> Trips:
    """Loops of `esp_nn_add_elementwise_s8` and `esp_nn_mul_elementwise_s8`."""
    return {"call": rows.batch, "eight": rows.out_elements // 8, "one": rows.out_elements % 8}


FULLY_CONNECTED = Kernel("esp_nn", "esp_nn_fully_connected_s8", fully_connected)
MAX_POOL = Kernel("esp_nn", "esp_nn_max_pool_s8", pool_by_lanes)
AVG_POOL = Kernel("esp_nn", "esp_nn_avg_pool_s8", pool_by_lanes)
ADD = Kernel("esp_nn", "esp_nn_add_elementwise_s8", by_eight)
MUL = Kernel("esp_nn", "esp_nn_mul_elementwise_s8", by_eight)
SOFTMAX = Kernel("esp_nn", "esp_nn_softmax_s8", pool.softmax)
MEAN = Kernel("esp_nn", "esp_nn_mean_nhwc_s8", pool.reduce)
_ANSI_POOL = {kind: Kernel("esp_nn", f"esp_nn_{kind}_pool_s8_ansi", pool.pool) for kind in ("max", "avg")}
_ANSI = {kind: Kernel("esp_nn", f"esp_nn_{kind}_elementwise_s8_ansi", elementwise.element) for kind in ("add", "mul")}
FULLY_CONNECTED_ANSI = Kernel("esp_nn", "esp_nn_fully_connected_s8_ansi", matmul.fully_connected)


def _with_simd(kernel: Kernel, plain: Kernel, multiple: int = 1) -> Selection:
    """A kernel where there is SIMD and the channels are a multiple, else its plain C."""

    def selection(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
        if path not in LANES:
            return [(plain, None)]
        fits: Mask = np.asarray(rows.out_c % multiple == 0)
        return [(kernel, fits), (plain, ~fits)]

    return selection


select_for("esp-nn", "fully_connected")(_with_simd(FULLY_CONNECTED, FULLY_CONNECTED_ANSI))
select_for("esp-nn", "max_pool2d")(_with_simd(MAX_POOL, _ANSI_POOL["max"], 4))
select_for("esp-nn", "avg_pool2d")(_with_simd(AVG_POOL, _ANSI_POOL["avg"], 4))
select_for("esp-nn", "add", "sub")(_with_simd(ADD, _ANSI["add"]))
select_for("esp-nn", "mul")(_with_simd(MUL, _ANSI["mul"]))
always("esp-nn", SOFTMAX, "softmax")
always("esp-nn", MEAN, "mean")
