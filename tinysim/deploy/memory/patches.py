"""Patch-based and row-streaming execution of a network's first layers, with the work that patches repeat.

Patches: Lin et al., "MCUNetV2", arXiv 2110.15352. The first `split` operators run tile by tile of the tensor they hand
on; neighbouring tiles share a halo, which is computed again. Streaming keeps the rows that windows still need in a
ring buffer per tensor and repeats nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysim.deploy.memory.buffers import Buffers, Ints, aligned, lifetimes
from tinysim.deploy.memory.regions import Region, needed_regions, split_tensor, tiles
from tinysim.network.graph import Network

__all__ = ["PatchWork", "patch_buffers", "patch_work", "streaming_buffers"]


@dataclass(frozen=True, eq=False)
class PatchWork:
    """What the operators before the split do in all tiles together."""

    regions: dict[int, Region]
    """needed part of each tensor, by tensor index"""
    macs: Ints
    """multiply-accumulates of each operator of the network, repeated ones included, shape (n_ops,)"""
    plain_macs: Ints
    """the same without patches"""
    outputs: NDArray[np.float64]
    """computed share of each operator's output, above 1 with halos, shape (n_ops,)"""
    copied_bytes: int
    """of the network's input into tiles, borders as often as they are read, and of the last outputs out of them"""

    @property
    def overhead(self) -> float:
        """Share of additional multiply-accumulates."""
        return float(self.macs.sum() / max(1, self.plain_macs.sum()) - 1.0)


def patch_work(network: Network, split: int, rows: int, columns: int) -> PatchWork:
    """Regions and multiply-accumulates of the network with its first `split` operators in rows x columns tiles.

    MACs of a patched operator = its MACs per output pixel x pixels of its output over all tiles. Borders are exact:
    a tile at the image's edge computes no padding.

    Raises:
        InputError: the network cannot be split there, or has fewer pixels than tiles.
    """
    whole = split_tensor(network, split)
    _, height, width, _ = network.tensors[whole].shape
    regions = needed_regions(network, split, tiles(height, width, rows, columns))
    plain = network.table().macs
    macs, outputs = plain.copy(), np.ones(len(plain))
    for i, op in enumerate(network.ops[:split]):
        pixels = _pixels(network, op.outputs[0])
        computed = int(regions[op.outputs[0]].pixels.sum())
        macs[i] = plain[i] // pixels * computed
        outputs[i] = computed / pixels
    copied = network.tensors[whole].n_bytes
    for t in regions.keys() & set(network.inputs):
        copied += network.tensors[t].n_bytes // _pixels(network, t) * int(regions[t].pixels.sum())
    return PatchWork(regions, macs, plain, outputs, copied)


def _pixels(network: Network, tensor: int) -> int:
    return int(np.prod(network.tensors[tensor].shape[1:3]))


def patch_buffers(network: Network, work: PatchWork, split: int, *, alignment: int = 16) -> Buffers:
    """Lifetimes with the first `split` operators in tiles: tensors of the largest tile, but the split tensor whole.

    The split tensor fills up tile by tile, so it lives from the first operator on. The network's input counts as the
    tile of it that a patch reads: a camera or a decoder hands it over in parts.
    """
    buffers = lifetimes(network, alignment=alignment)
    whole = split_tensor(network, split)
    size, first, last = buffers.size.copy(), buffers.first.copy(), buffers.last.copy()
    for row, t in enumerate(buffers.tensor.tolist()):
        if t == whole:
            first[row] = 1
        elif t in work.regions:
            pixel_bytes = network.tensors[t].n_bytes // _pixels(network, t)
            size[row] = aligned(np.array(int(work.regions[t].pixels.max()) * pixel_bytes), alignment)
    return Buffers(size, first, last, buffers.tensor, buffers.name, buffers.root)


def streaming_buffers(network: Network, split: int, *, alignment: int = 16) -> Buffers:
    """Lifetimes with the first `split` operators row by row: a ring of rows per tensor, all alive together.

    An operator of kernel k, dilation d and stride s needs d (k - 1) + 1 rows at once, and s new ones per output row; a
    tensor that several operators read keeps the most rows, plus the delay between its readers.
    """
    buffers = lifetimes(network, alignment=alignment)
    whole = split_tensor(network, split)
    size, first, last = buffers.size.copy(), buffers.first.copy(), buffers.last.copy()
    # the rows of each tensor that one row of the split tensor needs bound the ring, delays included
    height = network.tensors[whole].shape[1]
    row_tiles = tiles(height, network.tensors[whole].shape[2], height, 1)
    regions = needed_regions(network, split, row_tiles)
    table = network.table()
    reach: dict[int, int] = {}
    for i, op in enumerate(network.ops[:split]):
        window = int(table.dilation_h[i] * (table.kernel_h[i] - 1)) + 1
        readers = [t for t in op.inputs if t >= 0 and not network.tensors[t].is_constant]
        for t in readers:
            own = window if len(readers) == 1 else int((regions[t].bottom - regions[t].top).max())
            reach[t] = max(reach.get(t, 0), own)
    made = {op.outputs[0] for op in network.ops[:split]}
    for row, t in enumerate(buffers.tensor.tolist()):
        if t == whole:
            first[row] = 1
        elif t in reach and (t in made or t in network.inputs):
            rows = min(reach[t], network.tensors[t].shape[1])
            size[row] = aligned(np.array(network.tensors[t].n_bytes // network.tensors[t].shape[1] * rows), alignment)
            first[row], last[row] = min(1, first[row]), split
    return Buffers(size, first, last, buffers.tensor, buffers.name, buffers.root)
