"""Scratch memory of kernels, per layer, as columns: what a kernel asks of the arena for the time it runs.

Rules of CMSIS-NN 7.0 (`arm_*_get_buffer_size`) and of the kernels of TensorFlow Lite Micro around them; checked
against 519 emulated CMSIS-NN calls on each of six cores and the planned buffers of 45 models.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tinysim.deploy.memory.buffers import Ints
from tinysim.errors import SpecError, nearest
from tinysim.network.kinds import KIND_CODE
from tinysim.network.table import LayerTable

__all__ = ["SCRATCH", "cmsis_nn_scratch_bytes", "instruction_set", "scratch_bytes", "x_cube_ai_scratch_bytes"]

_DSP = frozenset({"cortex-m4", "cortex-m7", "cortex-m33", "cortex-m35p"})
_MVE = frozenset({"cortex-m55", "cortex-m85", "cortex-m52"})
_MVE_CHANNEL_BLOCK = 124
_REVERSE_MIN_CHANNELS = 16
"""a transposed convolution over more channels than this, with strides up to 2, runs as a convolution"""


#: X-CUBE-AI gathers k x k patches over at most this many channels in scratch memory
_DEEPEST_GATHERED = 64


def instruction_set(core: str) -> str:
    """Which kernels of CMSIS-NN a core runs: "mve" (Helium), "dsp" (SIMD of two 16-bit lanes) or "scalar".

    >>> instruction_set("cortex-m4"), instruction_set("cortex-m55"), instruction_set("cortex-m0plus")
    ('dsp', 'mve', 'scalar')
    """
    return "mve" if core in _MVE else "dsp" if core in _DSP else "scalar"


def _im2col(table: LayerTable, isa: str) -> Ints:
    """Two columns of int16 padded to 4 values, or on Helium four of int8 padded to 16."""
    length = table.kernel_h * table.kernel_w * table.in_c // table.groups
    return 4 * _up(length, 16) if isa == "mve" else 4 * _up(length, 4)


def _is(table: LayerTable, kind: str) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = table.kind == KIND_CODE[kind]
    return mask


def _up(value: Ints, multiple: int) -> Ints:
    return -(-value // multiple) * multiple


def _conv(table: LayerTable, isa: str) -> Ints:
    window = table.kernel_h * table.kernel_w
    pointwise = (window == 1) & (table.pad_top == 0) & (table.pad_left == 0)
    size = _im2col(table, isa)
    if isa == "mve":
        size = np.where(_is_1_x_n(table), _row_of_1_x_n(table, size), size)
    return np.where(pointwise, 0, size)


def _is_1_x_n(table: LayerTable) -> NDArray[np.bool_]:
    flat: NDArray[np.bool_] = (table.in_h == 1) & (table.kernel_h == 1) & (table.dilation_w == 1)
    flat &= table.stride_w * table.in_c % 4 == 0
    return flat


def _row_of_1_x_n(table: LayerTable, im2col: Ints) -> Ints:
    """Helium computes a 1 x n convolution in place but for the padded ends of the row, which it gathers."""
    span = (table.out_w - 1) * table.stride_w + table.kernel_w - table.in_w
    odd = np.fmod(span, 2)
    right = np.where(table.pad_left + odd != 0, np.maximum(1, -(-(table.pad_left + odd) // table.stride_w)), 0)
    left = np.where(table.pad_left != 0, np.maximum(1, -(-table.pad_left // table.stride_w)), 0)
    head = (table.kernel_w + table.pad_left) * table.in_c
    tail = (table.kernel_w - 1 + np.where(odd != 0, right, table.pad_left)) * table.in_c
    return np.where(left + right <= table.out_w, np.maximum(head, tail), im2col)


def _depthwise(table: LayerTable, isa: str) -> Ints:
    window = table.kernel_h * table.kernel_w
    plain = (table.in_c == table.out_c) & (table.batch == 1) & (table.dilation_h == 1) & (table.dilation_w == 1)
    if isa == "mve":
        # one input channel and several outputs is an ordinary convolution with transposed weights
        as_conv = (table.in_c == 1) & (table.out_c > 1)
        size = np.where(plain, 4 * _MVE_CHANNEL_BLOCK * window, 0)
        return np.where(as_conv, 4 * _up(window, 16) + window * table.out_c, size)
    by_3x3 = (table.kernel_h == 3) & (table.kernel_w == 3) & (table.pad_top <= 1) & (table.pad_left <= 1)
    return np.where(plain & ~by_3x3, 2 * window * table.in_c, 0) if isa == "dsp" else np.zeros_like(window)


def _transpose_conv(table: LayerTable, isa: str) -> Ints:
    reverse = (table.stride_h <= 2) & (table.stride_w <= 2) & (table.in_c > _REVERSE_MIN_CHANNELS)
    width = (table.in_w - 1) * table.stride_w + np.maximum(table.kernel_w, table.stride_h)
    rows = np.maximum(table.kernel_h, table.stride_h)
    return np.where(reverse, _im2col(table, isa), 4 * width * rows * table.out_c)


def cmsis_nn_scratch_bytes(table: LayerTable, *, core: str) -> Ints:
    """Scratch bytes of CMSIS-NN's int8 kernel of each layer, shape (n,).

    Convolution: 2 im2col columns of int16, 4 kh kw Cin with Cin kh kw rounded up to 4 (Helium: 4 columns of int8,
    rounded up to 16); none if 1 x 1. Depthwise: 2 kh kw C on DSP cores unless 3 x 3 with padding <= 1 (Helium:
    496 kh kw). Average pool: 4 C on DSP cores. Fully connected: 4 Cout on Helium. Valid: batch 1, CMSIS-NN 4 to 7.

    >>> table = LayerTable.from_columns(dict(kind=["conv2d"], in_h=32, in_w=32, in_c=3, out_h=32, out_w=32, out_c=16,
    ...                                      kernel_h=3, kernel_w=3, pad_top=1, pad_left=1))
    >>> cmsis_nn_scratch_bytes(table, core="cortex-m4").tolist()
    [112]
    """
    isa = instruction_set(core)
    zero = np.zeros(len(table), dtype=np.int64)
    size = np.where(_is(table, "conv2d"), _conv(table, isa), zero)
    size = np.where(_is(table, "depthwise_conv2d"), _depthwise(table, isa), size)
    size = np.where(_is(table, "transpose_conv"), _transpose_conv(table, isa), size)
    size = np.where(_is(table, "avg_pool2d") & (isa == "dsp"), 4 * table.out_c, size)
    return np.where(_is(table, "fully_connected") & (isa == "mve"), 4 * table.out_c, size)


def _tflm_common(table: LayerTable) -> Ints:
    """What both kernel sets of TFLM ask for, shape (n, 4): LSTM gates and the sums and axes of a mean."""
    columns = np.zeros((4, len(table)), dtype=np.int64)
    gate = table.batch * table.out_c * np.where(table.activation_bits == 32, 4, 2)
    columns += np.where(_is(table, "unidirectional_sequence_lstm"), gate, 0)
    reduce = _is(table, "mean") | _is(table, "sum")
    # int32 sums (integer types only), an index per axis of a 4-D input, two axes; each is rounded up to 16 bytes
    columns[0] += np.where(reduce & (table.activation_bits < 32), 4 * table.out_elements, 0)
    columns[1] += np.where(reduce, 16, 0)
    columns[2] += np.where(reduce, 8, 0)
    svdf = np.where(_is(table, "svdf"), 4 * table.batch * table.out_c, 0)
    columns[0] += svdf
    columns[1] += np.where(table.activation_bits < 32, svdf, 0)
    return columns.T


def _tflm_reference(table: LayerTable, core: str) -> Ints:
    """Reference kernels: a transposed convolution sums into an int32 (int16 input: int64) copy of its output."""
    columns = _tflm_common(table)
    sums = table.out_elements * np.where(table.activation_bits == 16, 8, 4)
    columns[:, 0] += np.where(_is(table, "transpose_conv") & (table.activation_bits < 32), sums, 0)
    return columns


def _tflm_cmsis_nn(table: LayerTable, core: str) -> Ints:
    """CMSIS-NN for integer activations; float layers run on the reference kernels."""
    columns = _tflm_common(table)
    integer = table.activation_bits < 32
    columns[:, 0] += np.where(integer, cmsis_nn_scratch_bytes(table, core=core), 0)
    reverse = (table.stride_h <= 2) & (table.stride_w <= 2) & (table.in_c > _REVERSE_MIN_CHANNELS)
    flipped = _is(table, "transpose_conv") & reverse & integer
    columns[:, 1] += np.where(flipped, table.weights, 0)
    # CMSIS-NN's LSTM keeps three gates, the reference four
    columns[:, 3] *= ~(_is(table, "unidirectional_sequence_lstm") & integer)
    return columns


def _cmsis_nn_2021(table: LayerTable, core: str) -> Ints:
    """CMSIS-NN as microTVM linked it in 2022: every plain depthwise convolution unpacks its kernel on a DSP core."""
    size = cmsis_nn_scratch_bytes(table, core=core)
    depthwise = _is(table, "depthwise_conv2d") & (table.in_c == table.out_c)
    unpacked = 2 * table.kernel_h * table.kernel_w * table.in_c
    return np.where(depthwise & (instruction_set(core) == "dsp"), unpacked, size)[:, None]


def x_cube_ai_scratch_bytes(table: LayerTable) -> Ints:
    """Scratch bytes of X-CUBE-AI's int8 convolutions, shape (n,).

    S = 4 K + 10 Cout, and for k x k kernels over up to 64 channels 36 K more and k rows of the input; K = kh kw Cin.
    Valid: int8; k x k kernels over more channels take less than this rule (Tiny YOLO v2), how much is unknown. Read
    off the activation RAM of MobileNet v2, ResNet and YOLO-LC under 7.3 and 8.1 (ST model zoo), which it explains
    within 0.01 KiB, 0.01 KiB and 1 %; the kernels are not published.

    >>> table = LayerTable.from_columns(dict(kind=["conv2d"], in_h=64, in_w=64, in_c=8, out_h=64, out_w=64, out_c=48))
    >>> x_cube_ai_scratch_bytes(table).tolist()
    [512]
    """
    window = table.kernel_h * table.kernel_w
    patch = window * table.in_c
    size = 4 * patch + 10 * table.out_c
    size = np.where(
        (window > 1) & (table.in_c <= _DEEPEST_GATHERED),
        size + 36 * patch + table.kernel_h * table.in_w * table.in_c,
        size,
    )
    return np.where(_is(table, "conv2d") & (table.activation_bits == 8), size, 0)


def _x_cube_ai(table: LayerTable, core: str) -> Ints:
    return x_cube_ai_scratch_bytes(table)[:, None]


def _none(table: LayerTable, core: str) -> Ints:
    return np.zeros((len(table), 1), dtype=np.int64)


#: kernel library -> scratch columns (n, k) of a table on a core, in the order in which the kernels ask
SCRATCH: dict[str, Callable[[LayerTable, str], Ints]] = {
    "cmsis-nn": _tflm_cmsis_nn,
    "cmsis-nn-2021": _cmsis_nn_2021,
    "tflm-reference": _tflm_reference,
    "x-cube-ai": _x_cube_ai,
    "none": _none,
}


def scratch_bytes(table: LayerTable, *, kernels: str, core: str) -> Ints:
    """Scratch bytes per layer and request, shape (n, k), unaligned; 0 is no request.

    kernels: a key of `SCRATCH`. core: "cortex-m4", ...

    Raises:
        SpecError: an unknown kernel library.
    """
    if kernels not in SCRATCH:
        raise SpecError(f"kernel library {kernels!r} is unknown to the memory planner; {nearest(kernels, SCRATCH)}")
    return SCRATCH[kernels](table, core)
