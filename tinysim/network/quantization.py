"""Number formats of a network and the quantization that a converter would give its tensors.

Scales made here are of the right size for random weights, so that written models run with values that don't saturate;
no formula of tinysim reads them. What counts is their number: one per tensor, or one per output channel.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from tinysim.errors import NetworkError, nearest
from tinysim.network.graph import Network, Quantization

__all__ = [
    "FORMATS", "Format", "activation_quantization", "bias_quantization", "number_format", "share_scales",
    "weight_quantization",
]  # fmt: skip


class Format(NamedTuple):
    """Types of a network's numbers."""

    activation: str
    weight: str
    bias: str


#: name -> types; int16x8 is TFLite's 16-bit activations with 8-bit weights
FORMATS = {
    "int8": Format("int8", "int8", "int32"),
    "float32": Format("float32", "float32", "float32"),
    "float16": Format("float16", "float16", "float16"),
    "int16x8": Format("int16", "int8", "int64"),
    "dynamic-range": Format("float32", "int8", "float32"),
}

#: Real range of an activation's output; 8 is wide enough for sums of random weights.
_RANGES = {
    "none": (-8.0, 8.0),
    "relu": (0.0, 8.0),
    "relu6": (0.0, 6.0),
    "relu_n1_to_1": (-1.0, 1.0),
    "relu_0_to_1": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "logistic": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "hard_swish": (-0.375, 8.0),
}


def number_format(name: str) -> Format:
    """Types of the format called `name`.

    Raises:
        NetworkError: no such format.

    >>> number_format("int16x8").activation
    'int16'
    """
    if name not in FORMATS:
        raise NetworkError(f"number format {name!r} is not known; {nearest(name, FORMATS)}")
    return FORMATS[name]


def activation_quantization(dtype: str, function: str = "none") -> Quantization | None:
    """Quantization of an activation tensor of `dtype` that `function` ("relu", "softmax", ...) made; None for floats.

    int8 is asymmetric over the function's range, int16 symmetric. Softmax, logistic and tanh have the fixed scales
    that TFLite demands (1/256, 1/128; 1/32768 at 16 bit).

    >>> activation_quantization("int8", "softmax")
    Quantization(scale=(0.00390625,), zero_point=(-128,), axis=0)
    """
    bits = {"int4": 4, "int8": 8, "uint8": 8, "int16": 16}.get(dtype)
    if bits is None:
        return None
    low, high = _RANGES.get(function, _RANGES["none"])
    if dtype == "int16":
        return Quantization((max(-low, high) / 2**15,), (0,))
    levels = 2**bits
    scale = (high - low) / levels
    lowest = 0 if dtype == "uint8" else -levels // 2
    return Quantization((scale,), (lowest + round(-low / scale),))


def weight_quantization(shape: tuple[int, ...], dtype: str, channel_axis: int | None) -> Quantization | None:
    """Symmetric quantization of weights, per channel along `channel_axis` or per tensor (None); None for floats.

    Uniform integers of b bits have standard deviation 2^b / sqrt(12); scale = sqrt(12) / (2^b sqrt(fan-in)) makes a sum
    over the fan-in as large as its inputs.
    """
    bits = {"int2": 2, "int4": 4, "int8": 8, "int16": 16}.get(dtype)
    if bits is None:
        return None
    channels = shape[0 if channel_axis is None else channel_axis]
    fan_in = max(1, math.prod(shape) // max(1, channels))
    scale = math.sqrt(12.0) / 2**bits / math.sqrt(fan_in)
    n = 1 if channel_axis is None else channels
    return Quantization((scale,) * n, (0,) * n, channel_axis or 0)


def bias_quantization(x: Quantization | None, weights: Quantization | None) -> Quantization | None:
    """Quantization of a bias: scale of the input times that of the weights; None unless both are given."""
    if x is None or weights is None:
        return None
    return Quantization(tuple(x.scale[0] * s for s in weights.scale), (0,) * len(weights.scale))


#: Operators that copy values: TFLite wants their inputs and output quantized alike.
_COPIES = frozenset(
    "avg_pool2d max_pool2d reshape squeeze expand_dims pad mirror_pad concatenation transpose slice strided_slice "
    "split pack unpack gather resize_nearest_neighbor resize_bilinear space_to_depth depth_to_space tile".split()
)


def share_scales(network: Network) -> Network:
    """The network with one quantization, the widest, for all tensors that copying operators connect.

    Biases follow the scales of their inputs.
    """
    tensors = list(network.tensors)
    changed = True
    while changed:
        changed = False
        for op in network.ops:
            tied = [t for t in (*op.inputs, *op.outputs) if t >= 0 and not tensors[t].is_constant]
            ranges = {quantization for t in tied if (quantization := tensors[t].quantization)}
            if op.kind in _COPIES and len(ranges) > 1:
                widest = max(ranges, key=lambda quantization: (quantization.scale, quantization.zero_point))
                for t in tied:
                    tensors[t] = replace(tensors[t], quantization=widest)
                changed = True
    for op in network.ops:
        if op.kind in {"conv2d", "depthwise_conv2d", "fully_connected"} and len(op.inputs) > 2:
            x, weights, bias = op.inputs[:3]
            scales = bias_quantization(tensors[x].quantization, tensors[weights].quantization)
            tensors[bias] = replace(tensors[bias], quantization=scales)
    return replace(network, tensors=tuple(tensors))
