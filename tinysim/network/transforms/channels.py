"""Which channels of which tensors go together, and a network without some of them.

A channel is an element of a tensor's last axis. Convolutions and fully connected layers separate the channels of
their input from those of their output; all other operators tie them: a channel goes only if all that it is tied to go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError
from tinysim.network.check import check_network
from tinysim.network.graph import Network, Op, Quantization, Tensor
from tinysim.network.kinds import FAMILY

__all__ = ["Mask", "Masks", "is_separator", "keep_channels", "tie", "weight_axes"]

Mask = NDArray[np.bool_]
#: tensor -> channels to keep
Masks = dict[int, Mask]

#: Operators whose output channel i comes from input channel i alone.
_CHANNELWISE = frozenset(
    {"depthwise_conv2d", "resize_bilinear", "resize_nearest_neighbor", "pad", "padv2", "mirror_pad"}
)


def is_separator(network: Network, op: Op) -> bool:
    """Whether the operator has weights between all its input and all its output channels."""
    if op.kind not in {"conv2d", "fully_connected"}:
        return False
    x, weights = (network.tensors[t] for t in op.inputs[:2])
    return weights.is_constant and weights.shape[-1] == x.shape[-1]


def weight_axes(op: Op) -> tuple[int, int]:
    """Axes of output and input channels in the weights of a separator."""
    return (0, 3) if op.kind == "conv2d" else (0, 1)


def tie(network: Network, masks: Masks, demand: Callable[[Op, Mask], Mask]) -> Masks:
    """The smallest masks that hold `masks`, what separators `demand` of their inputs, and all ties.

    `demand(op, kept_outputs)` gives the input channels that a separator needs for those outputs.
    """
    keep = {t: np.zeros(_channels(tensor), bool) for t, tensor in enumerate(network.tensors)}
    for t, mask in masks.items():
        keep[t] |= mask
    for t in network.inputs + network.outputs:
        keep[t][:] = True
    before = -1
    while (count := sum(int(mask.sum()) for mask in keep.values())) != before:
        before = count
        for op in reversed(network.ops):
            if is_separator(network, op):
                keep[op.inputs[0]] |= demand(op, keep[op.outputs[0]])
            else:
                for a, b in _ties(network, op, keep):
                    both = a | b
                    a[...], b[...] = both, both
    return keep


def _channels(tensor: Tensor) -> int:
    return tensor.shape[-1] if tensor.shape else 1


def _ties(network: Network, op: Op, keep: Masks) -> Iterator[tuple[Mask, Mask]]:
    """Pairs of views of masks that must be equal."""
    active = [t for t in op.inputs if t >= 0 and not network.tensors[t].is_constant]
    out = op.outputs[0] if op.outputs else None
    if out is None or not active or len(op.outputs) > 1:
        pass
    elif op.kind in _CHANNELWISE and len(keep[out]) % len(keep[active[0]]) == 0:
        multiplier = len(keep[out]) // len(keep[active[0]])
        for i in range(multiplier):
            yield keep[out][i::multiplier], keep[active[0]]
        return
    elif FAMILY[op.kind] == "pool" or _reduces_pixels(network, op):
        yield keep[out], keep[active[0]]
        return
    elif FAMILY[op.kind] == "elementwise":
        for t in active:
            if len(keep[t]) == len(keep[out]):
                yield keep[out], keep[t]
        return
    elif (
        op.kind == "concatenation"
        and op.attrs.get("axis", -1) % len(network.tensors[out].shape) == len(network.tensors[out].shape) - 1
    ):
        start = 0
        for t in active:
            yield keep[out][start : start + len(keep[t])], keep[t]
            start += len(keep[t])
        return
    elif FAMILY[op.kind] == "view" and len(keep[out]) % len(keep[active[0]]) == 0 and _flattens(network, op):
        pixels = len(keep[out]) // len(keep[active[0]])
        for i in range(pixels):
            yield keep[out][i * len(keep[active[0]]) :][: len(keep[active[0]])], keep[active[0]]
        return
    for t in (*active, *op.outputs):  # anything else needs all its channels
        if t >= 0:
            keep[t][:] = True


def _reduces_pixels(network: Network, op: Op) -> bool:
    x, out = network.tensors[op.inputs[0]], network.tensors[op.outputs[0]]
    axes = network.tensors[op.inputs[1]].data if FAMILY[op.kind] == "reduce" and len(op.inputs) > 1 else None
    return axes is not None and len(x.shape) - 1 not in axes % len(x.shape) and x.shape[-1] == out.shape[-1]


def _flattens(network: Network, op: Op) -> bool:
    """Whether a view keeps the batch axis and folds all others (or only axes of size 1) into the channels."""
    x, out = network.tensors[op.inputs[0]].shape, network.tensors[op.outputs[0]].shape
    return len(x) > 1 and len(out) > 1 and x[0] == out[0] and math.prod(out[:-1]) == x[0]


def keep_channels(network: Network, masks: Mapping[int, Mask]) -> Network:
    """The network with only the channels in `masks` (which must agree with all ties, as `tie` makes them).

    Raises:
        NetworkError: a tensor would lose all its channels.
    """
    tensors = list(network.tensors)
    for t, mask in masks.items():
        if not tensors[t].is_constant and tensors[t].shape and not mask.all():
            if not mask.any():
                raise NetworkError(f"{network.name}: tensor {t} ({tensors[t].name!r}) would lose all its channels")
            tensors[t] = replace(tensors[t], shape=(*tensors[t].shape[:-1], int(mask.sum())))
    for op in network.ops:
        for t, axis, mask in _constant_slices(network, op, masks):
            tensors[t] = _take(tensors[t], axis, mask)
        if FAMILY[op.kind] == "view" and len(op.inputs) > 1:
            shape = tensors[op.outputs[0]].shape
            tensors[op.inputs[1]] = _index_vector(tensors[op.inputs[1]], shape)
    made = replace(network, tensors=tuple(tensors), file_bytes=None)
    check_network(made)
    return made


def _constant_slices(network: Network, op: Op, masks: Mapping[int, Mask]) -> Iterator[tuple[int, int, Mask]]:
    """(constant, axis, mask) for the weights, biases and other constants that an operator reads."""
    out = masks[op.outputs[0]] if op.outputs else np.ones(1, bool)
    if is_separator(network, op):
        out_axis, in_axis = weight_axes(op)
        yield op.inputs[1], out_axis, out
        yield op.inputs[1], in_axis, masks[op.inputs[0]]
        constants: tuple[int, ...] = op.inputs[2:3]
    elif op.kind == "depthwise_conv2d":
        yield op.inputs[1], 3, out
        constants = op.inputs[2:3]
    elif FAMILY[op.kind] == "elementwise":
        constants = op.inputs
    else:
        return
    for t in constants:
        tensor = network.tensors[t] if t >= 0 else None
        if tensor and tensor.is_constant and tensor.shape and tensor.shape[-1] == len(out) and len(out) > 1:
            yield t, len(tensor.shape) - 1, out


def _take(tensor: Tensor, axis: int, mask: Mask) -> Tensor:
    if mask.all() or tensor.shape[axis] != len(mask):
        return tensor
    shape = (*tensor.shape[:axis], int(mask.sum()), *tensor.shape[axis + 1 :])
    data = None if tensor.data is None else np.compress(mask, tensor.data, axis=axis)
    quantization = tensor.quantization
    if quantization and len(quantization.scale) == len(mask) and quantization.axis == axis:
        chosen = np.flatnonzero(mask).tolist()
        quantization = Quantization(
            tuple(quantization.scale[i] for i in chosen), tuple(quantization.zero_point[i] for i in chosen), axis
        )
    sparsity = tensor.sparsity if data is None else _zero_fraction(data, quantization)
    return replace(tensor, shape=shape, data=data, quantization=quantization, sparsity=sparsity)


def _zero_fraction(data: NDArray[Any], quantization: Quantization | None) -> float:
    zero = quantization.zero_point[0] if quantization else 0
    return float(1.0 - np.count_nonzero(data != zero) / max(1, data.size))


def _index_vector(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tensor.data is None or tensor.data.shape != (len(shape),):
        return tensor
    return replace(tensor, data=np.array(shape, tensor.data.dtype))
