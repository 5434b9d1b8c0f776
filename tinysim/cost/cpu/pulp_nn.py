"""PULP-NN, 8 bit, on a cluster of eight RI5CY cores: what the busiest core executes, since the others wait for it.

A tile is four filters by two pixels: six loads and eight 4-way dot products (`pv.sdotusp.b`) per step of four inputs,
in a hardware loop whose loads post-increment. Convolutions share the output's rows among the cores, and each copies two
patches before a product; 1 x 1 convolutions read the input itself and also halve rows that eight cores leave unequal;
depthwise convolutions and linear layers share channels. Batch normalization scales an output: multiply, shift, clip.
Operands lie in the shared L1 memory, where tiling tools put them by DMA.

Kinds and shapes without a PULP-NN kernel are priced as CMSIS-NN's plain C on one core.
Source: github.com/pulp-platform/pulp-nn, 32bit/src @71609e6, depthwise @1bca241, average pool @e5c374f,
max pool @6169bec, 1 x 1 @4b2334c; which kernel serves a layer: github.com/pulp-platform/dory, its PULP layer templates.
"""

from __future__ import annotations

import numpy as np

from tinysim.cost.cpu import cmsis_nn, tflm
from tinysim.cost.cpu.geometry import taps_inside
from tinysim.cost.cpu.kernel import SELECTIONS, Kernel, Mask, Rows, Trips, select_for
from tinysim.network.table import Ints

__all__ = ["CLUSTER_CORES", "LIBRARY", "conv_tiles", "depthwise", "linear", "pointwise_tiles"]

#: name under which the selections are registered
LIBRARY = "pulp-nn"
#: cores that share a layer
CLUSTER_CORES = 8


