"""TinyEngine's static buffers beside its activation arena."""

from __future__ import annotations

import numpy as np

from tinysim.network.table import LayerTable

__all__ = ["tinyengine_static_bytes"]

_STEM_KERNEL_BYTES = 864
"""32 filters of 3 x 3 x 3, unpacked for the stem's own kernel"""


def tinyengine_static_bytes(table: LayerTable) -> int:
    """Bytes of the shared im2col buffer and the unpacked stem filters.

    S = max over layers of (2 (H + 2 floor(kh/2)) (W + 2 floor(kw/2)) for a depthwise convolution, two padded channels;
    4 kh kw C for others, two int16 columns) + 864 if the network starts with a 3 x 3 convolution of 3 channels.

    Source: the buffers that TinyEngine (47bb283) reports for two networks, to the byte. Valid: int8.
    """
    depthwise = table.is_kind("depthwise_conv2d")
    rows = table.in_h + 2 * (table.kernel_h // 2)
    columns = table.in_w + 2 * (table.kernel_w // 2)
    im2col = np.where(table.is_family("conv", "matmul"), 4 * table.kernel_h * table.kernel_w * table.in_c, 0)
    stem = table.is_kind("conv2d") & (table.in_c == 3) & (table.kernel_h == 3) & (table.kernel_w == 3)
    return int(np.where(depthwise, 2 * rows * columns, im2col).max(initial=0)) + _STEM_KERNEL_BYTES * bool(stem.any())
