"""Choice of the block that an Ethos-U55 or U65 works on: what fits SHRAM and moves the fewest operands per output.

Source: Vela 5.2, `ethos_u55.cpp`, FindBlockConfig and TryBlockConfig.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.ethos.hardware import EthosHardware
from tinysim.cost.accelerator.ethos.ops import (
    CONVOLUTION,
    DEPTHWISE,
    ELEMENTWISE,
    POOLING,
    NpuOps,
    ceil_div,
    round_up,
)
from tinysim.errors import InfeasibleError

__all__ = [
    "SPLIT_DEPTH",
    "Blocks",
    "Question",
    "choose_blocks_u55",
    "input_span",
    "pick_cheapest",
    "questions",
    "search_depths",
]

Array = npt.NDArray[Any]
Shape = tuple[int, int, int]

#: Largest output block (height, width, depth), largest kernel done at once, split of the output depth, SHRAM bank.
_OFM_BLOCK_MAX, _SUBKERNEL, SPLIT_DEPTH, _BANK_BYTES = (32, 64, 128), 8, 16, 1024


class Blocks(NamedTuple):
    """Blocks of each operator, as columns."""

    ofm: Array
    """output block [operator, (height, width, depth)]"""
    ifm: Array
    """input block that feeds it"""
    ublock: Array
    """output micro-block"""
    part_kernel: Array
    """whether the kernel's positions, not the input channels, are the inner loop"""


class Question(NamedTuple):
    """What the choice of an operator's block depends on; shapes are height, width, depth."""

    unit: int
    ifm_bits: int
    ifm: Shape
    ofm: Shape
    kernel: tuple[int, int]
    dilated: tuple[int, int]
    stride: tuple[int, int]
    upscale: int
    ifm2_elements: int
    lut: bool
    sparse_2_4: bool


def questions(ops: NpuOps) -> list[Question]:
    """One question per operator; equal ones are answered once."""
    names = ("ifm_h", "ifm_w", "ifm_c", "ofm_h", "ofm_w", "ofm_c", "kernel_h", "kernel_w", "dilation_h", "dilation_w")
    shapes = np.stack([getattr(ops, name) for name in names], axis=-1).tolist() if len(ops) else []
    rest = zip(
        *(column.tolist() for column in (ops.unit, ops.ifm_bits, ops.stride_h, ops.stride_w, ops.upscale)),
        *(column.tolist() for column in (ops.ifm2_elements, ops.lut, ops.sparse_2_4)),
        strict=True,
    )
    return [
        Question(
            unit=unit,
            ifm_bits=bits,
            ifm=(s[0], s[1], s[2]),
            ofm=(s[3], s[4], s[5]),
            kernel=(s[6], s[7]),
            dilated=((s[6] - 1) * s[8] + 1, (s[7] - 1) * s[9] + 1),
            stride=(stride_h, stride_w),
            upscale=upscale,
            ifm2_elements=second,
            lut=lut,
            sparse_2_4=sparse,
        )
        for s, (unit, bits, stride_h, stride_w, upscale, second, lut, sparse) in zip(shapes, rest, strict=True)
    ]


def input_span(outputs: Any, stride: Any, border: Any, upscale: Any) -> Any:
    """Input positions that `outputs` neighbouring outputs read.

    >>> input_span(4, 2, 3, 1)
    9
    """
    return ceil_div((outputs - 1) * stride + border, upscale)


def pick_cheapest(cost: Array, coverage: Array, small: Array) -> int:
    """Index of the block to take: the first of least cost, unless small blocks of equal cost follow it.

    Among those the last one that covers most of the input wins, as the compiler's search leaves it.
    """
    first = int(np.argmin(cost))
    rivals = np.flatnonzero((cost == cost[first]) & small)
    rivals = rivals[rivals > first]
    if not len(rivals):
        return first
    best = coverage[rivals].min()
    return int(rivals[coverage[rivals] == best][-1])


def _part_kernel(channels: int, taps: int, bits: int) -> bool:
    """Whether part-kernel traversal uses the multipliers at least as well as depth-first."""
    if channels <= 8:
        return True
    depth_first = channels / round_up(channels, 32 if bits == 8 else 16)
    by_kernel = (channels / round_up(channels, 8)) * (taps / round_up(taps, 4 if bits == 8 else 2))
    return bool(by_kernel >= depth_first)


def search_depths(start: int, end: int, step: int, full: int) -> list[int]:
    """Depths that the search visits: whole splits of 16 until the full depth."""
    depth = round_up(start, SPLIT_DEPTH) if start < full else start
    visited = []
    while depth <= end:
        visited.append(depth)
        depth += step
        if depth < full:
            depth = round_up(depth, SPLIT_DEPTH)
    return visited


def choose_blocks_u55(ops: NpuOps, hardware: EthosHardware) -> Blocks:
    """Blocks of every operator on a U55 or U65.

    Each candidate (height, width, depth) that fits the banks of SHRAM is priced by the operands fetched per output,
    (input block area x channels x blocks + weights x blocks) / outputs, halved if the whole input fits both buffers.

    Raises:
        InfeasibleError: no block of an operator fits SHRAM.
    """
    chosen = [_choose(question, hardware) for question in questions(ops)]
    return Blocks(
        ofm=np.array([c[0] for c in chosen]).reshape(-1, 3),
        ifm=np.array([c[1] for c in chosen]).reshape(-1, 3),
        ublock=np.tile(np.array(hardware.ofm_ublocks[0]), (len(ops), 1)),
        part_kernel=np.array([c[2] for c in chosen], dtype=bool),
    )


