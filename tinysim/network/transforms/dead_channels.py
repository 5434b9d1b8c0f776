"""Remove channels that never change the output: what X-CUBE-AI >= 8.1 and Plumerai do before they run a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinysim.network.graph import Network, Op, Tensor
from tinysim.network.transforms.channels import Mask, is_separator, keep_channels, tie

__all__ = ["eliminate_dead_channels"]

Floats = NDArray[np.float64]

_CLIPS = {"relu": (0.0, np.inf), "relu6": (0.0, 6.0), "relu_n1_to_1": (-1.0, 1.0)}


def eliminate_dead_channels(network: Network) -> Network:
    """The same function with fewer channels.

    A channel is dead if nothing reads it through a non-zero weight, or if it has the same value at every pixel (all
    its weights are zero) and its readers can take that value into their biases. Deadness passes through depthwise
    convolutions, adds, concatenations, pools and flattening. Weights without values count as non-zero.

    The MobileNetV1 of MLPerf Tiny's visual wake words goes from 7,489,664 MACs to half.
    """
    constant = _constant_channels(network)

    def demand(op: Op, kept: Mask) -> Mask:
        weights = network.tensors[op.inputs[1]]
        needed = _reads(weights, kept) if kept.any() else np.zeros(weights.shape[-1], bool)
        value = constant.get(op.inputs[0])
        if value is None or not _foldable(network, op):
            return needed
        known = ~np.isnan(value) if _sees_no_padding(op) else value == 0
        mask: Mask = needed & ~known
        return mask

    masks = tie(network, {}, demand)
    for op in network.ops:  # a layer may be dead altogether; one channel stays so that shapes are valid
        for t in op.outputs:
            if not masks[t].any():
                masks[t][0] = True
    masks = tie(network, masks, demand)
    return keep_channels(_fold_constants(network, masks, constant), masks)


def _zero_points(tensor: Tensor, axis: int) -> NDArray[np.int64]:
    points = tensor.quantization.zero_point if tensor.quantization else (0,)
    shape = [1] * len(tensor.shape)
    if len(points) > 1:
        shape[axis] = -1
    return np.reshape(points, shape)


def _reads(weights: Tensor, kept: Mask) -> Mask:
    """Input channels that the kept filters read through a weight that is not zero."""
    if weights.data is None:
        return np.ones(weights.shape[-1], bool)
    used: Mask = (weights.data[kept] != _zero_points(weights, 0)[:1]).reshape(-1, weights.shape[-1]).any(axis=0)
    return used


def _foldable(network: Network, op: Op) -> bool:
    """Whether the operator has a bias with values that can take up constants."""
    return len(op.inputs) > 2 and op.inputs[2] >= 0 and network.tensors[op.inputs[2]].data is not None


def _sees_no_padding(op: Op) -> bool:
    return not any(op.attrs.get(f"pad_{side}", 0) for side in ("top", "bottom", "left", "right"))


def _scale(tensor: Tensor) -> Floats:
    return np.array(tensor.quantization.scale if tensor.quantization else (1.0,))


def _clip(value: Floats, function: str) -> Floats:
    return np.clip(value, *_CLIPS.get(function, (-np.inf, np.inf)))


def _constant_channels(network: Network) -> dict[int, Floats]:
    """Tensor -> real value of each channel that is the same at every pixel, NaN for the others."""
    known: dict[int, Floats] = {}
    for op in network.ops:
        value = _constant_outputs(network, op, known)
        if value is not None and not np.isnan(value).all():
            known[op.outputs[0]] = value
    return known


def _constant_outputs(network: Network, op: Op, known: dict[int, Floats]) -> Floats | None:
    if op.kind in {*_CLIPS, "avg_pool2d", "max_pool2d", "reshape", "mean"}:
        value = known.get(op.inputs[0])
        channels, out = (network.tensors[t].shape[-1] for t in (op.inputs[0], op.outputs[0]))
        if value is None or out % channels:
            return None
        return _clip(np.tile(value, out // channels), op.kind)
    if op.kind not in {"conv2d", "depthwise_conv2d", "fully_connected"} or not _foldable(network, op):
        return None
    weights, bias = (network.tensors[t] for t in op.inputs[1:3])
    if weights.data is None or bias.data is None:
        return None
    axis = 3 if op.kind == "depthwise_conv2d" else 0
    others = tuple(i for i in range(weights.data.ndim) if i != axis)
    flat = ~(weights.data != _zero_points(weights, axis)).any(axis=others)
    if op.kind == "depthwise_conv2d" and op.inputs[0] in known:
        flat = flat | (np.repeat(known[op.inputs[0]], len(flat) // len(known[op.inputs[0]])) == 0)
    real = _clip(bias.data * _scale(bias), str(op.attrs.get("activation", "none")))
    return np.where(flat, real, np.nan)


def _fold_constants(network: Network, masks: dict[int, Mask], constant: dict[int, Floats]) -> Network:
    """Biases that take up the removed channels' constant values."""
    tensors = list(network.tensors)
    for op in network.ops:
        value = constant.get(op.inputs[0]) if is_separator(network, op) and _foldable(network, op) else None
        if value is None:
            continue
        gone = ~masks[op.inputs[0]] & ~np.isnan(value)
        weights, bias = tensors[op.inputs[1]], tensors[op.inputs[2]]
        if not gone.any() or weights.data is None or bias.data is None:
            continue
        real = (weights.data - _zero_points(weights, 0)) * _scale(weights).reshape(-1, *[1] * (weights.data.ndim - 1))
        added = real[..., gone] @ value[gone]
        total = bias.data + added.reshape(len(added), -1).sum(axis=1) / _scale(bias)
        folded = np.rint(total) if np.issubdtype(bias.data.dtype, np.integer) else total
        tensors[op.inputs[2]] = replace(bias, data=folded.astype(bias.data.dtype))
    return replace(network, tensors=tuple(tensors))
