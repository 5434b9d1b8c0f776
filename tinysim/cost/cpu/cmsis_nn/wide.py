"""CMSIS-NN int16x8 kernels (16-bit activations, 8-bit weights): the int8 loops on activations that need no widening.

`arm_convolve_s16` has no 1x1 short cut and keeps 16-bit columns, so copies move twice the bytes and the widening loop
is gone; the accumulator may be 64 bits wide, so an output costs a wide requantization more. The depthwise
(`arm_depthwise_conv_fast_s16`) and fully connected kernels differ from their int8 kernels the same way. With Helium the
products are half as wide. Exponentials, sigmoid and tanh are interpolated from tables.
Counted from the source: github.com/ARM-software/CMSIS-NN, arm_convolve_s16.c, arm_nn_vec_mat_mult_t_s16.c.
"""

from __future__ import annotations

from tinysim.cost.cpu.cmsis_nn import conv, depthwise, elementwise, matmul, pool
from tinysim.cost.cpu.kernel import Kernel, Mask, Rows, Trips, always, select_for
from tinysim.cost.cpu.tflm.elementwise import element

__all__ = ["LIBRARY_16", "convolve_s16", "wide_outputs"]

#: name under which the selections are registered
LIBRARY_16 = "cmsis-nn-int16"

_COPIES = ("copy_16_bytes", "copy_4_bytes", "copy_byte", "fill_16_bytes", "fill_4_bytes", "fill_byte")
_STEPS = ("quad_step", "left_step", "group_16", "single_16")


def _widened(trips: Trips, path: str) -> Trips:
    """int8 trips as 16-bit activations run them."""
    factors = dict.fromkeys(_COPIES, 2) | dict.fromkeys(("widen_4", "widen_1"), 0)
    if path == "mve":
        factors |= dict.fromkeys(_STEPS, 2)
    return {loop: values * factors.get(loop, 1) for loop, values in trips.items()}


def convolve_s16(rows: Rows, path: str) -> Trips:
    """Loops of `arm_convolve_s16`."""
    return _widened(conv.convolve_s8(rows, path), path)


def depthwise_fast_s16(rows: Rows, path: str) -> Trips:
    """Loops of `arm_depthwise_conv_fast_s16`."""
    return _widened(depthwise.depthwise_opt_s8(rows, path), path)


def fully_connected_s16(rows: Rows, path: str) -> Trips:
    """Loops of `arm_fully_connected_s16`."""
    return _widened(matmul.fully_connected_s8(rows, path), path)


def wide_outputs(rows: Rows, path: str) -> Trips:
    """Outputs that are requantized from a 64-bit accumulator."""
    return {"output": rows.out_elements}


_CONV = Kernel("cmsis_nn", "arm_convolve_s8", convolve_s16)
_DEPTHWISE = Kernel("cmsis_nn", "arm_depthwise_conv_s8_opt", depthwise_fast_s16)
_FULLY_CONNECTED = Kernel("cmsis_nn", "arm_fully_connected_s8", fully_connected_s16)
_WIDE = Kernel("cmsis_nn", "arm_nn_requantize_s64", wide_outputs)


@select_for(LIBRARY_16, "conv2d")
def select_conv2d(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """`arm_convolve_wrapper_s16`."""
    return [(_CONV, None), (_WIDE, None)]


@select_for(LIBRARY_16, "depthwise_conv2d")
def select_depthwise_conv2d(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """`arm_depthwise_conv_wrapper_s16`: the fast kernel for multiplier 1 with DSP or Helium, else the generic one."""
    fast = (rows.batch == 1) & (rows.dilation_h == 1) & (rows.dilation_w == 1) & (rows.channel_multiplier == 1)
    if path in ("plain", "xpulp"):
        fast &= False
    return [(_DEPTHWISE, fast), (depthwise.DEPTHWISE_GENERIC, ~fast), (_WIDE, None)]


@select_for(LIBRARY_16, "fully_connected", "batch_matmul")
def select_fully_connected(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """`arm_fully_connected_s16`."""
    return [(_FULLY_CONNECTED, None), (_WIDE, None)]


always(LIBRARY_16, Kernel("cmsis_nn", "arm_softmax_s16", elementwise.softmax_s8), "softmax")
always(LIBRARY_16, Kernel("cmsis_nn", "arm_nn_activation_s16", element), "logistic", "tanh")
always(LIBRARY_16, pool.AVGPOOL, "avg_pool2d")
always(LIBRARY_16, pool.MAXPOOL, "max_pool2d")
always(LIBRARY_16, elementwise.ADD, "add", "sub")
