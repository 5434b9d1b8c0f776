"""Where the cycles of a CPU layer go: compute, stalls on weights, on code and on activations, and overhead.

    cycles = work factors * zero-wait cycles + weight stalls + fetch stalls + data stalls + overhead per operator

The work factors belong to a stack on a core (its kernels against the counted ones), the stalls belong to the board,
the overhead to the runtime. Every term is rounded to whole cycles, so that sums are exact in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.counts import Counts
from tinysim.cost.traffic import Traffic, data_beyond_cache, weights_beyond_cache
from tinysim.network.table import LayerTable

__all__ = [
    "KERNELS",
    "CpuCycles",
    "MemoryPath",
    "Real",
    "StackFactors",
    "blended_path",
    "cpu_cycles",
    "kernel_codes",
    "per_output_cycles",
    "stall_cycles",
]

Floats = NDArray[np.float64]
Real = float | Floats

#: Libraries have kernels of their own for an image's or a spectrogram's few channels, where im2col rows are short.
STEM_CHANNELS = 4
#: Kinds of kernel that a stack has a factor for.
KERNELS = ("conv", "conv_1d", "stem", "mono_stem", "pointwise", "depthwise", "matmul", "other")
_CODE = {name: code for code, name in enumerate(KERNELS)}
#: Requantization, bias and addressing of an output: 41 to 53 cycles in CMSIS-NN's convolutions on a Cortex-M4, less the
#: tail of the last channels.
OUTPUT_CYCLES = 40.0
#: loops of a kernel with what they call, at most; a cache that holds them hides the code's memory
KERNEL_CODE_BYTES = 4096


@dataclass(frozen=True)
class MemoryPath:
    """What an access costs beyond a zero-wait-state one; numbers, or arrays with a leading axis for a sweep."""

    wait_cycles: Real = 0.0
    """wait states of one access of the array [cycle]"""
    line_bytes: Real = 4.0
    """bytes that one access delivers [B]"""
    cache_bytes: Real = 0.0
    """cache between core and memory [B], 0 for none"""
    exposure: Real = 1.0
    """fraction of the wait that the core sees (prefetch and write buffers hide the rest) [1]"""


def blended_path(paths: Sequence[MemoryPath], shares: Floats) -> MemoryPath:
    """The path of layers whose bytes lie in several memories.

    wait per byte = sum over memories of share * wait / line

    shares [1]: share of each layer's bytes in each memory, shape (n_memories, n); the result's fields have shape (n,).
    All paths have the exposure of the first: it belongs to what is read, not to where it lies.

    >>> near, far = MemoryPath(), MemoryPath(wait_cycles=80.0, line_bytes=32.0)
    >>> blended_path([near, far], np.array([[1.0, 0.5], [0.0, 0.5]])).wait_cycles.tolist()
    [0.0, 1.25]
    """
    per_byte = [np.asarray(path.wait_cycles / path.line_bytes, dtype=np.float64) for path in paths]
    wait: Floats = sum((share * w for share, w in zip(shares, per_byte, strict=True)), np.zeros(shares.shape[1:]))
    caches = [np.where(share > 0, path.cache_bytes, 0.0) for share, path in zip(shares, paths, strict=True)]
    return MemoryPath(wait, 1.0, np.max(caches, axis=0), paths[0].exposure)


@dataclass(frozen=True)
class StackFactors:
    """What a runtime on a core adds to the counted kernels."""

    conv: Real = 1.0
    """executed over counted cycles, k x k convolutions [1]"""
    conv_1d: Real = 1.0
    """the same for 1 x k and k x 1 convolutions [1]"""
    stem: Real = 1.0
    """the same for convolutions of two to `STEM_CHANNELS` input channels [1]"""
    mono_stem: Real = 1.0
    """the same for convolutions of one input channel, whose im2col copies byte by byte [1]"""
    pointwise: Real = 1.0
    """the same for 1 x 1 convolutions [1]"""
    depthwise: Real = 1.0
    """the same for depthwise convolutions [1]"""
    matmul: Real = 1.0
    """the same for fully connected, matmul and recurrent layers [1]"""
    other: Real = 1.0
    """the same for everything else [1]"""
    per_output: Real = 1.0
    """the same for what convolutions of any kind do once per output, which the factors above leave out [1]"""
    op_overhead_cycles: Real = 0.0
    """dispatch, parameter set-up and checks per operator [cycle]"""
    inference_overhead_cycles: Real = 0.0
    """once per inference [cycle]"""


@dataclass(frozen=True, eq=False)
class CpuCycles:
    """Whole cycles per layer by cause, each of shape (..., n)."""

    compute: Floats
    weight_stall: Floats
    fetch_stall: Floats
    data_stall: Floats
    overhead: Floats

    @property
    def total(self) -> Floats:
        """Sum of the causes."""
        total: Floats = self.compute + self.weight_stall + self.fetch_stall + self.data_stall + self.overhead
        return total


def stall_cycles(missed_bytes: Real, path: MemoryPath) -> Floats:
    """Stall of reading bytes that no cache holds.

    N = missed / line * wait * exposure

    missed_bytes [B], shape (..., n). Valid for sequential reads of whole lines.
    Source: flash access with a read buffer of one line, e.g. ST RM0432 sec. 3.3.3.

    >>> stall_cycles(64.0, MemoryPath(wait_cycles=5, line_bytes=16)).item()
    20.0
    """
    stall: Floats = np.asarray(missed_bytes, dtype=np.float64) / path.line_bytes * path.wait_cycles * path.exposure
    return stall


def per_output_cycles(table: LayerTable, zero_wait_cycles: Floats) -> Floats:
    """Of a convolution's cycles, those spent once per output rather than once per multiply-accumulate.

    N = min(40 * outputs, zero_wait_cycles / 2), 0 for other kinds

    zero_wait_cycles [cycle], shape (..., n). Half is the bound: short dot products end in the same code.
    Source: executed instructions of CMSIS-NN's int8 convolutions on a Cortex-M4 (see docs/calibration.md).
    """
    outputs = np.where(table.is_family("conv"), table.out_elements, 0.0)
    share: Floats = np.minimum(OUTPUT_CYCLES * outputs, 0.5 * zero_wait_cycles)
    return share


def kernel_codes(table: LayerTable) -> NDArray[np.int64]:
    """Which of `KERNELS` each row of a table runs on, shape (n,)."""
    conv = table.is_kind("conv2d", "transpose_conv")
    area = table.kernel_h * table.kernel_w
    line = (table.kernel_h == 1) | (table.kernel_w == 1)
    few = np.where(table.in_c == 1, _CODE["mono_stem"], _CODE["stem"])
    square = np.where(table.in_c <= STEM_CHANNELS, few, _CODE["conv"])
    conv_code = np.where(area == 1, _CODE["pointwise"], np.where(line, _CODE["conv_1d"], square))
    code = np.where(table.is_family("matmul", "recurrent"), _CODE["matmul"], _CODE["other"])
    code = np.where(table.is_kind("depthwise_conv2d"), _CODE["depthwise"], code)
    return np.where(conv, conv_code, code)


def work_cycles(table: LayerTable, zero_wait_cycles: Floats, factors: StackFactors) -> Floats:
    """Cycles of the counted work after the stack's factors, shape (..., n)."""
    values = [np.atleast_1d(getattr(factors, name)) for name in KERNELS]
    factor = np.concatenate(np.broadcast_arrays(*values), axis=-1)[..., kernel_codes(table)]
    outputs = per_output_cycles(table, zero_wait_cycles)
    cycles: Floats = factor * (zero_wait_cycles - outputs) + factors.per_output * outputs
    return cycles


