"""Convolutions that overwrite their dying input row by row, as X-CUBE-AI runs them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysim.deploy.memory.buffers import Ints
from tinysim.network.table import LayerTable

__all__ = ["overwrites_by_rows", "row_extent_bytes"]

#: a pointwise convolution with more output channels per input channel than this gets memory of its own
_WIDEST_POINTWISE = 2


def row_extent_bytes(table: LayerTable) -> Ints:
    """Bytes that input and output together span when the output is written over the input, shape (n,).

    E = max(I + max_j(min(j + l, H) R_out - max(0, s j - p) R_in), O): when output row j is written, l rows from it on
    must not reach the input rows that are still to be read. I, O: bytes of input and output; H: output rows; R: bytes
    of a row; s: stride; p: padding; l: rows of the kernel.
    Valid: NHWC, one type of input and output. Checked against MobileNet v1 under X-CUBE-AI 7.3: padded input of the
    second depthwise layer and three output rows, to the byte.

    >>> table = LayerTable.from_columns(dict(kind=["depthwise_conv2d"], in_h=49, in_w=49, in_c=16, out_h=24, out_w=24,
    ...                                      out_c=16, kernel_h=3, kernel_w=3, stride_h=2, stride_w=2))
    >>> row_extent_bytes(table).tolist()
    [39568]
    """
    row_in = table.in_w * table.in_c * table.activation_bits // 8
    row_out = table.out_w * table.out_c * table.activation_bits // 8
    stride, pad = np.maximum(table.stride_h, 1), table.pad_top

    def ahead(j: Ints) -> Ints:
        written = np.minimum(j + table.kernel_h, table.out_h) * row_out
        bytes_ahead: Ints = written - np.maximum(0, stride * j - pad) * row_in
        return bytes_ahead

    # linear in j between these
    corners = (pad // stride, -(-pad // stride), np.maximum(table.out_h - table.kernel_h, 0))
    most = np.max([ahead(j) for j in corners], axis=0)
    extent: Ints = np.maximum(table.in_h * row_in + np.maximum(most, 0), table.out_h * row_out)
    return extent


def overwrites_by_rows(table: LayerTable, *, stride_1: bool) -> NDArray[np.bool_]:
    """Which layers do so: depthwise ones, pointwise ones of up to twice the channels, k x k ones with a stride.

    stride_1: k x k convolutions without a stride too (X-CUBE-AI from 8 on).
    """
    pointwise = (table.kernel_h * table.kernel_w == 1) & (table.out_c <= _WIDEST_POINTWISE * table.in_c)
    spatial = (table.kernel_h * table.kernel_w > 1) & (stride_1 | (table.stride_h > 1))
    flags: NDArray[np.bool_] = table.is_kind("depthwise_conv2d") | (table.is_kind("conv2d") & (pointwise | spatial))
    return flags
