"""Number formats: int8, int16x8, float32, and 2, 4 or 8 bits per layer for weights and activations apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError, nearest
from tinysim.network.graph import Network, Op, Quantization, Tensor
from tinysim.network.kinds import FAMILY
from tinysim.network.quantization import (
    Format,
    activation_quantization,
    bias_quantization,
    number_format,
    share_scales,
    weight_quantization,
)
from tinysim.network.transforms.rewrite import Draft

__all__ = ["convert_constant", "quantize", "real_values"]

#: bits -> type
_DTYPE_OF_BITS = {2: "int2", 4: "int4", 8: "int8", 16: "int16", 32: "float32"}
_FIXED = {"softmax": "softmax", "logistic": "logistic", "tanh": "tanh", "hard_swish": "hard_swish"}
#: axis of output channels in the weights, None for one scale for all
_CHANNEL_AXIS = {"conv2d": 0, "transpose_conv": 0, "depthwise_conv2d": 3}


def quantize(
    network: Network,
    number: str = "int8",
    *,
    weight_bits: int | Mapping[str, int] | None = None,
    activation_bits: int | Mapping[str, int] | None = None,
) -> Network:
    """The network in another number format: "int8", "int16x8", "float32", "float16", "dynamic-range".

    `weight_bits` and `activation_bits` (2, 4, 8, 16 or 32) override it for all layers or for the layers named; the
    activation of a layer is its output. Weights with values are rounded symmetrically, zeros stay zero; back in float32
    they have their rounded values. QUANTIZE and DEQUANTIZE operators that no longer change the type go.

    Raises:
        NetworkError: an unknown format, layer or number of bits.
    """
    target = number_format(number)
    _check_layers(network, weight_bits, activation_bits)
    draft = Draft(network)
    outputs_of: dict[int, Op] = {t: op for op in network.ops for t in op.outputs}
    for t, tensor in enumerate(draft.tensors):
        if tensor.is_constant or tensor.dtype in {"int32", "int64", "bool", "string", "resource"}:
            continue
        made_by = outputs_of.get(t)
        dtype = _bits_type(activation_bits, made_by, target.activation)
        if tensor.is_variable and tensor.dtype == "int16" and target.activation == "int8":
            dtype = "int16"
        draft.tensors[t] = replace(tensor, dtype=dtype, quantization=activation_quantization(dtype, _function(made_by)))
    for i, op in enumerate(network.ops):
        draft.ops[i] = _with_constants(draft, op, target, weight_bits)
    _drop_idle_casts(draft)
    return share_scales(draft.done())


def _check_layers(network: Network, *choices: int | Mapping[str, int] | None) -> None:
    names = {op.name for op in network.ops}
    for choice in choices:
        for name in choice if isinstance(choice, Mapping) else ():
            if name not in names:
                raise NetworkError(f"{network.name}: no layer {name!r}; {nearest(name, names)}")


def _bits_type(choice: int | Mapping[str, int] | None, op: Op | None, default: str) -> str:
    bits = choice if isinstance(choice, int) else (choice or {}).get(op.name if op else "")
    if bits is None:
        return default
    if bits not in _DTYPE_OF_BITS:
        raise NetworkError(f"{bits} bits; accepted: {', '.join(map(str, _DTYPE_OF_BITS))}")
    return _DTYPE_OF_BITS[bits]


def _function(op: Op | None) -> str:
    if op is None:
        return "none"
    return str(_FIXED.get(op.kind) or (op.kind if op.kind in {"relu", "relu6"} else op.attrs.get("activation", "none")))


def _with_constants(draft: Draft, op: Op, target: Format, weight_bits: int | Mapping[str, int] | None) -> Op:
    """The operator with weights and biases of the target's types."""
    family = FAMILY[op.kind]
    inputs = list(op.inputs)
    weighty = family in {"conv", "recurrent"} or op.kind == "fully_connected"
    dtype = _bits_type(weight_bits, op, target.weight)
    x = draft.tensors[inputs[2 if op.kind == "transpose_conv" else 0]] if inputs else None
    bias_at = 3 if op.kind == "transpose_conv" else 2
    for position, t in enumerate(inputs):
        tensor = draft.tensors[t] if t >= 0 else None
        if tensor is None or not tensor.is_constant or _is_index(op, position, tensor):
            continue
        if weighty and len(tensor.shape) > 1:
            axis = _CHANNEL_AXIS.get(op.kind)
            per_channel = axis is None and tensor.quantization is not None and len(tensor.quantization.scale) > 1
            quantization = weight_quantization(tensor.shape, dtype, 0 if per_channel else axis)
            inputs[position] = draft.add(convert_constant(tensor, dtype, quantization))
        elif weighty and (position == bias_at or family == "recurrent"):
            weights = draft.tensors[inputs[1]]
            quantization = bias_quantization(x.quantization if x else None, weights.quantization)
            inputs[position] = draft.add(convert_constant(tensor, target.bias, quantization))
        else:
            quantization = activation_quantization(target.activation)
            inputs[position] = draft.add(convert_constant(tensor, target.activation, quantization))
    return replace(op, inputs=tuple(inputs))


