"""Bytes that a CPU kernel moves per layer and memory, from the loop order of its library.

The weights of a convolution are read again for every *pass* over the output pixels; a pass makes as many pixels as the
kernel keeps accumulators for. Activations and im2col buffers make up the rest of the loads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.counts import Counts
from tinysim.network.table import LayerTable

__all__ = [
    "LoopOrder",
    "Traffic",
    "cache_misses",
    "data_beyond_cache",
    "layer_traffic",
    "loop_order",
    "miss_ratio",
    "weights_beyond_cache",
]

Floats = NDArray[np.float64]
Real = float | Floats

#: Output pixels made per reading of the weights: arm_nn_mat_mult_kernel_s8_s16 and arm_nn_mat_mult_nt_t_s8 keep two
#: columns (CMSIS-NN Source/NNSupportFunctions); the Helium version keeps four; TFLM's reference loops keep one.
_PIXELS_PER_PASS = {"cmsis-nn": 2, "nnom": 2, "cmsis-nn-armclang": 4, "cmsis-nn-helium": 4}
#: arm_nn_mat_mult_nt_t_s8 without Helium keeps this many rows of weights while it goes through all pixels.
_WEIGHT_ROWS = 2
#: A cache keeps nothing of a working set this many times its size, and all of one this many times smaller.
_CACHE_REACH = 8.0


@dataclass(frozen=True)
class LoopOrder:
    """In which order a library's convolutions go through pixels and weights."""

    pixels: int = 1
    """output pixels made per reading of the weights"""
    weights_outermost: bool = False
    """whether a 1 x 1 convolution goes through all pixels with two rows of weights before it takes the next two"""


@dataclass(frozen=True, eq=False)
class Traffic:
    """Bytes per layer, each of shape (n,)."""

    weight_read_bytes: Floats
    """read from the memory that holds the weights, before any cache"""
    sram_read_bytes: Floats
    """read from the memory that holds activations and buffers"""
    sram_write_bytes: Floats
    """written there"""
    weight_reuse_bytes: Floats
    """weights that the kernel reads between two readings of one of them"""


def loop_order(library: str, *, helium: bool = False, counted: bool = True) -> LoopOrder:
    """How the convolutions of a library loop.

    counted: whether a runtime's kernels are the library's own; the order of others is unknown, so pixels come first.

    >>> loop_order("cmsis-nn"), loop_order("tflm-reference").pixels
    (LoopOrder(pixels=2, weights_outermost=True), 1)
    """
    pixels = _PIXELS_PER_PASS.get("cmsis-nn-helium" if helium and library == "cmsis-nn" else library, 1)
    return LoopOrder(pixels, weights_outermost=counted and library == "cmsis-nn" and not helium)


