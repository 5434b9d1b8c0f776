"""Which part of each tensor a part of a later one needs: receptive fields with exact borders, as columns over tiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinysim.deploy.memory.buffers import Ints
from tinysim.errors import InputError
from tinysim.network.graph import Network, Op
from tinysim.network.kinds import FAMILY

__all__ = ["Region", "needed_regions", "patchable_splits", "split_tensor", "tiles"]


@dataclass(frozen=True, eq=False)
class Region:
    """Rows top..bottom and columns left..right (ends excluded) of an image tensor, each of shape (n_tiles,)."""

    top: Ints
    bottom: Ints
    left: Ints
    right: Ints

    @property
    def pixels(self) -> Ints:
        """Rows times columns, shape (n_tiles,)."""
        return (self.bottom - self.top) * (self.right - self.left)

    def united(self, other: Region | None) -> Region:
        """The smallest region that holds both."""
        if other is None:
            return self
        return Region(
            np.minimum(self.top, other.top),
            np.maximum(self.bottom, other.bottom),
            np.minimum(self.left, other.left),
            np.maximum(self.right, other.right),
        )


def tiles(height: int, width: int, rows: int, columns: int) -> Region:
    """A grid of tiles that covers an image once; sides differ by at most one.

    >>> tiles(5, 4, 2, 1).bottom.tolist()
    [3, 5]
    """
    if not (1 <= rows <= height and 1 <= columns <= width):
        raise InputError(f"{rows} x {columns} tiles of a {height} x {width} image; each side takes 1 to its length")
    down = -(-np.arange(rows + 1) * height // rows)
    across = -(-np.arange(columns + 1) * width // columns)
    top, left = np.repeat(down[:-1], columns), np.tile(across[:-1], rows)
    return Region(top, np.repeat(down[1:], columns), left, np.tile(across[1:], rows))


def split_tensor(network: Network, split: int) -> int:
    """The tensor that the first `split` operators hand on.

    Raises:
        InputError: more than one tensor crosses the split, or an operator before it is no window of an image.
    """
    made = {t for op in network.ops[:split] for t in op.outputs}
    crossing = made.intersection({t for op in network.ops[split:] for t in op.inputs} | set(network.outputs))
    late_input = any(set(op.inputs) & set(network.inputs) for op in network.ops[split:])
    if not 0 < split < len(network.ops) or len(crossing) != 1 or late_input:
        raise InputError(
            f"{network.name}: cannot split before operator {split}: a split hands on one tensor and nothing later "
            f"reads the network's input; here {len(crossing)} tensors cross"
        )
    for i, op in enumerate(network.ops[:split]):
        if not _is_window(network, op):
            raise InputError(f"{network.name}: operator {i} ({op.kind}) does not work on windows of an image")
    return crossing.pop()


def patchable_splits(network: Network) -> list[int]:
    """Operator indices before which the network can be split into patches and rest."""
    splits = []
    for split in range(1, len(network.ops)):
        if not _is_window(network, network.ops[split - 1]):
            break
        try:
            split_tensor(network, split)
        except InputError:
            continue
        splits.append(split)
    return splits


def _is_window(network: Network, op: Op) -> bool:
    image = all(len(network.tensors[t].shape) == 4 for t in op.outputs)
    plain = op.kind in {"conv2d", "depthwise_conv2d", "avg_pool2d", "max_pool2d", "pad"}
    return (
        len(op.outputs) == 1 and image and (plain or (FAMILY[op.kind] == "elementwise" and not _resizes(network, op)))
    )


def _resizes(network: Network, op: Op) -> bool:
    height, width = network.tensors[op.outputs[0]].shape[1:3]
    shapes = [network.tensors[t].shape for t in op.inputs if t >= 0 and not network.tensors[t].is_constant]
    return any(len(shape) != 4 or shape[1:3] != (height, width) for shape in shapes)


def needed_regions(network: Network, split: int, wanted: Region, *, padded: bool = False) -> dict[int, Region]:
    """Region of every tensor up to the split that tiles of the split tensor need, by tensor index.

    An operator's input rows are s t - p ... s (b - 1) + d (k - 1) - p for its output rows t ... b - 1, cut at the
    image's edges; with `padded` they are not cut, as where padding is part of a patch.

    wanted: tiles of the split tensor.
    """
    found = {split_tensor(network, split): wanted}
    table = network.table()
    for i in range(split - 1, -1, -1):
        op = network.ops[i]
        out = found[op.outputs[0]]
        side = {name: int(getattr(table, name)[i]) for name in ("kernel_h", "kernel_w", "stride_h", "stride_w")}
        for t in op.inputs:
            if t < 0 or network.tensors[t].is_constant:
                continue
            height, width = network.tensors[t].shape[1:3]
            reach_h = int(table.dilation_h[i]) * (side["kernel_h"] - 1)
            reach_w = int(table.dilation_w[i]) * (side["kernel_w"] - 1)
            top = out.top * side["stride_h"] - int(table.pad_top[i])
            left = out.left * side["stride_w"] - int(table.pad_left[i])
            bottom = (out.bottom - 1) * side["stride_h"] - int(table.pad_top[i]) + reach_h + 1
            right = (out.right - 1) * side["stride_w"] - int(table.pad_left[i]) + reach_w + 1
            region = Region(top, bottom, left, right)
            if not padded:
                region = Region(*_cut(top, bottom, height), *_cut(left, right, width))
            found[t] = region.united(found.get(t))
    return found


def _cut(low: Ints, high: Ints, length: int) -> tuple[Ints, Ints]:
    """The interval inside the image; one that lies in the padding alone is empty."""
    low = np.clip(low, 0, length)
    return low, np.maximum(low, np.clip(high, 0, length))