def _is_index(op: Op, position: int, tensor: Tensor) -> bool:
    """Whether a constant is a shape, axes or indices rather than numbers to compute with."""
    biased = FAMILY[op.kind] in {"conv", "recurrent"} or op.kind == "fully_connected"
    is_bias = biased and position >= 2 and tensor.quantization is not None
    return tensor.dtype in {"int32", "int64", "bool"} and not is_bias and not (biased and position == 2)


def convert_constant(tensor: Tensor, dtype: str, quantization: Quantization | None) -> Tensor:
    """A constant in another type; values are rounded to the scale that covers them, one per channel if asked."""
    if tensor.data is None:
        return replace(tensor, dtype=dtype, quantization=quantization)
    real = real_values(tensor)
    if quantization is None:
        return replace(tensor, dtype=dtype, quantization=None, data=real.astype(dtype))
    top = {"int2": 1, "int4": 7, "int8": 127, "uint8": 255, "int16": 32767}.get(dtype, 2**31 - 1)
    if len(quantization.scale) > 1 and dtype in {"int2", "int4", "int8"}:
        axis = quantization.axis
        others = tuple(i for i in range(real.ndim) if i != axis)
        scale = np.maximum(np.abs(real).max(axis=others), 1e-12) / top
        quantization = Quantization(tuple(scale.tolist()), (0,) * len(scale), axis)
        scale = scale.reshape([-1 if i == axis else 1 for i in range(real.ndim)])
    elif dtype in {"int32", "int64"}:
        scale = np.array(quantization.scale)
    else:
        scale = np.maximum(np.abs(real).max(initial=0.0), 1e-12) / top
        quantization = Quantization((float(scale),), (0,))
    whole = np.clip(np.rint(real / scale), -top - 1, top)
    stored = "int8" if dtype in {"int2", "int4"} else dtype
    data = whole.astype(stored)
    sparsity = 1.0 - np.count_nonzero(data) / max(1, data.size)
    return replace(tensor, dtype=dtype, quantization=quantization, data=data, sparsity=float(sparsity))


def real_values(tensor: Tensor) -> NDArray[np.float64]:
    """The values of a constant as real numbers."""
    assert tensor.data is not None
    q = tensor.quantization
    if q is None:
        return tensor.data.astype(np.float64)
    shape = [-1 if i == q.axis and len(q.scale) > 1 else 1 for i in range(tensor.data.ndim)]
    real: NDArray[np.float64] = (tensor.data - np.reshape(q.zero_point, shape)) * np.reshape(q.scale, shape)
    return real


def _drop_idle_casts(draft: Draft) -> None:
    for i, op in enumerate(draft.ops):
        if op and op.kind in {"quantize", "dequantize"}:
            x, y = op.inputs[0], op.outputs[0]
            if draft.tensors[x].dtype == draft.tensors[y].dtype:
                draft.redirect(y, x)
                draft.ops[i] = None
