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

__all__ = ["Traffic", "cache_misses", "data_beyond_cache", "layer_traffic", "pixels_per_pass"]

Floats = NDArray[np.float64]
Real = float | Floats

#: Output pixels made per reading of the weights: arm_nn_mat_mult_kernel_s8_s16 and arm_nn_mat_mult_nt_t_s8 keep two
#: columns (CMSIS-NN Source/NNSupportFunctions); the Helium version keeps four; TFLM's reference loops keep one.
_PIXELS_PER_PASS = {"cmsis-nn": 2, "nnom": 2, "cmsis-nn-armclang": 4, "cmsis-nn-helium": 4}


@dataclass(frozen=True, eq=False)
class Traffic:
    """Bytes per layer, each of shape (n,)."""

    weight_read_bytes: Floats
    """read from the memory that holds the weights, before any cache"""
    sram_read_bytes: Floats
    """read from the memory that holds activations and buffers"""
    sram_write_bytes: Floats
    """written there"""


def pixels_per_pass(library: str, *, helium: bool = False) -> int:
    """Output pixels that a convolution kernel makes per reading of its weights.

    >>> pixels_per_pass("cmsis-nn"), pixels_per_pass("tflm-reference")
    (2, 1)
    """
    return _PIXELS_PER_PASS.get("cmsis-nn-helium" if helium and library == "cmsis-nn" else library, 1)


def layer_traffic(table: LayerTable, counts: Counts, *, pixels: int) -> Traffic:
    """Split the loaded bytes of each layer into weights and the rest.

    weights read [B] = weight bytes * passes;
    passes = ceil(output pixels / pixels) for conv2d, output pixels for depthwise_conv2d,
    rows for fully_connected, input pixels for transpose_conv, time steps for recurrent layers.
    All other loads go to SRAM. Never more than the loaded bytes.

    table: n layers. counts: arrays of shape (n,). pixels: see `pixels_per_pass`. Returns arrays of shape (n,).
    Source: loop order of CMSIS-NN Source/ConvolutionFunctions and tflite-micro kernels/internal/reference.
    """
    out_pixels = table.batch * table.out_h * table.out_w
    in_pixels = table.batch * table.in_h * table.in_w
    passes = np.where(table.is_kind("conv2d"), -(-out_pixels // pixels), 0)
    passes = np.where(table.is_kind("depthwise_conv2d"), out_pixels, passes)
    passes = np.where(table.is_kind("transpose_conv") | table.is_family("matmul", "recurrent"), in_pixels, passes)
    weights = np.minimum(table.weight_bytes * passes, counts.load_bytes)
    return Traffic(
        weight_read_bytes=weights, sram_read_bytes=counts.load_bytes - weights, sram_write_bytes=counts.store_bytes
    )


def cache_misses(read_bytes: Real, *, footprint_bytes: Real, cache_bytes: Real) -> Floats:
    """Bytes that miss a cache when a footprint is streamed again and again.

    missed = footprint + (read - footprint) * clip(footprint / cache - 1, 0, 1)

    A footprint that fits is read once (compulsory misses). Streaming twice the cache under LRU misses always; between,
    the miss ratio rises linearly (a random-like replacement keeps part of the stream).
    read_bytes, footprint_bytes [B], cache_bytes [B], 0 for no cache. Broadcasts.
    Source: LRU stack-distance argument, Hennessy & Patterson, Computer Architecture, app. B.

    >>> cache_misses(1000.0, footprint_bytes=100.0, cache_bytes=256.0).item()
    100.0
    >>> cache_misses(1000.0, footprint_bytes=512.0, cache_bytes=256.0).item()
    1000.0
    """
    read = np.asarray(read_bytes, dtype=np.float64)
    footprint = np.minimum(footprint_bytes, read)
    cache = np.asarray(cache_bytes, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(cache > 0, footprint / np.where(cache > 0, cache, 1.0) - 1.0, 1.0)
    missed: Floats = footprint + (read - footprint) * np.clip(ratio, 0.0, 1.0)
    return missed


def data_beyond_cache(table: LayerTable, traffic: Traffic, *, cache_bytes: Real) -> tuple[Floats, Floats]:
    """Activation bytes read from and written to their memory behind a cache, two arrays of shape (..., n).

    read = inputs * (1 + (ceil(k / s) - 1) * clip(rows / cache - 1, 0, 1)) + output;  written = output

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
    spilt = np.clip(rows / np.where(cached, cache, 1.0) - 1.0, 0.0, 1.0)
    second = table.in2_elements * table.activation_bits / 8
    inputs = (table.in_bytes - second) * (1.0 + again * spilt) + second
    written = np.where(cached, np.minimum(table.out_bytes, traffic.sram_write_bytes), traffic.sram_write_bytes)
    read = np.where(cached, np.minimum(inputs, traffic.sram_read_bytes) + written, traffic.sram_read_bytes)
    return read, written
