"""Choice of the block that an Ethos-U85 works on: micro-block, output block and input block.

Three searches, as in the compiler: convolutions try all blocks and take the one that moves the fewest operands;
depthwise, pooling and sums fit one block to the output's aspect; element-wise operators fill the output buffer.

Source: Vela 5.2, `ethos_u85.cpp`, FindBlockConfig, FindUBlock, FindElementwiseConfig, FindDepthwiseConfig, AreaFit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.ethos.blocks import (
    Blocks,
    Question,
    input_span,
    pick_cheapest,
    questions,
    search_depths,
)
from tinysim.cost.accelerator.ethos.hardware import EthosHardware
from tinysim.cost.accelerator.ethos.ops import (
    CONVOLUTION,
    DEPTHWISE,
    ELEMENTWISE,
    REDUCE_SUM,
    NpuOps,
    ceil_div,
    round_up,
)
from tinysim.errors import InfeasibleError

__all__ = ["choose_blocks_u85"]

Array = npt.NDArray[Any]
Shape = tuple[int, int, int]

#: Largest output block, largest kernel done at once, granule of the accumulators' depth, slots of the chaining buffer.
_OFM_BLOCK_MAX, _SUBKERNEL, _DEPTH_GRANULE, _CHAINING_SLOTS = (128, 128, 1024), 8, 16, 6


@dataclass(frozen=True)
class _Query:
    """One operator and what was settled before the search."""

    unit: int
    bits: int
    ifm: Shape
    ofm: Shape
    kernel: tuple[int, int]
    dilated: tuple[int, int]
    stride: tuple[int, int]
    upscale: int
    micro: Shape
    alloc_units: tuple[Shape, Shape, Shape]
    part_kernel: bool
    sparse: bool
    acc_elements: int
    in_elements: int

    @property
    def granule(self) -> Shape:
        """Steps of the output block."""
        return self.micro[0], self.micro[1], _DEPTH_GRANULE

    def alloc_unit(self, depth: int) -> Shape:
        """Allocation unit of the input buffer for input blocks of this depth."""
        bits = depth * self.bits
        height, width, deep = self.alloc_units[2 if bits > 256 else 1 if bits > 128 else 0]
        return height, width, deep * 128 // self.bits

    def in_block(self, block: Shape, depth: int) -> Shape:
        """Input block that feeds an output block, `depth` channels deep (0: as deep as the output)."""
        unit = self.alloc_unit(depth or block[2])
        spans = (
            round_up(
                input_span(block[axis], self.stride[axis], min(self.dilated[axis], _SUBKERNEL), self.upscale),
                unit[axis],
            )
            for axis in (0, 1)
        )
        height, width = spans
        return height, width, round_up(depth or block[2], unit[2])


def _kernel_first(channels: int, taps: int, *, sparse: bool) -> bool:
    """Whether running over the kernel's positions uses the multipliers at least as well as running over depth."""
    step, least = (10, 4) if sparse else (5, 2)
    by_kernel = channels / round_up(channels, 16) * taps / (taps // step * step + max(taps % step, least))
    return bool(by_kernel >= channels / round_up(channels, 128 if sparse else 64))


def choose_blocks_u85(ops: NpuOps, hardware: EthosHardware) -> Blocks:
    """Blocks of every operator on a U85.

    Raises:
        InfeasibleError: no block of an operator fits the buffers.
    """
    found = [_choose(question, hardware) for question in questions(ops)]
    ofm, ifm, micro, part = zip(*found, strict=True) if found else ([], [], [], [])
    return Blocks(
        np.array(ofm).reshape(-1, 3), np.array(ifm).reshape(-1, 3), np.array(micro).reshape(-1, 3), np.array(part, bool)
    )


@lru_cache(maxsize=1 << 16)
def _choose(op: Question, hardware: EthosHardware) -> tuple[Shape, Shape, Shape, bool]:
    unit, bits, sparse = op.unit, op.ifm_bits, op.sparse_2_4 and op.unit == CONVOLUTION
    part = unit == CONVOLUTION and _kernel_first(op.ifm[2], op.kernel[0] * op.kernel[1], sparse=sparse)
    index = _micro_block(unit, bits, op.ofm, hardware)
    if index is None:
        raise InfeasibleError(f"no micro-block takes {bits}-bit operators of this kind (output {op.ofm})")
    wide = bits == 16 and unit in (CONVOLUTION, DEPTHWISE)
    query = _Query(
        unit=unit,
        bits=bits,
        ifm=op.ifm,
        ofm=op.ofm,
        kernel=op.kernel,
        dilated=op.dilated,
        stride=op.stride,
        upscale=op.upscale,
        micro=hardware.ofm_ublocks[index],
        alloc_units=hardware.ifm_alloc_units[index],
        part_kernel=part,
        sparse=sparse,
        acc_elements=hardware.acc_ram_bytes * 8 // (64 if wide else 32),
        in_elements=hardware.ifm_ram_bytes * 8 // bits,
    )
    if unit == ELEMENTWISE:
        block = _elementwise(query, hardware, op.ifm2_elements)
        return block, block, query.micro, False
    if unit == CONVOLUTION:
        return (*_convolution(query, hardware), query.micro, part)
    in_depth = 0 if unit != REDUCE_SUM else 32 if bits == 32 else 64
    return (*_fitted(query, in_depth), query.micro, False)


def _micro_block(unit: int, bits: int, ofm: Shape, hardware: EthosHardware) -> int | None:
    """The micro-block that takes the unit at this width and wastes the fewest outputs; the first of equals."""
    letter = "CDPRE"[unit]
    valid = [i for i, by_bits in enumerate(hardware.ublock_units) if letter in by_bits[bits // 16]]
    waste = [int(np.prod([round_up(n, u) for n, u in zip(ofm, hardware.ofm_ublocks[i], strict=True)])) for i in valid]
    return valid[int(np.argmin(waste))] if valid else None


def _tile(extent: int, granule: int, tile: int) -> int:
    """`tile` if it divides the extent, else the extent split into even tiles of whole granules."""
    if extent % tile == 0:
        return tile
    return int(max(round_up(extent // (extent // tile + 1), granule), granule))


def _share(value: int, most: int, available: int, required: int) -> tuple[int, int]:
    """Move room that `required` does not need from `available` to `value`; both after it."""
    excess = min(available // required, most // value)
    return (value * excess, available // excess) if excess >= 2 else (value, available)


def _elementwise(query: _Query, hardware: EthosHardware, second: int) -> Shape:
    """A block that fills the output buffer, wide first, deep with the rest."""
    granule, bits = query.granule, query.bits
    ofm = tuple(round_up(n, g) for n, g in zip(query.ofm, granule, strict=True))
    limit = tuple(min(n, m) for n, m in zip(ofm, _OFM_BLOCK_MAX, strict=True))
    units = hardware.output_ram_bytes * 8 // bits // granule[2]
    chained_units = hardware.chaining_ram_bytes // _CHAINING_SLOTS // (_DEPTH_GRANULE * (bits // 8)) // query.micro[0]
    height = _tile(ofm[0], granule[0], limit[0])
    needed = max(_tile(ofm[1], granule[1], min(units, limit[1])), granule[1])
    depth, width = _share(granule[2], limit[2], units, needed)
    if 1 < second < int(np.prod(query.ofm)) and second <= query.ofm[0] * query.ofm[1] and query.ofm[2] > 1:
        # The second input is broadcast over depth from the chaining buffer.
        depth, width = _tile(ofm[2], granule[2], limit[2]), chained_units
        height, width = _share(query.micro[0], limit[0], width, needed)
    return round_up(height, granule[0]), round_up(width, granule[1]), round_up(depth, granule[2])


def _convolution(query: _Query, hardware: EthosHardware) -> tuple[Shape, Shape]:
    """Search over all blocks for the fewest operands fetched per output."""
    micro, ofm, bits = query.micro, query.ofm, query.bits
    if query.part_kernel:
        in_depth = 16
    elif bits == 32 or (hardware.macs_per_cycle <= 256 and micro[2] == 16 and not query.sparse):
        in_depth = 32
    else:
        in_depth = 128 if query.sparse and bits == 8 else 64
    step = (micro[0], micro[1], max(micro[2], _DEPTH_GRANULE))
    end = [round_up(max(min(n, m), s), u) for n, m, s, u in zip(ofm, _OFM_BLOCK_MAX, step, micro, strict=True)]
    depths = search_depths(max(micro[2], min(end[2], 16)), end[2], micro[2], ofm[2])
    heights, widths = np.arange(step[0], end[0] + 1, step[0]), np.arange(step[1], end[1] + 1, step[1])
    d, h, w = (a.ravel() for a in np.meshgrid(depths, heights, widths, indexing="ij"))
    unit = query.alloc_unit(in_depth)
    in_h = round_up(input_span(h, query.stride[0], min(query.dilated[0], _SUBKERNEL), query.upscale), unit[0])
    in_w = round_up(input_span(w, query.stride[1], min(query.dilated[1], _SUBKERNEL), query.upscale), unit[1])

    stored = round_up(min(round_up(in_depth, unit[2]), query.ifm[2]), unit[2])
    accumulators = h * w * round_up(d, _DEPTH_GRANULE)
    fits = np.zeros(len(d), dtype=bool)
    for copies in (2, 1):  # double buffered if anything fits so
        fits = (in_h * in_w * stored * copies <= query.in_elements) & (accumulators * copies <= query.acc_elements)
        if fits.any():
            break
    if not fits.any():
        raise InfeasibleError(f"no block of an output {ofm} fits the buffers of {hardware.ifm_ram_bytes} B")
    d, h, w, in_h, in_w = (a[fits] for a in (d, h, w, in_h, in_w))

    f4 = np.float32
    outputs, channels = f4(ofm[0] * ofm[1] * ofm[2]), query.ifm[2]
    if query.dilated == query.ifm[:2] and ofm[0] * ofm[1] == 1:
        cost = outputs / (h.astype(f4) * w * d).astype(f4)
    else:
        many_h, many_w, many_d = (f4(n) / a.astype(f4) for n, a in zip(ofm, (h, w, d), strict=True))
        weights = f4(query.kernel[0] * query.kernel[1]) * f4(channels) * (np.ceil(many_h) * np.ceil(many_w))
        repeats = ceil_div(query.dilated[0], _SUBKERNEL) * ceil_div(query.dilated[1], _SUBKERNEL)
        inputs = (in_h * in_w).astype(f4) * f4(channels) * f4(repeats) * (many_h * many_w) * np.ceil(many_d)
        cost = (inputs + weights * many_d * d.astype(f4)) / outputs
    in_block = in_h * in_w * round_up(in_depth, unit[2])
    area = query.ifm[0] * query.ifm[1]
    cost = np.where(area * channels < 2 * in_block, cost / f4(2), cost)
    seen = np.minimum(query.ifm[0], in_h) * np.minimum(query.ifm[1], in_w)
    i = pick_cheapest(cost, f4(area) / np.maximum(seen, 1).astype(f4), (h <= 4) & (w <= 4))
    return (int(h[i]), int(w[i]), int(d[i])), (int(in_h[i]), int(in_w[i]), in_depth)


def _best_width(extent: int, granule: int, tile: int) -> int:
    """Width near `tile` that leaves the fullest last tile."""
    if extent % tile == 0:
        return tile
    even = max(round_up(extent // (extent // tile + 1), granule), granule)
    best, fullest = tile, extent % tile
    first = max(even - granule * 2, (even + 1) // 2, granule)
    for width in range(tile, first - 1, -granule):
        rest = extent % width or width
        if rest > fullest:
            best, fullest = width, rest
    return best


def _fit_area(query: _Query, in_depth: int) -> Shape:
    """Block of the output's aspect that fills the accumulators and whose input fits its buffer."""
    granule = query.granule
    ofm = tuple(round_up(n, g) for n, g in zip(query.ofm, granule, strict=True))
    limit = tuple(min(n, m) for n, m in zip(ofm, _OFM_BLOCK_MAX, strict=True))
    per_micro = query.micro[0] * query.micro[1] * _DEPTH_GRANULE
    aspect, flat = ofm[0] / ofm[1], query.dilated == (1, 1)
    area = ofm[1] * ofm[2] if flat else ofm[0] * ofm[1]
    deepest = min(max(_macs(query), query.acc_elements // per_micro), limit[2])
    best, best_metric = (0, 0, 0), float("inf")
    for depth in range(_DEPTH_GRANULE, deepest + 1, _DEPTH_GRANULE):
        unit = query.alloc_unit(in_depth or depth)
        volume = int(np.prod([round_up(n, u) for n, u in zip(query.ifm, unit, strict=True)]))
        block = _shrink_to_fit(query, depth, in_depth, volume, aspect, ofm, limit, per_micro)
        if block is None:
            break
        height, width = block
        used = depth % unit[2] or unit[2]
        waste = 1 + (unit[2] - used) / unit[2] / 10
        fit = 1 + abs(1 - limit[2] / depth) / 10
        coverage = 1 + abs(1 - area / (width * (depth if flat else height)))
        if coverage * fit * waste < best_metric:
            best, best_metric = (height, width, depth), coverage * fit * waste
            if depth >= ofm[2] and width >= ofm[1] and height >= ofm[0]:
                return ofm
    if best == (0, 0, 0):
        raise InfeasibleError(f"no block of an output {query.ofm} fits the buffers")
    return best


def _macs(query: _Query) -> int:
    """Multipliers of the array: micro-block times the eight products of a lane, or sixteen in depth."""
    return query.micro[0] * query.micro[1] * query.micro[2] * 8


def _shrink_to_fit(
    query: _Query, depth: int, in_depth: int, volume: int, aspect: float, ofm: Shape, limit: Shape, per_micro: int
) -> tuple[int, int] | None:
    """Height and width at this depth, shrunk until accumulators and input fit; None if nothing does."""
    granule, room, before, retries = query.granule, query.acc_elements, -1, 25
    while True:
        wide = sqrt(room // depth / aspect)
        high = wide * aspect
        if high < 1:
            wide, high = wide * high, 1.0
        elif wide < 1:
            wide, high = 1.0, high * wide
        width = min(max(int(wide), granule[1]) // granule[1] * granule[1], limit[1])
        height = min(max(int(high), granule[0]) // granule[0] * granule[0], limit[0])
        cells = width * height
        if width < ofm[1]:
            width = _best_width(ofm[1], granule[1], width)
        height = max(cells // width // granule[0] * granule[0], granule[0])
        needed = width * height * depth
        in_needed = min(int(np.prod(query.in_block((height, width, depth), in_depth))), volume)
        acc_ratio, in_ratio = query.acc_elements / needed, query.in_elements / in_needed
        if acc_ratio >= 1 and in_ratio >= 1:
            return height, width
        if needed == before:
            retries -= 1
            if retries <= 0:
                in_ratio = 0.9
        before = needed
        if in_ratio < 1 < acc_ratio:
            room = min(room, needed)
        smaller = max(int(room // per_micro * min(in_ratio, acc_ratio)), 0) * per_micro
        if smaller == room:
            smaller = room - per_micro
        if smaller < per_micro:
            return None
        room = smaller


def _fitted(query: _Query, in_depth: int) -> tuple[Shape, Shape]:
    """Fit the block, then shrink it until one more row of input can be read ahead."""
    granule = query.granule
    ofm = tuple(round_up(n, g) for n, g in zip(query.ofm, granule, strict=True))
    height, width, depth = _fit_area(query, in_depth)
    forced = 0
    while True:
        needed = query.in_block((height, width, depth), in_depth)
        row = query.in_block((granule[0], width, depth), in_depth)
        whole = width >= ofm[1] and height >= ofm[0] and depth >= ofm[2]
        if whole or query.in_elements - np.prod(needed) >= np.prod(row):
            return (height, width, depth), needed
        if (height != ofm[0] or forced & 2) and height > granule[0]:
            height -= granule[0]
        elif (depth > width or forced & 1) and depth > granule[2]:
            depth -= granule[2]
        elif (width != ofm[1] or forced & 4) and width > granule[1]:
            width -= granule[1]
        elif forced != 7:
            forced = forced << 1 | 1
        elif depth > granule[2]:
            depth = max(depth // 2, granule[2])
        else:
            return (height, width, depth), needed
