"""Folded dataflow on an FPGA: every layer has its own unit, all run at once, and the slowest sets the pace.

A unit computes PE output channels from SIMD inputs per cycle; the folding of each layer is the architect's choice.
`fold` finds the cheapest foldings for a pace, `pipeline_cost` prices any. hls4ml's reuse factor is the same quantity
seen from the other side: multipliers = weights of a window / reuse.

Source: M. Blott et al., "FINN-R: an end-to-end deep-learning framework for exploration of quantized neural networks",
ACM TRETS 11 (2018) 16, sec. 4 (folding); J. Duarte et al., "Fast inference of deep neural networks in FPGAs for
particle physics", JINST 13 (2018) P07027, sec. 3 (reuse factor).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.spec import AXES
from tinysim.cost.accelerator.work import Work, work_of
from tinysim.errors import DoesNotFit, InputError

__all__ = ["Folding", "PipelineCost", "fold", "pipeline_cost"]

Array = npt.NDArray[Any]


class Folding(NamedTuple):
    """Parallelism of each layer's unit, shape (layer,)."""

    pe: Array
    """output channels at once [1]"""
    simd: Array
    """inputs of a window at once [1]"""

    @property
    def multipliers(self) -> int:
        """Multipliers of all units."""
        return int((self.pe * self.simd).sum())


class PipelineCost(NamedTuple):
    """Cycles of one image through all units, and of one image after another."""

    layer_cycles: Array
    """cycles in which each unit finishes an image [cycle]"""
    fill_cycles: Array
    """cycles from a unit's first input to its first output, as fast as its inputs come [cycle]"""
    interval_cycles: float
    """cycles from one image to the next in a full pipeline: those of the slowest unit [cycle]"""
    latency_cycles: float
    """cycles from an image's first input to its last output [cycle]"""
    multipliers: int
    """multipliers of all units"""
    weight_bytes: float
    """weights, all on the chip [byte]"""


def _sizes(work: Work) -> tuple[Array, Array, Array]:
    """Pixels, output channels and window inputs of each layer; a layer with nothing to do has one of each."""
    pick = {axis: np.maximum(work.extents[:, AXES.index(axis)], 1).astype(np.int64) for axis in AXES}
    return pick["rows"] * pick["columns"], pick["out_c"], pick["in_c"] * pick["taps"]


def pipeline_cost(folding: Folding, **columns: npt.ArrayLike) -> PipelineCost:
    """Price a folded network.

    layer: N = pixels * ceil(outputs / PE) * ceil(inputs / SIMD); interval = max N
    fill = interval * (rows before the first window is whole) / rows, latency = interval + sum of fills

    columns: those of `LayerTable`. Valid: streams of one image in row order, first-in-first-out buffers deep enough
    that no unit waits for one behind it.

    >>> cost = pipeline_cost(Folding(np.array([4]), np.array([9])), kind=["conv2d"], in_h=8, in_w=8, in_c=2, out_h=8,
    ...                      out_w=8, out_c=8, kernel_h=3, kernel_w=3, pad_top=1)
    >>> cost.layer_cycles.tolist(), cost.interval_cycles, cost.latency_cycles, cost.multipliers
    ([256.0], 256.0, 320.0, 36)
    """
    pads = np.asarray(columns.pop("pad_top", 0))
    work = work_of(**columns)
    pixels, outputs, inputs = _sizes(work)
    pe, simd = np.asarray(folding.pe), np.asarray(folding.simd)
    if (pe < 1).any() or (simd < 1).any():
        raise InputError("a folding takes 1 or more outputs and inputs at once")
    cycles = pixels * np.ceil(outputs / pe) * np.ceil(inputs / simd)
    cycles = np.where(work.macs > 0, cycles, 0.0)
    interval = float(cycles.max(initial=0.0))
    c = work.columns
    windowed = (c["kernel_h"] > 1) & (work.macs > 0)
    rows = np.where(windowed, np.maximum(c["kernel_h"] - pads, 1), 0)
    # An operator over the whole map (a dense layer, a mean) starts when all of it has come.
    rows = np.where((c["in_h"] > 1) & (c["out_h"] == 1), c["in_h"], rows)
    fill = interval * np.minimum(rows / c["in_h"], 1.0)
    return PipelineCost(
        layer_cycles=cycles,
        fill_cycles=fill,
        interval_cycles=interval,
        latency_cycles=interval + float(fill.sum()),
        multipliers=folding.multipliers,
        weight_bytes=float(work.weight_bytes.sum()),
    )


def fold(interval_cycles: float, **columns: npt.ArrayLike) -> Folding:
    """Fewest multipliers, layer by layer, with which every unit keeps to an interval.

    Foldings divide outputs and inputs, so that no unit idles in its last step; of equal ones the one with more inputs
    at once is taken (fewer partial sums). Exhaustive over the divisors.

    interval_cycles: cycles from image to image [cycle]. columns: those of `LayerTable`.

    Raises:
        DoesNotFit: a layer that even one multiplier per weight of a window cannot keep to it; it has too many pixels.

    >>> folding = fold(300, kind=["conv2d"], in_h=8, in_w=8, in_c=2, out_h=8, out_w=8, out_c=8, kernel_h=3, kernel_w=3)
    >>> folding.pe.tolist(), folding.simd.tolist(), folding.multipliers
    ([2], [18], 36)
    """
    columns.pop("pad_top", None)
    work = work_of(**columns)
    pe, simd = np.ones(len(work.kind), dtype=np.int64), np.ones(len(work.kind), dtype=np.int64)
    for i, (pixels, outputs, inputs) in enumerate(zip(*(x.tolist() for x in _sizes(work)), strict=True)):
        if not work.macs[i]:
            continue
        a, b = _divisors(outputs)[:, None], _divisors(inputs)[None, :]
        fits = pixels * (outputs // a) * (inputs // b) <= interval_cycles
        if not fits.any():
            raise DoesNotFit(
                f"layer {i}: {pixels:,} output positions take more than {interval_cycles:,.0f} cycles, however unfolded"
            )
        cost = np.where(fits, a * b * (len(work.kind) + 1.0) - b / inputs, np.inf)
        best = np.unravel_index(int(np.argmin(cost)), cost.shape)
        pe[i], simd[i] = a[best[0], 0], b[0, best[1]]
    return Folding(pe, simd)


def _divisors(n: int) -> Array:
    """Divisors of n, rising."""
    small = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return np.array(sorted({*small, *(n // d for d in small)}))
