"""From layers to NPU operators: what the compiler makes of each TFLite operator.

Source: Vela 5.2, `tflite_graph_optimiser.cpp`, `graphir_optimiser.cpp` and `softmax.cpp`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.ethos.ops import (
    CONVOLUTION,
    DEPTHWISE,
    ELEMENTWISE,
    POOLING,
    REDUCE_SUM,
    NpuOps,
    round_up,
)
from tinysim.errors import UnsupportedOperator, nearest

__all__ = ["LOWERED_KINDS", "lower"]

Row = dict[str, Any]

#: Activations that are a table look-up of 8-bit values.
_TABLES = ("hard_swish", "logistic", "tanh", "leaky_relu", "elu", "gelu", "exp", "log", "rsqrt")
_BINARY = {
    "add": "add",
    "sub": "add",
    "mul": "mul",
    "maximum": "other",
    "minimum": "other",
    "squared_difference": "mul",
}
#: Kinds that only rename or clamp a tensor: no pass of their own.
_FREE = ("reshape", "squeeze", "expand_dims", "relu", "relu6", "relu_n1_to_1")
#: Kinds that copy a tensor through the pooling path.
_COPIES = (
    "quantize",
    "pad",
    "padv2",
    "mirror_pad",
    "concatenation",
    "pack",
    "unpack",
    "slice",
    "strided_slice",
    "split",
    "split_v",
    "transpose",
    "tile",
    "resize_bilinear",
    "resize_nearest_neighbor",
)

#: Biases and scales of an output channel travel in 10 bytes, padded to 16 bytes per layer.
SCALE_BYTES = 10


def _shape(layer: Row) -> Row:
    return {
        "ifm_h": layer["in_h"],
        "ifm_w": layer["in_w"],
        "ifm_c": layer["in_c"],
        "ofm_h": layer["out_h"],
        "ofm_w": layer["out_w"],
        "ofm_c": layer["out_c"],
        "ifm_bits": layer["activation_bits"],
        "ofm_bits": layer["activation_bits"],
    }


def _kernel(layer: Row) -> Row:
    return {name: layer[name] for name in ("kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w")}


def _weights(elements: int, layer: Row) -> Row:
    # One or two input channels leave two zeros in every group of four.
    sparse = layer["chains"] and (layer["sparse_2_4"] or layer["in_c"] <= 2)
    scales = round_up(SCALE_BYTES * layer["out_c"], 16)
    return {"weight_elements": elements, "scale_bytes": scales, "sparse_2_4": sparse}


def _conv(layer: Row) -> Iterator[Row]:
    taps = layer["kernel_h"] * layer["kernel_w"] * layer["in_c"]
    yield {"unit": CONVOLUTION, **_shape(layer), **_kernel(layer), **_weights(taps * layer["out_c"], layer)}


def _transpose_conv(layer: Row) -> Iterator[Row]:
    upscale = 2 if layer["stride_h"] == 2 else 1
    flat = {"stride_h": 1, "stride_w": 1, "upscale": upscale}
    yield {**next(_conv(layer)), **flat}


def _depthwise(layer: Row) -> Iterator[Row]:
    taps = layer["kernel_h"] * layer["kernel_w"]
    # One input channel is a plain convolution with as many filters.
    unit = CONVOLUTION if layer["in_c"] == 1 and layer["out_c"] > 1 else DEPTHWISE
    sparse = {} if unit == CONVOLUTION else {"sparse_2_4": False}
    yield {"unit": unit, **_shape(layer), **_kernel(layer), **_weights(taps * layer["out_c"], layer), **sparse}


def _fully_connected(layer: Row) -> Iterator[Row]:
    """Rows of depth in_c, each an output position of a 1 x 1 convolution."""
    rows = {"ofm_h": layer["in_h"], "ofm_w": layer["in_w"]}
    yield {"unit": CONVOLUTION, **_shape(layer), **rows, **_weights(layer["in_c"] * layer["out_c"], layer)}


def _pool(layer: Row) -> Iterator[Row]:
    kernel = _kernel(layer)
    size = (layer["kernel_h"], layer["kernel_w"])
    if size == (layer["stride_h"], layer["stride_w"]) == (layer["in_h"], layer["in_w"]):
        kernel |= {"stride_h": 1, "stride_w": 1}
    function = "max" if layer["kind"] == "max_pool2d" else "other"
    yield {"unit": POOLING, "function": function, **_shape(layer), **kernel}


def _mean(layer: Row) -> Iterator[Row]:
    """A sum by a depthwise kernel of ones into 32 bits, then a multiplication by the reciprocal."""
    shape, window = _shape(layer), {"kernel_h": layer["kernel_h"], "kernel_w": layer["kernel_w"]}
    ones = _weights(layer["kernel_h"] * layer["kernel_w"] * layer["in_c"], layer)
    yield {"unit": DEPTHWISE, **shape, **window, **ones, "ofm_bits": 32, "sparse_2_4": False}
    after = {**shape, "ifm_h": layer["out_h"], "ifm_w": layer["out_w"], "ifm_bits": 32}
    second = {"ifm2_elements": 1, "ifm2_constant": True, "chained": layer["chains"]}
    yield {"unit": ELEMENTWISE, "function": "mul", **after, **second}


def _binary(layer: Row) -> Iterator[Row]:
    elements = layer["in2_elements"] or layer["in_h"] * layer["in_w"] * layer["in_c"]
    yield {"unit": ELEMENTWISE, "function": _BINARY[layer["kind"]], **_shape(layer), "ifm2_elements": elements}


def _copy(layer: Row) -> Iterator[Row]:
    yield {"unit": POOLING, **_shape(layer)}


def _softmax(layer: Row) -> Iterator[Row]:
    """Maximum, exponential by table, sum, reciprocal by three Newton steps in 32-bit integers, scaling.

    `chained` marks what a U85 runs in the pass of the operator before.
    """
    rows, depth, chains = layer["in_h"] * layer["in_w"], layer["in_c"], layer["chains"]
    full = {"ifm_h": rows, "ifm_w": 1, "ifm_c": depth, "ofm_h": rows, "ofm_w": 1, "ofm_c": depth}
    one = {**full, "ifm_c": 1, "ofm_c": 1, "ifm_bits": 32, "ofm_bits": 32}
    wide = {**full, "ifm_bits": 32, "ofm_bits": 32}
    constant, tensor = {"ifm2_elements": 1, "ifm2_constant": True}, {"ifm2_elements": rows}

    def element(function: str, shape: Row, second: Row, *, chained: bool = False) -> Row:
        return {"unit": ELEMENTWISE, "function": function, **shape, **second, "chained": chains and chained}

    in_rows = {"ifm_linear": True}
    yield {
        "unit": POOLING,
        "function": "max",
        **full,
        "ifm_w": depth,
        "ifm_c": 1,
        "ofm_c": 1,
        "kernel_w": depth,
        **in_rows,
    }
    yield {**element("add", full, tensor), "ofm_bits": 32, "lut": True, **in_rows}
    yield {**element("other", wide, constant), "ofm_linear": True}
    yield {"unit": REDUCE_SUM, **wide, "ofm_c": 1, **in_rows}
    yield element("other", one, {})
    yield element("add", one, constant)
    yield element("add", one, constant)
    yield element("other", one, tensor, chained=True)
    yield element("mul", one, constant)
    yield element("add", one, constant, chained=True)
    for _ in range(3):
        yield element("mul", one, tensor)
        yield element("add", one, constant, chained=True)
        yield element("mul", one, tensor, chained=True)
        yield element("mul", one, constant, chained=True)
        yield element("add", one, tensor)
    yield element("mul", wide, tensor)
    if not chains:
        yield element("add", wide, {"ifm2_elements": rows * depth, "ifm2_constant": True})
    yield {**element("other", wide, tensor, chained=True), "ofm_bits": 8}


_LOWERINGS: dict[str, Callable[[Row], Iterator[Row]]] = {
    "conv2d": _conv,
    "transpose_conv": _transpose_conv,
    "depthwise_conv2d": _depthwise,
    "fully_connected": _fully_connected,
    "avg_pool2d": _pool,
    "max_pool2d": _pool,
    "mean": _mean,
    "softmax": _softmax,
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_TABLES, _copy),
    **dict.fromkeys(_COPIES, _copy),
    **dict.fromkeys(_FREE, lambda layer: iter(())),
}

#: Kinds that become NPU operators (or vanish).
LOWERED_KINDS = frozenset(_LOWERINGS)

#: Columns that a layer needs, with the value of those left out.
_COLUMNS = {
    "in_h": 1, "in_w": 1, "in_c": None, "out_h": 1, "out_w": 1, "out_c": None, "kernel_h": 1, "kernel_w": 1,
    "stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1, "activation_bits": 8, "in2_elements": 0,
    "sparse_2_4": False,
}  # fmt: skip


def lower(*, kind: npt.ArrayLike, chains: bool = False, **columns: npt.ArrayLike) -> NpuOps:
    """NPU operators of the layers of one network, in order of execution.

    kind: operator names in snake case; columns: those of `LayerTable`, of which in_h, in_w, in_c, out_h, out_w, out_c,
    kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, activation_bits and in2_elements are read, and
    sparse_2_4: whether two of any four weights along the input channels are zero (default: only with one or two input
    channels). chains: whether element-wise operators join the pass before them and 2:4 sparsity is used (U85).

    A table look-up joins the pass of the operator before it. Tensors lie in bricks of 16 channels between operators,
    in rows at the ends of the network, where width or channels change hands, and in softmax.

    Raises:
        UnsupportedOperator: a kind that no NPU operator stands for.
    """
    kinds = [str(k) for k in np.atleast_1d(np.asarray(kind))]
    unknown = sorted(set(kinds) - LOWERED_KINDS)
    if unknown:
        raise UnsupportedOperator(f"kind {unknown[0]!r} has no NPU operators: {nearest(unknown[0], LOWERED_KINDS)}")
    read = {
        name: np.broadcast_to(np.asarray(columns.get(name, default)), (len(kinds),)).tolist()
        for name, default in _COLUMNS.items()
    }
    rows: list[Row] = []
    for i, name in enumerate(kinds):
        layer = {"kind": name, "chains": chains, **{column: values[i] for column, values in read.items()}}
        if name in _TABLES and rows and rows[-1]["unit"] != ELEMENTWISE and not rows[-1].get("lut"):
            rows[-1]["lut"] = True
            continue
        lowered = [{**row, "layer": i} for row in _LOWERINGS[name](layer)]
        if chains and name in _BINARY and rows and _outputs(rows[-1]) == _outputs(lowered[0]):
            lowered[0]["chained"] = True
        rows.extend(lowered)
    return NpuOps.from_rows(_with_formats(rows))


def _outputs(row: Row) -> tuple[int, int, int]:
    return row["ofm_h"], row["ofm_w"], row["ofm_c"]


def _with_formats(rows: list[Row]) -> list[Row]:
    """Mark the tensors that lie in rows (NHWC): the ends, what is reshaped, and what softmax reads more than once."""
    if rows:
        rows[0] = {**rows[0], "ifm_linear": True}
        rows[-1] = {**rows[-1], "ofm_linear": True}
    for i in range(len(rows) - 1):
        before, after = rows[i], rows[i + 1]
        written, read = (
            (before["ofm_h"], before["ofm_w"], before["ofm_c"]),
            (after["ifm_h"], after["ifm_w"], after["ifm_c"]),
        )
        reshaped = np.prod(written) == np.prod(read) and written[1:] != read[1:]
        if before["layer"] != after["layer"] and (reshaped or after.get("ifm_linear")):
            rows[i] = {**before, "ofm_linear": True}
            rows[i + 1] = {**after, "ifm_linear": True}
    return rows
