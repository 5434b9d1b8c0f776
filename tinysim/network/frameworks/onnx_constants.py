"""ONNX operators on constants: the arithmetic of shapes that exporters leave in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError

__all__ = ["FOLDABLE", "constant_value", "fold"]

_MOST_ELEMENTS = 2**24

Array = NDArray[Any]


def fold(kind: str, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> list[Array]:
    """The outputs of an operator whose inputs are all constants."""
    result = _FOLDS[kind](list(inputs), attrs)
    outputs = result if isinstance(result, list) else [result]
    if any(np.size(array) > _MOST_ELEMENTS for array in outputs):
        raise NetworkError("makes a constant of more than 16 M elements")
    return outputs


def constant_value(attrs: Mapping[str, Any]) -> Array:
    """Value of a Constant operator."""
    from onnx import numpy_helper

    if "value" in attrs:
        return np.asarray(numpy_helper.to_array(attrs["value"]))
    for key, dtype in (
        ("value_int", np.int64),
        ("value_ints", np.int64),
        ("value_float", np.float32),
        ("value_floats", np.float32),
    ):
        if key in attrs:
            return np.asarray(attrs[key], dtype)
    raise NetworkError("a constant without a value")


def _constant_of_shape(inputs: list[Array], attrs: Mapping[str, Any]) -> Array:
    shape = [int(n) for n in inputs[0]]
    if int(np.prod(shape)) > _MOST_ELEMENTS:
        raise NetworkError("makes a constant of more than 16 M elements")
    return np.full(shape, constant_value(attrs).reshape(-1)[0] if "value" in attrs else 0.0)


def _range(inputs: list[Array], attrs: Mapping[str, Any]) -> Array:
    start, limit, step = (np.asarray(a).reshape(()).item() for a in inputs)
    if step == 0 or abs((limit - start) / step) > _MOST_ELEMENTS:
        raise NetworkError("makes a constant of more than 16 M elements")
    return np.arange(start, limit, step)


def _slice(inputs: list[Array], attrs: Mapping[str, Any]) -> Array:
    data, starts, ends, *rest = inputs
    axes = rest[0] if rest and rest[0] is not None else np.arange(len(starts))
    steps = rest[1] if len(rest) > 1 and rest[1] is not None else np.ones(len(starts), np.int64)
    index: list[slice] = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[int(axis)] = slice(int(start), int(end), int(step))
    return np.asarray(data[tuple(index)])


def _axes(inputs: list[Array], attrs: Mapping[str, Any]) -> list[int]:
    found = inputs[1] if len(inputs) > 1 and inputs[1] is not None else attrs.get("axes", [])
    return [int(axis) for axis in np.reshape(found, -1)]


def _squeeze(inputs: list[Array], attrs: Mapping[str, Any]) -> Array:
    return np.squeeze(inputs[0], tuple(_axes(inputs, attrs)) or None)


def _unsqueeze(inputs: list[Array], attrs: Mapping[str, Any]) -> Array:
    return np.expand_dims(inputs[0], tuple(_axes(inputs, attrs)))


def _cast(inputs: list[Array], attrs: Mapping[str, Any]) -> Array:
    from onnx import helper

    return np.asarray(inputs[0]).astype(helper.tensor_dtype_to_np_dtype(attrs["to"]))


def _reshape(inputs: list[Array], attrs: Mapping[str, Any]) -> Array:
    shape = [inputs[0].shape[i] if n == 0 else int(n) for i, n in enumerate(inputs[1])]
    return np.reshape(inputs[0], shape)


def _dequantize(inputs: list[Array], attrs: Mapping[str, Any]) -> Array:
    data, scale, *zero = inputs
    shape = [-1 if i == attrs.get("axis", 1) % max(1, data.ndim) else 1 for i in range(data.ndim)]
    aligned = [np.reshape(a, shape) if np.size(a) > 1 else np.reshape(a, ()) for a in (scale, *zero)]
    point = aligned[1] if len(aligned) > 1 else 0
    return ((data.astype(np.float32) - point) * aligned[0]).astype(np.float32)


def _whole_div(inputs: list[Array], attrs: Mapping[str, Any]) -> Array:
    a, b = inputs
    return a // b if np.issubdtype(np.asarray(a).dtype, np.integer) else a / b


_FOLDS: dict[str, Callable[[list[Array], Mapping[str, Any]], Any]] = {
    "Constant": lambda inputs, attrs: constant_value(attrs),
    "ConstantOfShape": _constant_of_shape,
    "Shape": lambda inputs, attrs: np.array(np.shape(inputs[0]), np.int64),
    "Range": _range,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Cast": _cast,
    "Reshape": _reshape,
    "DequantizeLinear": _dequantize,
    "Gather": lambda inputs, attrs: np.take(inputs[0], inputs[1].astype(np.int64), axis=attrs.get("axis", 0)),
    "Concat": lambda inputs, attrs: np.concatenate([np.atleast_1d(a) for a in inputs], axis=attrs["axis"]),
    "Transpose": lambda inputs, attrs: np.transpose(inputs[0], attrs.get("perm")),
    "Identity": lambda inputs, attrs: inputs[0],
    "Add": lambda inputs, attrs: inputs[0] + inputs[1],
    "Sub": lambda inputs, attrs: inputs[0] - inputs[1],
    "Mul": lambda inputs, attrs: inputs[0] * inputs[1],
    "Div": _whole_div,
    "Sqrt": lambda inputs, attrs: np.sqrt(inputs[0]),
    "Equal": lambda inputs, attrs: inputs[0] == inputs[1],
    "Where": lambda inputs, attrs: np.where(*inputs),
    "Expand": lambda inputs, attrs: np.broadcast_to(inputs[0], [int(n) for n in inputs[1]]),
}
#: Operators that are computed when all their inputs are constants.
FOLDABLE = frozenset(_FOLDS)
