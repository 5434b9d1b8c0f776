"""TinyEngine: static buffers beside the activation arena, and the lifetimes its scheduler gives patches."""

from __future__ import annotations

import numpy as np

from tinysim.deploy.memory.buffers import Buffers, lifetimes
from tinysim.deploy.memory.in_place import tie_in_place
from tinysim.deploy.memory.regions import Region, needed_regions, split_tensor
from tinysim.network.graph import Network
from tinysim.network.table import LayerTable

__all__ = ["tinyengine_patch_buffers", "tinyengine_static_bytes"]

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


def tinyengine_patch_buffers(network: Network, split: int, grid: int) -> Buffers:
    """Lifetimes with the first `split` operators in grid x grid patches, as TinyEngine's scheduler sees them.

    A patch is the receptive field of floor(side / grid) outputs with its padding. The split tensor is kept whole, from
    the start to the end of the network, for the scheduler has cut its tie to the operators; for the same reason it
    never frees the patch's own output, unless that lies in its depthwise convolution's input.

    Source: mit-han-lab/tinyengine 47bb283, PatchBasedUtil, InputResizer, GeneralMemoryScheduler.
    """
    whole = split_tensor(network, split)
    side = np.array([max(network.tensors[whole].shape[1:3]) // grid])
    regions = needed_regions(network, split, Region(side * 0, side, side * 0, side), padded=True)
    buffers = lifetimes(network, alignment=1)
    size, last = buffers.size.copy(), buffers.last.copy()
    pixels = {t: int(np.prod(network.tensors[t].shape[1:3])) for t in regions}
    for row, t in enumerate(buffers.tensor.tolist()):
        if t in regions:
            size[row] = size[row] // pixels[t] * int(regions[t].pixels[0])
    steps = len(network.ops)
    row = int(np.flatnonzero(buffers.tensor == whole)[0])
    last[row] = split if network.ops[split - 1].kind == "depthwise_conv2d" else steps
    patched = Buffers(size, buffers.first, last, buffers.tensor, buffers.name, buffers.root)
    tied = tie_in_place(network, patched, frozenset({"depthwise", "view"}))
    return tied.extended(Buffers.of([network.tensors[whole].n_bytes], [0], [steps]))