@lru_cache(maxsize=1 << 16)
def _choose(op: Question, hardware: EthosHardware) -> tuple[Shape, Shape, bool]:
    unit, bits, channels, ofm, upscale = op.unit, op.ifm_bits, op.ifm[2], op.ofm, op.upscale
    kernel_h, kernel_w = op.kernel
    dilated_h, dilated_w = op.dilated
    micro_h, micro_w, micro_d = hardware.ofm_ublocks[0]
    part_kernel = unit == CONVOLUTION and _part_kernel(channels, kernel_h * kernel_w, bits)
    equal_depth = unit in (DEPTHWISE, POOLING, ELEMENTWISE)

    end = [round_up(min(n, most), u) for n, most, u in zip(ofm, _OFM_BLOCK_MAX, hardware.ofm_ublocks[0], strict=True)]
    depths = search_depths(max(micro_d, min(end[2], SPLIT_DEPTH)), end[2], micro_d, ofm[2])
    d, h, w = (
        axis.ravel()
        for axis in np.meshgrid(
            depths, np.arange(micro_h, end[0] + 1, micro_h), np.arange(micro_w, end[1] + 1, micro_w), indexing="ij"
        )
    )
    in_h = round_up(input_span(h, op.stride[0], min(dilated_h, _SUBKERNEL), upscale), micro_h)
    in_w = round_up(input_span(w, op.stride[1], min(dilated_w, _SUBKERNEL), upscale), micro_w)
    if equal_depth:
        in_d = d
    elif bits == 16:
        in_d = np.full_like(d, round_up(min(channels, 16), 4))
    else:
        in_d = np.full_like(d, round_up(min(channels, 16 if part_kernel else 32), 8))
    # A row of outputs under a flat kernel needs one row of accumulators only.
    stored_h = np.minimum(h, 1) if ofm[0] == 1 and kernel_h == 1 and micro_h == 2 else h

    fits = _fits_shram(op, hardware, in_h * in_w, in_d, stored_h * w, d)
    if not fits.any():
        raise InfeasibleError(f"no block of an output {ofm} fits {hardware.shram_banks} KiB of SHRAM")
    d, h, w, in_h, in_w, in_d, stored_h = (axis[fits] for axis in (d, h, w, in_h, in_w, in_d, stored_h))

    f4 = np.float32
    outputs = f4(ofm[0] * ofm[1] * ofm[2])
    if unit == ELEMENTWISE:
        cost = outputs / (h * w * d).astype(f4)
    else:
        many_h, many_w, many_d = f4(ofm[0]) / stored_h.astype(f4), f4(ofm[1]) / w.astype(f4), f4(ofm[2]) / d.astype(f4)
        whole = ceil_div(ofm[0], stored_h) * ceil_div(ofm[1], w)
        taps = kernel_h * kernel_w if unit in (CONVOLUTION, DEPTHWISE) else 0
        weights = (taps * channels * whole).astype(f4)
        repeats = ceil_div(dilated_h, _SUBKERNEL) * ceil_div(dilated_w, _SUBKERNEL)
        inputs = (in_h * in_w * channels * repeats).astype(f4) * many_h * many_w
        if unit != DEPTHWISE:
            weights = weights * (many_d * d.astype(f4))
        if not equal_depth:
            inputs = inputs * ceil_div(ofm[2], d).astype(f4)
        cost = (inputs + weights) / outputs
    in_block = in_h * in_w * in_d
    area = max(op.ifm[0] * op.ifm[1], 1)
    cost = np.where(area * channels < 2 * in_block, cost / f4(2), cost)
    seen = np.minimum(op.ifm[0], in_h) * np.minimum(op.ifm[1], in_w)
    pick = pick_cheapest(cost, f4(area) / np.maximum(seen, 1).astype(f4), (h <= 4) & (w <= 4))
    return (int(h[pick]), int(w[pick]), int(d[pick])), (int(in_h[pick]), int(in_w[pick]), int(in_d[pick])), part_kernel


def _fits_shram(
    op: Question, hardware: EthosHardware, in_area: Array, in_d: Array, out_area: Array, out_d: Array
) -> Array:
    """Whether input buffers and accumulators, both doubled, fit between the output banks and the table's banks."""
    unit, bits = op.unit, op.ifm_bits
    reserved_end = 2 if hardware.shram_banks > 16 else 0
    table_start = hardware.shram_banks - max(2 if op.lut else 0, reserved_end)
    in_bytes = in_area * round_up(in_d * (bits // 8), 8)
    if unit == ELEMENTWISE:
        granule = getattr(hardware.bank_granules, "ifm32" if bits == 32 else f"ifm{bits}_ew")
        in_banks = round_up(ceil_div(in_bytes, _BANK_BYTES) * 2, granule)
        # A scalar second operand of 8 or 16 bit travels in the command.
        second = 0 if op.ifm2_elements == 1 and bits <= 16 else in_banks
        return np.asarray(2 + in_banks + second <= table_start)
    in_banks = round_up(
        ceil_div(in_bytes, _BANK_BYTES) * 2, getattr(hardware.bank_granules, "ifm32" if bits == 32 else f"ifm{bits}")
    )
    wide = bits == 16 and unit != POOLING
    acc_bytes = out_area * round_up(out_d, 8) * (40 if wide else 32) // 8
    acc_banks = round_up(
        ceil_div(acc_bytes, _BANK_BYTES) * 2, getattr(hardware.bank_granules, "acc40" if wide else "acc32")
    )
    return np.asarray(2 + in_banks + acc_banks <= table_start)
