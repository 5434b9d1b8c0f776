"""TFLM kernels that only move data: block copies, element loops, and operators that touch no element.

- block copies (`memcpy` of contiguous runs): reshape, concatenation, split, pack, slice, gather, tile, variables, ...;
  an unknown custom operator is priced as a copy of its inputs and outputs.
- element loops: transpose, pad, strided slice, space-to-depth and the like walk a multi-dimensional index.
- nearest-neighbour resizing copies a pixel's channels after finding its source.

Source: github.com/tensorflow/tflite-micro, tensorflow/lite/micro/kernels and lite/kernels/internal/reference.
"""

from __future__ import annotations

import numpy as np

from tinysim.cost.cpu.kernel import Kernel, Rows, Trips, always
from tinysim.network.kinds import FAMILY, KIND_CODE

__all__ = ["COPY", "ELEMENT_MOVE", "METADATA", "PAD", "RESIZE_NEAREST", "copy", "element_move"]


def copy(rows: Rows, path: str) -> Trips:
    """`memcpy` of the output in runs: along the channels if there are several inputs, else in one piece."""
    unknown = rows.kind == KIND_CODE["custom_unknown"]
    bytes_moved = np.maximum(rows.out_elements, unknown * rows.in_elements) * rows.activation_bits // 8
    several = rows.n_inputs > 1
    runs = np.where(several, rows.n_inputs * np.maximum(rows.out_elements // rows.out_c, 1), 1)
    return {
        "call": rows.batch,
        "run": runs,
        "copy_16_bytes": bytes_moved // 16,
        "copy_4_bytes": runs * (bytes_moved // runs % 16 // 4),
        "copy_byte": runs * (bytes_moved // runs % 4),
    }


def element_move(rows: Rows, path: str) -> Trips:
    """One trip per output element."""
    return {"call": rows.batch, "element": rows.out_elements}


def resize_nearest(rows: Rows, path: str) -> Trips:
    """One source look-up and one short copy per output pixel."""
    pixels = rows.batch * rows.out_h * rows.out_w
    run_bytes = rows.out_c * rows.activation_bits // 8
    return {"call": rows.batch, "pixel": pixels, "copy_4_bytes": pixels * (run_bytes // 4 + run_bytes % 4)}


def metadata(rows: Rows, path: str) -> Trips:
    """A call that touches no element."""
    return {"call": rows.batch}


COPY = Kernel("tflm_reference", "Copy", copy)
ELEMENT_MOVE = Kernel("tflm_reference", "ElementMove", element_move)
PAD = Kernel("tflm_reference", "Pad", element_move)
RESIZE_NEAREST = Kernel("tflm_reference", "ResizeNearestNeighbor", resize_nearest)
METADATA = Kernel("tflm_reference", "Metadata", metadata)

_BY_ELEMENT = (
    "transpose strided_slice space_to_depth depth_to_space space_to_batch_nd batch_to_space_nd reverse_v2 "
    "reverse_sequence broadcast_to gather_nd scatter_nd one_hot range"
).split()
_PADS = "pad padv2 mirror_pad".split()
_NOTHING = "shape rank var_handle call_once".split()


_REST = sorted(
    kind
    for kind, family in FAMILY.items()
    if family in ("move", "view") and kind not in {*_BY_ELEMENT, *_PADS, *_NOTHING, "resize_nearest_neighbor"}
)
for _kernel, _kinds in (
    (ELEMENT_MOVE, _BY_ELEMENT),
    (PAD, _PADS),
    (METADATA, _NOTHING),
    (RESIZE_NEAREST, ["resize_nearest_neighbor"]),
    (COPY, _REST),
):
    always("tflm-reference", _kernel, *_kinds)