def layer_traffic(table: LayerTable, counts: Counts, *, order: LoopOrder) -> Traffic:
    """Split the loaded bytes of each layer into weights and the rest.

    weights read [B] = weight bytes * passes;
    passes = ceil(output pixels / pixels of the order) for conv2d, output pixels for depthwise_conv2d,
    rows for fully_connected, input pixels for transpose_conv, time steps for recurrent layers.
    All other loads go to SRAM. Never more than the loaded bytes. Between two readings of a weight lie all of the
    layer's, or two rows of them in a 1 x 1 convolution with the weights outermost.

    table: n layers. counts: arrays of shape (n,). order: see `loop_order`. Returns arrays of shape (n,).
    Source: loop order of CMSIS-NN Source/ConvolutionFunctions and tflite-micro kernels/internal/reference.
    """
    out_pixels = table.batch * table.out_h * table.out_w
    in_pixels = table.batch * table.in_h * table.in_w
    passes = np.where(table.is_kind("conv2d"), -(-out_pixels // order.pixels), 0)
    passes = np.where(table.is_kind("depthwise_conv2d"), out_pixels, passes)
    passes = np.where(table.is_kind("transpose_conv") | table.is_family("matmul", "recurrent"), in_pixels, passes)
    weights = np.minimum(table.weight_bytes * passes, counts.load_bytes)
    reuse = table.weight_bytes.astype(np.float64)
    if order.weights_outermost:
        rows = _WEIGHT_ROWS * table.in_c * table.weight_bits / 8
        pointwise = table.is_kind("conv2d") & (table.kernel_h * table.kernel_w == 1)
        reuse = np.where(pointwise, np.minimum(rows, reuse), reuse)
    return Traffic(
        weight_read_bytes=weights,
        sram_read_bytes=counts.load_bytes - weights,
        sram_write_bytes=counts.store_bytes,
        weight_reuse_bytes=reuse,
    )


def miss_ratio(reuse_bytes: Real, cache_bytes: Real) -> Floats:
    """Share of repeated reads that miss a cache when this much is read between two readings of a byte.

    ratio = clip(ln(8 reuse / cache) / ln 64, 0, 1), 1 without a cache

    One stream under LRU would miss all or nothing, at reuse = cache; other streams, few ways and pseudo-random
    replacement blur the step to both sides. Half misses where reuse = cache.
    reuse_bytes, cache_bytes [B], 0 for no cache. Broadcasts.
    Source: LRU stack distance, Hennessy & Patterson, Computer Architecture, app. B; the width of the step was chosen
    on the shipped measurements of Cortex-M7 boards (docs/calibration.md).

    >>> miss_ratio(np.array([100.0, 1024.0, 8192.0]), 1024.0).tolist()
    [0.0, 0.5, 1.0]
    """
    cache = np.asarray(cache_bytes, dtype=np.float64)
    reuse = np.maximum(np.asarray(reuse_bytes, dtype=np.float64), 1e-9)
    blurred = np.log(_CACHE_REACH * reuse / np.where(cache > 0, cache, 1.0)) / (2.0 * np.log(_CACHE_REACH))
    ratio: Floats = np.where(cache > 0, np.clip(blurred, 0.0, 1.0), 1.0)
    return ratio


def cache_misses(
    read_bytes: Real, *, footprint_bytes: Real, cache_bytes: Real, reuse_bytes: Real | None = None
) -> Floats:
    """Bytes that miss a cache when a footprint is read again and again.

    missed = footprint + (read - footprint) * miss_ratio(reuse, cache)

    A first reading always misses (compulsory misses). read_bytes, footprint_bytes [B]; reuse_bytes: read between two
    readings of a byte, the footprint if None [B]; cache_bytes [B], 0 for no cache. Broadcasts.
    Source: see `miss_ratio`.

    >>> cache_misses(1000.0, footprint_bytes=100.0, cache_bytes=1024.0).item()
    100.0
    >>> cache_misses(1000.0, footprint_bytes=512.0, cache_bytes=64.0).item()
    1000.0
    """
    read = np.asarray(read_bytes, dtype=np.float64)
    footprint = np.minimum(footprint_bytes, read)
    missed: Floats = footprint + (read - footprint) * miss_ratio(
        footprint if reuse_bytes is None else reuse_bytes, cache_bytes
    )
    return missed


def weights_beyond_cache(table: LayerTable, traffic: Traffic, *, cache_bytes: Real) -> Floats:
    """Weight bytes read from their memory behind a cache, shape (..., n).

    table: n layers. traffic: of shape (n,). cache_bytes [B], 0 for none; may carry leading axes.
    """
    return cache_misses(
        traffic.weight_read_bytes,
        footprint_bytes=table.weight_bytes,
        cache_bytes=cache_bytes,
        reuse_bytes=traffic.weight_reuse_bytes,
    )


def data_beyond_cache(table: LayerTable, traffic: Traffic, *, cache_bytes: Real) -> tuple[Floats, Floats]:
    """Activation bytes read from and written to their memory behind a cache, two arrays of shape (..., n).

    read = inputs * (1 + (ceil(k / s) - 1) * miss_ratio(rows, cache)) + output;  written = output

    The rows of the input that a window needs stay in the cache if they fit, else each is read again for every output
    row that it serves. A written line is fetched first (write-allocate) and written back once. Without a cache, all
    that the kernel reads and writes. Never more reads than the kernel's own, besides those lines.
    cache_bytes [B], 0 for none; may carry leading axes.
    Source: write-back caches with write-allocate (Arm Cortex-M7 TRM r1p2, sec. 5.6); row reuse as in Hennessy &
    Patterson, Computer Architecture, app. B.

    >>> table = LayerTable.from_columns(dict(kind=["conv2d"], in_h=8, in_w=8, in_c=4, out_h=8, out_w=8, out_c=2,
    ...                                      kernel_h=3, kernel_w=3))
    >>> moved = Traffic(np.zeros(1), np.array([9e3]), np.array([128.0]))
    >>> [x.item() for x in data_beyond_cache(table, moved, cache_bytes=1024.0)]
    [384.0, 128.0]
    >>> [x.item() for x in data_beyond_cache(table, moved, cache_bytes=0.0)]
    [9000.0, 128.0]
    """
    cache = np.asarray(cache_bytes, dtype=np.float64)
    cached = cache > 0
    rows = table.kernel_h * table.in_w * table.in_c * table.activation_bits / 8
    again = np.ceil(table.kernel_h / np.maximum(table.stride_h, 1)) - 1.0
    spilt = miss_ratio(rows, cache)
    second = table.in2_elements * table.activation_bits / 8
    inputs = (table.in_bytes - second) * (1.0 + again * spilt) + second
    written = np.where(cached, np.minimum(table.out_bytes, traffic.sram_write_bytes), traffic.sram_write_bytes)
    read = np.where(cached, np.minimum(inputs, traffic.sram_read_bytes) + written, traffic.sram_read_bytes)
    return read, written