def uncached_code(cache_bytes: Real) -> Floats:
    """Share of a kernel's loop code that an instruction cache does not hold.

    share = clip(code / cache - 1, 0, 1), code = `KERNEL_CODE_BYTES`; 1 without a cache. cache_bytes [B], broadcasts.
    Source: as `tinysim.cost.traffic.cache_misses`, for code that is run again and again.

    >>> [uncached_code(kib * 1024.0).item() for kib in (0, 1, 4, 16)]
    [1.0, 1.0, 0.0, 0.0]
    """
    cache = np.asarray(cache_bytes, dtype=np.float64)
    ratio = KERNEL_CODE_BYTES / np.where(cache > 0, cache, 1.0) - 1.0
    share: Floats = np.clip(ratio, 0.0, 1.0)
    return share


def cpu_cycles(
    table: LayerTable,
    counts: Counts,
    traffic: Traffic,
    zero_wait_cycles: Floats,
    *,
    factors: StackFactors,
    weights: MemoryPath,
    code: MemoryPath,
    activations: MemoryPath,
    priced: NDArray[np.bool_] | None = None,
) -> CpuCycles:
    """Cycles of each layer by cause.

    table: n layers; counts, traffic: of shape (n,); zero_wait_cycles: cycles of the counts with ideal memory, shape
    (n,) [cycle]. `priced`: mask of the layers that run (False: folded away by the compiler). Parameters may carry a
    leading axis of shape (k, 1); the result then has shape (k, n).

    Stalls: weights by missed lines; code by taken branches, each of which may leave the fetched line, unless a cache
    holds the loops; activations by the lines that pass their cache (`data_beyond_cache`).
    """
    runs = np.ones(len(table), dtype=bool) if priced is None else priced
    missed = weights_beyond_cache(table, traffic, cache_bytes=weights.cache_bytes)
    uncached = uncached_code(code.cache_bytes)
    fetch = counts.branches_taken * np.asarray(code.wait_cycles, dtype=np.float64) * code.exposure * uncached
    data = np.add(*data_beyond_cache(table, traffic, cache_bytes=activations.cache_bytes))

    def whole(values: Real) -> Floats:
        rounded: Floats = np.rint(np.where(runs, values, 0.0))
        return rounded

    compute = whole(work_cycles(table, zero_wait_cycles, factors))
    return CpuCycles(
        compute=compute,
        weight_stall=whole(stall_cycles(missed, weights)),
        fetch_stall=whole(fetch),
        data_stall=whole(stall_cycles(data, activations)),
        overhead=whole(np.broadcast_to(factors.op_overhead_cycles, compute.shape)),
    )
