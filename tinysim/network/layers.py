"""From a graph to the columns of a `LayerTable`: what each operator's tensors and attributes mean as a layer."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinysim.network.kinds import FAMILY, KIND_CODE
from tinysim.network.table import COLUMNS

if TYPE_CHECKING:
    from tinysim.network.graph import Network, Op, Tensor

__all__ = ["layer_rows"]

_DEFAULTS: dict[str, Any] = {name: default for name, (default, _) in COLUMNS.items()}
_in_order = itemgetter(*COLUMNS)
_FLAT = frozenset({"elementwise", "move", "softmax", "view"})


def layer_rows(network: Network, ops: Sequence[Op] | None = None) -> NDArray[np.float64]:
    """Columns of `COLUMNS` for operators of `network`, all if None; kinds as codes, shape (n_columns, n_ops)."""
    rows = [_in_order(_row(network, op)) for op in (network.ops if ops is None else ops)]
    return np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS)).T


def nhwc(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """A shape read as (batch, h, w, c): the last axis is channels, missing axes are 1, extra ones go to h.

    >>> nhwc((1, 49, 10, 64)), nhwc((1, 12)), nhwc((1, 16, 40))
    ((1, 49, 10, 64), (1, 1, 1, 12), (1, 16, 1, 40))
    """
    if len(shape) == 4:
        return shape
    if not shape:
        return 1, 1, 1, 1
    if len(shape) == 1:
        return 1, 1, 1, shape[0]
    if len(shape) == 2:
        return shape[0], 1, 1, shape[1]
    if len(shape) == 3:
        return shape[0], shape[1], 1, shape[2]
    return shape[0], int(np.prod(shape[1:-2])), shape[-2], shape[-1]


def _row(network: Network, op: Op) -> dict[str, Any]:
    tensors, attrs = network.tensors, op.attrs
    inputs = [tensors[t] for t in op.inputs if t >= 0]
    # A transposed convolution's first input is its output shape; its data come third.
    first = tensors[op.inputs[2]] if op.kind == "transpose_conv" else (inputs[0] if inputs else tensors[op.outputs[0]])
    if first.is_constant:
        first = next((t for t in inputs if not t.is_constant), first)
    output = tensors[op.outputs[0]] if op.outputs else first
    # strides, padding and dilation are columns under the same names
    row: dict[str, Any] = {**_DEFAULTS, **attrs} if attrs else _DEFAULTS.copy()
    row["kind"], row["activation_bits"] = KIND_CODE[op.kind], first.bits
    row["batch"], row["in_h"], row["in_w"], row["in_c"] = nhwc(first.shape)
    out_batch, row["out_h"], row["out_w"], row["out_c"] = nhwc(output.shape)
    if FAMILY[op.kind] in _FLAT:  # one loop over all elements; the first axis may be time, and another one behind
        row |= {"in_h": row["in_h"] * row["batch"], "out_h": row["out_h"] * out_batch, "batch": 1}
    activations = [t for t in inputs if not (t.is_constant or t.is_variable)]
    if len(activations) > 1:
        row["n_inputs"] = len(activations)
        row["in2_elements"] = sum(t.elements for t in activations) - first.elements
    family = _FAMILIES.get(FAMILY[op.kind])
    return row if family is None else row | family(network, op, first, output, inputs)


def _weights_of(network: Network, op: Op, position: int) -> dict[str, Any]:
    weights = network.tensors[op.inputs[position]]
    return {"weight_bits": weights.bits, "weight_sparsity": weights.sparsity if weights.is_constant else 0.0}


def _conv(network: Network, op: Op, first: Tensor, output: Tensor, inputs: list[Tensor]) -> dict[str, Any]:
    bias_at = 3 if op.kind == "transpose_conv" else 2
    shape = network.tensors[op.inputs[1]].shape
    row = _weights_of(network, op, 1) | {"kernel_h": shape[1], "kernel_w": shape[2]}
    row["has_bias"] = int(len(op.inputs) > bias_at and op.inputs[bias_at] >= 0)
    if op.kind == "depthwise_conv2d":
        row["channel_multiplier"] = max(1, output.shape[-1] // first.shape[-1])
    elif op.kind == "conv2d":
        row["groups"] = max(1, first.shape[-1] // shape[3])
    return row


def _matmul(network: Network, op: Op, first: Tensor, output: Tensor, inputs: list[Tensor]) -> dict[str, Any]:
    if op.kind == "batch_matmul":
        units = output.shape[-1]
        depth = first.shape[-2] if op.attrs.get("adj_x") else first.shape[-1]
        row: dict[str, Any] = {"has_bias": 0, "weight_bits": network.tensors[op.inputs[1]].bits}
    else:
        units, depth = network.tensors[op.inputs[1]].shape[-2:]
        row = _weights_of(network, op, 1) | {"has_bias": int(len(op.inputs) > 2 and op.inputs[2] >= 0)}
    n_rows = max(1, first.elements // depth)
    return row | {
        "batch": 1, "in_h": n_rows, "in_w": 1, "in_c": depth, "out_h": n_rows, "out_w": 1, "out_c": units,
    }  # fmt: skip


def _recurrent(network: Network, op: Op, first: Tensor, output: Tensor, inputs: list[Tensor]) -> dict[str, Any]:
    matrices = [t for t in inputs if t.is_constant and len(t.shape) == 2]
    units = matrices[0].shape[0] if matrices else output.shape[-1]
    time_major = bool(op.attrs.get("time_major"))
    shape = first.shape if len(first.shape) == 3 else (1, *first.shape)
    steps, batch = (shape[0], shape[1]) if time_major else (shape[1], shape[0])
    row: dict[str, Any] = {"batch": batch, "in_h": steps, "in_w": 1, "in_c": shape[2], "out_h": steps, "out_w": 1}
    row |= {"out_c": units, "n_inputs": 1, "in2_elements": 0}
    if matrices:
        row |= {"weight_bits": matrices[0].bits, "weight_sparsity": matrices[0].sparsity}
    if op.kind == "svdf":
        row["kernel_h"] = matrices[1].shape[1] if len(matrices) > 1 else 1
    return row


def _pool(network: Network, op: Op, first: Tensor, output: Tensor, inputs: list[Tensor]) -> dict[str, Any]:
    return {"kernel_h": op.attrs["kernel_h"], "kernel_w": op.attrs["kernel_w"]}


def _reduce(network: Network, op: Op, first: Tensor, output: Tensor, inputs: list[Tensor]) -> dict[str, Any]:
    # The window that one output gathers; over h and w for the usual global mean.
    _, h, w, c = nhwc(first.shape)
    if first.elements == output.elements * h * w:
        return {"kernel_h": h, "kernel_w": w, "out_h": 1, "out_w": 1, "out_c": c}
    return {"kernel_h": max(1, first.elements // output.elements), "kernel_w": 1}


_FAMILIES = {"conv": _conv, "matmul": _matmul, "recurrent": _recurrent, "pool": _pool, "reduce": _reduce}
