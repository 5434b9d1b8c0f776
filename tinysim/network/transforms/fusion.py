"""Fusion: what converters fold away before a network runs.

Each function is pure and leaves alone what does not match. `fuse` runs them all, as the readers of ONNX, PyTorch and
Keras do, so that the same network has the same layers whatever it came from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.network.graph import Network, Op, Tensor
from tinysim.network.quantization import bias_quantization
from tinysim.network.shapes import window
from tinysim.network.transforms.quantize import real_values
from tinysim.network.transforms.rewrite import Draft
from tinysim.network.transforms.views import simplify_views, sink_views

__all__ = [
    "fold_scales",
    "fold_softmax_scale",
    "fuse",
    "fuse_activations",
    "fuse_pads",
    "fuse_transposes",
    "split_pads",
]

_WEIGHTY = frozenset({"conv2d", "depthwise_conv2d", "fully_connected"})
_FUSABLE = frozenset({"relu", "relu6", "relu_n1_to_1"})
_ACTIVATED = _WEIGHTY | {"add", "sub", "mul", "div", "max_pool2d", "avg_pool2d", "transpose_conv"}
_SIDES = ("pad_top", "pad_bottom", "pad_left", "pad_right")


def fuse(network: Network) -> Network:
    """All fusions: constant scales and shifts, pads, transposes, softmax scales, activations, idle views."""
    folded = fold_softmax_scale(fuse_transposes(fuse_pads(fold_scales(sink_views(network)))))
    return fuse_activations(simplify_views(folded))


def fold_scales(network: Network) -> Network:
    """Fold multiplications by and additions of a constant per channel (batch norms, biases) into the layer before.

    w' = w s, b' = b s + t. Where values are unknown, shapes follow and values stay unknown.
    """
    draft = Draft(network)
    producer, readers = draft.producer(), draft.readers()
    for i, op in enumerate(draft.ops):
        if not op or op.kind not in {"mul", "add", "sub"}:
            continue
        x, constant = _activation_and_constant(draft, op)
        source = draft.ops[producer[x]] if x in producer else None
        if constant is None or source is None or source.kind not in _WEIGHTY or source.attrs["activation"] != "none":
            continue
        channels = draft.tensors[x].shape[-1]
        per_channel = draft.tensors[constant].elements == channels
        if not per_channel or draft.only_reader(readers, x) is not op or (op.kind == "sub" and op.inputs[0] != x):
            continue
        merged = _scaled(draft, source, constant) if op.kind == "mul" else _shifted(draft, source, constant, op.kind)
        attrs = dict(merged.attrs) | {"activation": op.attrs.get("activation", "none")}
        draft.ops[producer[x]] = replace(merged, outputs=op.outputs, attrs=attrs)
        producer[op.outputs[0]] = producer[x]
        draft.ops[i] = None
    return draft.done()


def _activation_and_constant(draft: Draft, op: Op) -> tuple[int, int | None]:
    a, b = op.inputs[:2]
    if draft.tensors[b].is_constant:
        return a, b
    return (b, a) if draft.tensors[a].is_constant else (a, None)


def _values(draft: Draft, t: int, channels: int) -> NDArray[Any] | None:
    data = draft.tensors[t].data
    return None if data is None else np.broadcast_to(data.reshape(-1), (channels,))


def _with_bias(draft: Draft, op: Op) -> tuple[int, Tensor]:
    """The bias of a layer, a new one of zeros if it has none."""
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        return op.inputs[2], draft.tensors[op.inputs[2]]
    x, weights = (draft.tensors[t] for t in op.inputs[:2])
    channels = draft.tensors[op.outputs[0]].shape[-1]
    dtype = {"int8": "int32", "int16": "int64"}.get(x.dtype, x.dtype)
    quantization = bias_quantization(x.quantization, weights.quantization)
    data = None if weights.data is None else np.zeros(channels, dtype)
    bias = Tensor(f"{op.name}/bias", (channels,), dtype, is_constant=True, quantization=quantization, data=data)
    return draft.add(bias), bias


def _is_float(tensor: Tensor) -> bool:
    return tensor.dtype.startswith("float")


def _scaled(draft: Draft, op: Op, constant: int) -> Op:
    weights = draft.tensors[op.inputs[1]]
    axis = 3 if op.kind == "depthwise_conv2d" else 0
    channels = weights.shape[axis]
    scale = _values(draft, constant, channels)
    inputs = list(op.inputs)
    for position, where in ((1, axis), (2, 0)):
        if position >= len(inputs) or inputs[position] < 0:
            continue
        old = draft.tensors[inputs[position]]
        if scale is None or old.data is None or not _is_float(old):
            continue  # quantized weights keep their integers; their scales absorb the factor
        shape = [-1 if i == where else 1 for i in range(old.data.ndim)]
        data = (old.data * scale.reshape(shape)).astype(old.data.dtype)
        inputs[position] = draft.add(replace(old, data=data))
    return replace(op, inputs=tuple(inputs))


def _shifted(draft: Draft, op: Op, constant: int, kind: str) -> Op:
    position, bias = _with_bias(draft, op)
    shift = _values(draft, constant, bias.shape[0])
    data = None
    if shift is not None and bias.data is not None and _is_float(bias):
        data = (bias.data + (shift if kind == "add" else -shift)).astype(bias.data.dtype)
        position = draft.add(replace(bias, data=data))
    return replace(op, inputs=(*op.inputs[:2], position))


def fuse_activations(network: Network) -> Network:
    """Fold ReLU and its clipped forms into the operator before."""
    draft = Draft(network)
    producer, readers = draft.producer(), draft.readers()
    for i, op in enumerate(draft.ops):
        if not op or op.kind not in _FUSABLE or op.inputs[0] not in producer:
            continue
        source = draft.ops[producer[op.inputs[0]]]
        if not source or source.kind not in _ACTIVATED or source.attrs.get("activation", "none") != "none":
            continue
        if draft.only_reader(readers, op.inputs[0]) is not op:
            continue
        position = producer[op.inputs[0]]
        draft.ops[position] = replace(source, outputs=op.outputs, attrs=dict(source.attrs) | {"activation": op.kind})
        producer[op.outputs[0]] = position
        draft.ops[i] = None
    return draft.done()


def fuse_pads(network: Network) -> Network:
    """Fold padding with zeros into the convolution that alone reads it; what equals SAME is called so."""
    draft = Draft(network)
    readers = draft.readers()
    for i, op in enumerate(draft.ops):
        if not op or op.kind != "pad" or "pad_top" not in op.attrs or not _pads_pixels(draft, op):
            continue
        reader = draft.only_reader(readers, op.outputs[0])
        if reader is None or reader.kind not in {"conv2d", "depthwise_conv2d"} or reader.inputs[0] != op.outputs[0]:
            continue
        amounts = {side: op.attrs[side] + reader.attrs.get(side, 0) for side in _SIDES}
        kernel = draft.tensors[reader.inputs[1]].shape[1:3]
        label = _padding_label(draft.tensors[op.inputs[0]].shape, kernel, reader, amounts)
        position = draft.ops.index(reader)
        attrs = dict(reader.attrs) | amounts | {"padding": label}
        draft.ops[position] = replace(reader, inputs=(op.inputs[0], *reader.inputs[1:]), attrs=attrs)
        draft.ops[i] = None
    return draft.done()


def _pads_pixels(draft: Draft, op: Op) -> bool:
    """Whether the amounts are all in `pad_top` .. `pad_right` (none on batch or channels)."""
    x, out = draft.tensors[op.inputs[0]].shape, draft.tensors[op.outputs[0]].shape
    return len(x) == 4 and x[0] == out[0] and x[3] == out[3]


def _padding_label(shape: tuple[int, ...], kernel: tuple[int, ...], op: Op, amounts: dict[str, int]) -> str:
    if not any(amounts.values()):
        return "valid"
    same: list[int] = []
    for axis, letter in enumerate("hw"):
        stride, dilation = op.attrs.get(f"stride_{letter}", 1), op.attrs.get(f"dilation_{letter}", 1)
        same += window(shape[1 + axis], kernel[axis], stride, dilation, "same")[1:]
    return "same" if same == [amounts[side] for side in _SIDES] else "explicit"


def split_pads(network: Network) -> Network:
    """The reverse of `fuse_pads`: padding that is neither SAME nor VALID becomes a pad operator, as TFLite needs it."""
    draft = Draft(network)
    ops: list[Op | None] = []
    for op in network.ops:
        if op.attrs.get("padding") != "explicit":
            ops.append(op)
            continue
        top, bottom, left, right = (int(op.attrs[side]) for side in _SIDES)
        x = draft.tensors[op.inputs[0]]
        n, h, w, c = x.shape
        amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        constant = draft.add(Tensor(f"{op.name}/amounts", (4, 2), "int32", is_constant=True, data=amounts))
        padded = draft.add(replace(x, name=f"{op.name}/pad", shape=(n, h + top + bottom, w + left + right, c)))
        sides = dict(zip(_SIDES, (top, bottom, left, right), strict=True))
        ops.append(Op("pad", (op.inputs[0], constant), (padded,), sides, f"{op.name}/pad"))
        attrs = dict(op.attrs) | dict.fromkeys(_SIDES, 0) | {"padding": "valid"}
        ops.append(replace(op, inputs=(padded, *op.inputs[1:]), attrs=attrs))
    draft.ops = ops
    return draft.done()


def fuse_transposes(network: Network) -> Network:
    """Fold a swap of the last two axes into the matrix product that alone reads it."""
    draft = Draft(network)
    readers = draft.readers()
    for i, op in enumerate(draft.ops):
        if not op or op.kind != "transpose":
            continue
        order = draft.tensors[op.inputs[1]].data
        rank = len(draft.tensors[op.inputs[0]].shape)
        swap = [*range(rank - 2), rank - 1, rank - 2]
        reader = draft.only_reader(readers, op.outputs[0])
        if order is None or rank < 2 or order.tolist() != swap or reader is None or reader.kind != "batch_matmul":
            continue
        side = reader.inputs.index(op.outputs[0])
        key = ("adj_x", "adj_y")[side]
        inputs = tuple(op.inputs[0] if j == side else t for j, t in enumerate(reader.inputs))
        attrs = dict(reader.attrs) | {key: not reader.attrs.get(key, False)}
        draft.ops[draft.ops.index(reader)] = replace(reader, inputs=inputs, attrs=attrs)
        draft.ops[i] = None
    return draft.done()


def fold_softmax_scale(network: Network) -> Network:
    """Fold a product with one number into the softmax that alone reads it: softmax(beta x)."""
    draft = Draft(network)
    readers = draft.readers()
    for i, op in enumerate(draft.ops):
        if not op or op.kind not in {"mul", "div"} or op.attrs.get("activation", "none") != "none":
            continue
        x, constant = _activation_and_constant(draft, op)
        reader = draft.only_reader(readers, op.outputs[0])
        if constant is None or reader is None or reader.kind != "softmax" or op.inputs[0] != x:
            continue
        data = draft.tensors[constant].data
        if draft.tensors[constant].elements != 1 or data is None:
            continue
        factor = float(real_values(draft.tensors[constant]).reshape(-1)[0])
        beta = float(reader.attrs.get("beta", 1.0)) * (factor if op.kind == "mul" else 1.0 / factor)
        attrs = dict(reader.attrs) | {"beta": beta}
        draft.ops[draft.ops.index(reader)] = replace(reader, inputs=(x,), attrs=attrs)
        draft.ops[i] = None
    return draft.done()