def _share(units: Ints) -> Ints:
    """Units of the busiest core, where the kernel divides by all cores and rounds up."""
    return -(-units // CLUSTER_CORES)


def _share_of_few(units: Ints, *, mask_all: bool) -> Ints:
    """The same where the kernel divides by a power of two not above the units, one more if its mask finds a rest.

    mask_all: it masks with all cores less one (max pool, add), not with those in use less one (average pool).
    """
    used = np.minimum(units, CLUSTER_CORES)
    shift = (used >= 2).astype(np.int64) + (used >= 4) + (used >= 8)
    mask = CLUSTER_CORES - 1 if mask_all else used - 1
    share: Ints = np.minimum((units >> shift) + (units & mask != 0), units)
    return share


def _tiles(pairs: Ints, single_pixels: Ints, out_c: Ints, patch: Ints) -> Trips:
    """Loops of `pulp_nn_matmul` over pairs of pixels, and of the code for a pixel left over."""
    tiles, left, single = pairs * (out_c // 4), pairs * (out_c % 4), single_pixels * out_c
    steps, tail = patch // 4, patch % 4
    return {
        "pair": pairs,
        "tile": tiles,
        "tile_step": tiles * steps,
        "tile_tail": tiles * tail,
        "left": left,
        "left_step": left * steps,
        "left_tail": left * tail,
        "single": single,
        "single_step": single * steps,
        "single_tail": single * tail,
    }


def conv_tiles(rows: Rows, path: str) -> Trips:
    """Products of `pulp_nn_conv_Ho_parallel`."""
    pixels = _share(rows.out_h) * rows.out_w
    patch = rows.kernel_h * rows.kernel_w * rows.in_c
    tiles = _tiles(rows.batch * (pixels // 2), rows.batch * (pixels % 2), rows.out_c, patch)
    return {"call": rows.batch, **tiles}


def im2col(rows: Rows, path: str) -> Trips:
    """Copies of `pulp_nn_conv_Ho_parallel`: a run per kernel row inside, per tap where the window meets the padding.

    The first core has the rows that meet the upper padding.
    """
    mine = _share(rows.out_h)
    top = np.minimum(rows.pad_top, mine)
    border = top * rows.out_w + (mine - top) * np.minimum(rows.pad_left + rows.pad_right, rows.out_w)
    inside = mine * rows.out_w - border
    by_tap = rows.batch * border * rows.kernel_h * rows.kernel_w
    by_row, run = rows.batch * inside * rows.kernel_h, rows.kernel_w * rows.in_c
    return {
        "pixel": rows.batch * mine * rows.out_w,
        "run": by_tap + by_row,
        "word": by_tap * (rows.in_c // 4) + by_row * (run // 4),
        "byte": by_tap * (rows.in_c % 4) + by_row * (run % 4),
    }


def pointwise_tiles(rows: Rows, path: str) -> Trips:
    """Products of `pulp_nn_pointwise_HoWo_parallel`: pairs of cores halve the rows unless they are a multiple of 8."""
    halved = (rows.out_h % CLUSTER_CORES != 0) & (rows.out_w > 1)
    height = np.where(halved, -(-rows.out_h // (CLUSTER_CORES // 2)), _share(rows.out_h)) * rows.batch
    width = np.where(halved, rows.out_w - rows.out_w // 2, rows.out_w)
    return {"call": rows.batch, **_tiles(height * (width // 2), height * (width % 2), rows.out_c, rows.in_c)}


def depthwise(rows: Rows, path: str) -> Trips:
    """Loops of `pulp_nn_depthwise_generic`: a channel's column of windows is copied, then multiplied down the image."""
    channels = rows.batch * _share(rows.out_c)
    columns = channels * rows.out_w
    fill = columns * (rows.in_h + rows.pad_top + rows.pad_bottom)
    border = np.minimum(-(-rows.pad_left // rows.stride_w) + rows.pad_right, rows.out_w)
    taps, outputs = rows.kernel_h * rows.kernel_w, columns * rows.out_h
    return {
        "call": rows.batch,
        "channel": channels,
        "column": columns,
        "fill_row": fill,
        "fill_word": fill * -(-rows.kernel_w // 4),
        "border_row": channels * border * rows.in_h,
        "output": outputs,
        "step": outputs * np.maximum(taps // 4, 1),
        "tail": outputs * (taps % 4),
    }


def linear(rows: Rows, path: str) -> Trips:
    """Loops of `pulp_nn_linear`."""
    products = rows.batch * rows.in_h * rows.in_w
    outputs = products * _share(rows.out_c)
    return {
        "call": products,
        "output": outputs,
        "step": outputs * (rows.in_c // 4),
        "tail": outputs * (rows.in_c % 4),
    }


def avg_pool(rows: Rows, path: str) -> Trips:
    """Loops of `pulp_nn_avgpool`."""
    kernel_rows, kernel_columns = taps_inside(rows)
    mine, of = _share_of_few(rows.out_h, mask_all=False) * rows.batch, np.maximum(rows.out_h, 1)
    return {
        "call": rows.batch,
        "pixel": mine * rows.out_w,
        "output": mine * rows.out_w * rows.out_c,
        "window_row": mine * kernel_rows / of * rows.out_w * rows.out_c,
        "tap": mine * kernel_rows / of * kernel_columns * rows.out_c,
    }


def mean(rows: Rows, path: str) -> Trips:
    """`pulp_nn_avgpool` over the whole image: a single output row, so a single core."""
    return {
        "call": rows.batch,
        "pixel": rows.batch,
        "output": rows.out_elements,
        "window_row": rows.out_elements * rows.in_h,
        "tap": rows.in_elements,
    }


def max_pool(rows: Rows, path: str) -> Trips:
    """Loops of `pulp_nn_maxpool`: along the rows in place, then down the columns."""
    across = rows.batch * _share_of_few(rows.in_h, mask_all=True) * rows.out_w
    down = rows.batch * _share_of_few(rows.out_h, mask_all=True)
    line = rows.out_w * rows.in_c
    compared_across, compared_down = across * (rows.kernel_w - 1), down * (rows.kernel_h - 1)
    return {
        "call": rows.batch,
        "window": across + down,
        "copy_byte": across * rows.in_c + down * line,
        "compare": compared_across + compared_down,
        "compare_word": compared_across * (rows.in_c // 4) + compared_down * (line // 4),
        "compare_byte": compared_across * (rows.in_c % 4) + compared_down * (line % 4),
    }


def add(rows: Rows, path: str) -> Trips:
    """Loops of `pulp_nn_add`."""
    height = np.maximum(rows.out_h, 1)
    return {"call": rows.batch, "element": rows.out_elements // height * _share_of_few(height, mask_all=True)}


_CONV_TILES = Kernel("pulp_nn", "pulp_nn_matmul", conv_tiles)
_POINTWISE_TILES = Kernel("pulp_nn", "pulp_nn_matmul", pointwise_tiles)
_IM2COL = Kernel("pulp_nn", "pulp_nn_im2col", im2col)
_DEPTHWISE = Kernel("pulp_nn", "pulp_nn_depthwise_generic", depthwise)


def _otherwise(kind: str, rows: Rows, path: str, mask: Mask) -> list[tuple[Kernel, Mask | None]]:
    """CMSIS-NN's kernels of a kind for the rows of `mask`."""
    found = SELECTIONS[cmsis_nn.LIBRARY if (cmsis_nn.LIBRARY, kind) in SELECTIONS else tflm.LIBRARY, kind](rows, path)
    return [(kernel, mask if own is None else own & mask) for kernel, own in found]


@select_for(LIBRARY, "conv2d")
def select_conv2d(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """DORY's choice: the pointwise kernel for 1 x 1 windows of stride 1, else the one with im2col."""
    fits = (rows.groups == 1) & (rows.dilation_h == 1) & (rows.dilation_w == 1) & (path == "xpulp")
    pointwise = fits & (rows.kernel_h * rows.kernel_w * rows.stride_h * rows.stride_w == 1)
    copied = fits & ~pointwise
    own: list[tuple[Kernel, Mask | None]] = [(_POINTWISE_TILES, pointwise), (_CONV_TILES, copied), (_IM2COL, copied)]
    return own + _otherwise("conv2d", rows, path, ~fits)


@select_for(LIBRARY, "depthwise_conv2d")
def select_depthwise_conv2d(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """The generic kernel, channel multiplier 1."""
    fits = (rows.channel_multiplier == 1) & (rows.dilation_h == 1) & (rows.dilation_w == 1) & (path == "xpulp")
    return [(_DEPTHWISE, fits), *_otherwise("depthwise_conv2d", rows, path, ~fits)]


def _on_cluster(kernel: Kernel, kind: str) -> None:
    """Register `kernel` for a kind on the cluster; other cores run CMSIS-NN's."""

    @select_for(LIBRARY, kind)
    def selection(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
        if path == "xpulp":
            return [(kernel, None)]
        return _otherwise(kind, rows, path, np.ones(len(rows.kind), dtype=bool))


_on_cluster(Kernel("pulp_nn", "pulp_nn_linear", linear), "fully_connected")
_on_cluster(Kernel("pulp_nn", "pulp_nn_avgpool", avg_pool), "avg_pool2d")
_on_cluster(Kernel("pulp_nn", "pulp_nn_avgpool", mean), "mean")
_on_cluster(Kernel("pulp_nn", "pulp_nn_maxpool", max_pool), "max_pool2d")
_on_cluster(Kernel("pulp_nn", "pulp_nn_add", add), "add")
