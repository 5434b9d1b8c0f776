"""How often a window really meets the image: exact counts along one axis and over the plane, per layer.

Kernels skip or zero-fill taps that fall into the padding, so these counts drive their loops.
"""

from __future__ import annotations

import numpy as np

from tinysim.cost.cpu.kernel import Rows
from tinysim.network.table import Ints

__all__ = ["plain_window_trips", "taps_inside", "taps_inside_axis"]


def _cut(reach: Ints, stride: Ints, kernel: Ints, outputs: Ints) -> Ints:
    """Taps outside on one side: sum of clip(reach - j stride, 0, kernel) over the windows j = 0 .. outputs - 1."""

    def triangle(height: Ints) -> Ints:
        n: Ints = np.clip(-(-height // stride), 0, outputs)
        return n * height - stride * (n * (n - 1) // 2)

    if reach.max(initial=0) <= 0:
        return np.zeros_like(reach)
    return triangle(reach) - triangle(reach - kernel)


def taps_inside_axis(size: Ints, outputs: Ints, kernel: Ints, stride: Ints, dilation: Ints, pad: Ints) -> Ints:
    """Pairs (output position, kernel tap) along one axis whose tap lies inside the image, shape (n,).

    N = sum over o < outputs, k < kernel of [0 <= o stride - pad + k dilation < size]

    All arguments count elements along the axis; `pad` is the leading padding. Exact.

    >>> one = np.array([1])
    >>> int(taps_inside_axis(8 * one, 8 * one, 3 * one, one, one, one)[0])
    22
    """
    beyond = (outputs - 1) * stride + kernel - pad - size
    inside = outputs * kernel - _cut(pad, stride, kernel, outputs) - _cut(beyond, stride, kernel, outputs)
    dilated = np.flatnonzero(dilation != 1)
    if not len(dilated):
        return inside
    size, outputs, kernel, stride, dilation, pad = (a[dilated] for a in (size, outputs, kernel, stride, dilation, pad))
    counted = np.zeros_like(size)
    for tap in range(int(kernel.max())):
        offset = pad - tap * dilation
        first = np.clip(-(-offset // stride), 0, outputs)
        last = np.clip((size - 1 + offset) // stride, -1, outputs - 1)
        counted += np.where(tap < kernel, np.maximum(last - first + 1, 0), 0)
    inside[dilated] = counted
    return inside


def taps_inside(rows: Rows) -> tuple[Ints, Ints]:
    """Kernel rows inside the image over all output rows, and kernel columns over all output columns, each (n,).

    Their product is the number of (output pixel, tap) pairs inside the image.
    """
    r = rows
    return (
        taps_inside_axis(r.in_h, r.out_h, r.kernel_h, r.stride_h, r.dilation_h, r.pad_top),
        taps_inside_axis(r.in_w, r.out_w, r.kernel_w, r.stride_w, r.dilation_w, r.pad_left),
    )


def plain_window_trips(rows: Rows) -> dict[str, Ints]:
    """Loops of a convolution without im2col, each (n,): all taps inside the image, channel by channel."""
    kernel_rows, kernel_columns = taps_inside(rows)
    outputs = rows.batch * rows.out_c
    taps = kernel_rows * kernel_columns * outputs
    return {
        "call": rows.batch,
        "output": rows.out_h * rows.out_w * outputs,
        "window_row": kernel_rows * rows.out_w * outputs,
        "tap": taps,
        "mac": taps * (rows.in_c // rows.groups),
    }
