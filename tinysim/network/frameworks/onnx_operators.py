"""ONNX operators in terms of the channels-first builder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError
from tinysim.network.frameworks.channels_first import ChannelsFirst, Value
from tinysim.network.frameworks.torch_shapes import SHAPE_OPERATORS

__all__ = ["OPERATORS", "Node", "conv_with"]

To = ChannelsFirst
Array = NDArray[Any]


class Node(NamedTuple):
    """Inputs (values, constants or None), attributes, number of outputs."""

    inputs: Sequence[Any]
    attrs: Mapping[str, Any]
    outputs: int

    def value(self, position: int) -> Value:
        """The activation at an input."""
        found = self.inputs[position] if position < len(self.inputs) else None
        if not isinstance(found, Value):
            raise NetworkError(f"input {position} must depend on the network's input")
        return found

    def constant(self, position: int) -> Array | None:
        """The constant at an input, None if absent."""
        found = self.inputs[position] if position < len(self.inputs) else None
        if isinstance(found, Value):
            raise NetworkError(f"input {position} must be a constant")
        return found

    def needed(self, position: int) -> Array:
        """The constant at an input, which must be there."""
        found = self.constant(position)
        if found is None:
            raise NetworkError(f"input {position} is missing")
        return found

    def ints(self, name: str, default: Sequence[int]) -> list[int]:
        """A list of whole numbers."""
        return [int(n) for n in self.attrs.get(name, default)]

    def axes(self, position: int, default: Sequence[int]) -> list[int]:
        """Axes, given as an input (newer opsets) or as an attribute."""
        found = self.constant(position)
        return self.ints("axes", default) if found is None else [int(n) for n in np.reshape(found, -1)]


def _bias(array: Array | None) -> Array | bool:
    return False if array is None else array


def _padding(node: Node, count: int) -> Sequence[int] | str:
    auto = node.attrs.get("auto_pad", b"NOTSET")
    mode = auto.decode() if isinstance(auto, bytes) else str(auto)
    if mode == "SAME_UPPER":
        return "same"
    if mode == "VALID":
        return "valid"
    if mode == "SAME_LOWER":
        raise NetworkError("auto_pad SAME_LOWER; accepted: NOTSET, SAME_UPPER, VALID")
    return node.ints("pads", [0] * 2 * count)


def conv_with(to: To, node: Node, x: Value, weights: Array, bias: Array | None) -> Value:
    """A convolution with the attributes of `node`."""
    count = weights.ndim - 2
    return to.conv(
        x, weights, _bias(bias), stride=node.ints("strides", [1] * count), padding=_padding(node, count),
        dilation=node.ints("dilations", [1] * count), groups=int(node.attrs.get("group", 1)),
    )  # fmt: skip


def _conv(to: To, node: Node) -> Value:
    return conv_with(to, node, node.value(0), node.needed(1), node.constant(2))


def _conv_transpose(to: To, node: Node) -> Value:
    weights = node.needed(1)
    count = weights.ndim - 2
    pads = _padding(node, count)
    if node.attrs.get("group", 1) != 1 or isinstance(pads, str):
        raise NetworkError("accepted: one group and explicit pads")
    return to.transpose_conv(
        node.value(0), weights, _bias(node.constant(2)), stride=node.ints("strides", [1] * count), padding=pads,
        extra=node.ints("output_padding", [0] * count),
    )  # fmt: skip


def _batch_norm(to: To, node: Node) -> Value:
    gamma, beta, mean, var = (node.needed(i) for i in (1, 2, 3, 4))
    scale = gamma / np.sqrt(var + float(node.attrs.get("epsilon", 1e-5)))
    return to.scale_shift(node.value(0), scale, beta - mean * scale)


def _gemm(to: To, node: Node) -> Value:
    if node.attrs.get("transA"):
        raise NetworkError("transA = 1; accepted: 0")
    weights = node.needed(1)
    bias = node.constant(2)
    flat = (
        bias
        if bias is None
        else np.broadcast_to(np.reshape(bias, -1), (weights.shape[0 if node.attrs.get("transB") else 1],))
    )
    return to.linear(node.value(0), weights if node.attrs.get("transB") else weights.T, _bias(flat))


def _matmul(to: To, node: Node) -> Value:
    x, y = node.inputs[:2]
    if isinstance(x, Value) and isinstance(y, Value):
        return to.matmul(x, y)
    weights = node.needed(1)
    if weights.ndim != 2:
        raise NetworkError(f"weights of shape {weights.shape}; accepted: a matrix")
    return to.linear(node.value(0), weights.T, False)


def _unary(kind: str) -> Callable[[To, Node], Value]:
    return lambda to, node: to.unary(kind, node.value(0))


def _leaky_relu(to: To, node: Node) -> Value:
    return to.unary("leaky_relu", node.value(0), alpha=float(node.attrs.get("alpha", 0.01)))


def _binary(kind: str) -> Callable[[To, Node], Value]:
    def build(to: To, node: Node) -> Value:
        x, y = node.inputs[:2]
        if isinstance(x, Value) and isinstance(y, Value):
            return to.binary(kind, x, y)
        first = not isinstance(x, Value)
        value, constant = (node.value(1), node.needed(0)) if first else (x, node.needed(1))
        return to.with_constant(kind, value, np.asarray(constant), constant_first=first)

    return build


def _clip(to: To, node: Node) -> Value:
    low, high = (None if (bound := node.constant(i)) is None else float(np.reshape(bound, ())) for i in (1, 2))
    low, high = node.attrs.get("min", low), node.attrs.get("max", high)
    unbounded = 3.4e38
    high = None if high is not None and high >= unbounded else high
    kind = {(0.0, 6.0): "relu6", (0.0, None): "relu", (-1.0, 1.0): "relu_n1_to_1"}.get((low, high))
    if kind is None:
        raise NetworkError(f"clips to {low} .. {high}; accepted: 0 .. 6, 0 .. , -1 .. 1")
    return to.unary(kind, node.value(0))


def _hard_sigmoid(to: To, node: Node) -> Value:
    y = to.unary("relu6", to.with_constant("add", node.value(0), np.array(3.0)))
    return to.with_constant("mul", y, np.array(1 / 6))


def _pool(kind: str) -> Callable[[To, Node], Value]:
    def build(to: To, node: Node) -> Value:
        window = node.ints("kernel_shape", ())
        if set(node.ints("dilations", [1])) != {1}:
            raise NetworkError("a dilated pool")
        return to.pool(
            kind, node.value(0), window, stride=node.ints("strides", [1] * len(window)),
            padding=_padding(node, len(window)), ceil=bool(node.attrs.get("ceil_mode", 0)),
        )  # fmt: skip

    return build


def _global_pool(kind: str) -> Callable[[To, Node], Value]:
    return lambda to, node: to.reduce(kind, node.value(0), range(2, len(to.shape(node.value(0)))), keep=True)


def _reduce(kind: str) -> Callable[[To, Node], Value]:
    def build(to: To, node: Node) -> Value:
        x = node.value(0)
        axes = node.axes(1, range(len(to.shape(x))))
        return to.reduce(kind, x, axes, keep=bool(node.attrs.get("keepdims", 1)))

    return build


def _softmax(to: To, node: Node) -> Value:
    return to.softmax(node.value(0), int(node.attrs.get("axis", -1)))


def _layer_norm(to: To, node: Node) -> Value:
    axis, rank = int(node.attrs.get("axis", -1)), len(to.shape(node.value(0)))
    if axis % rank != rank - 1:
        raise NetworkError(f"normalizes from axis {axis}; accepted: the last")
    return to.layer_norm(node.value(0), scale=True)


def _reshape(to: To, node: Node) -> Value:
    shape = to.shape(node.value(0))
    return to.reshape(node.value(0), [shape[i] if n == 0 else int(n) for i, n in enumerate(node.needed(1))])


def _flatten(to: To, node: Node) -> Value:
    shape, axis = to.shape(node.value(0)), int(node.attrs.get("axis", 1))
    return to.reshape(node.value(0), (int(np.prod(shape[:axis], dtype=np.int64)), -1))


def _transpose(to: To, node: Node) -> Value:
    rank = len(to.shape(node.value(0)))
    return to.transpose(node.value(0), node.ints("perm", range(rank)[::-1]))


def _squeeze(to: To, node: Node) -> Value:
    shape = to.shape(node.value(0))
    axes = [axis % len(shape) for axis in node.axes(1, [i for i, size in enumerate(shape) if size == 1])]
    return to.reshape(node.value(0), [size for i, size in enumerate(shape) if i not in axes])


def _unsqueeze(to: To, node: Node) -> Value:
    shape = list(to.shape(node.value(0)))
    axes = node.axes(1, ())
    for axis in sorted(axis % (len(shape) + len(axes)) for axis in axes):
        shape.insert(axis, 1)
    return to.reshape(node.value(0), shape)


def _concat(to: To, node: Node) -> Value:
    return to.concat([v for v in node.inputs if v is not None], int(node.attrs["axis"]))


def _split(to: To, node: Node) -> Any:
    axis = int(node.attrs.get("axis", 0))
    sizes = node.constant(1)
    total = to.shape(node.value(0))[axis]
    given = [int(n) for n in sizes] if sizes is not None else -(-total // max(1, node.outputs))
    return SHAPE_OPERATORS["split"](to, node.value(0), given, axis)


def _slice(to: To, node: Node) -> Value:
    x = node.value(0)
    starts, ends = node.needed(1), node.needed(2)
    axes, steps = node.constant(3), node.constant(4)
    for i in range(len(starts)):
        axis = int(axes[i]) if axes is not None else i
        step = int(steps[i]) if steps is not None else 1
        x = SHAPE_OPERATORS["slice"](to, x, axis, int(starts[i]), int(ends[i]), step)
    return x


def _gather(to: To, node: Node) -> Value:
    index = node.needed(1)
    if index.ndim:
        raise NetworkError("gathers several indices; accepted: one")
    return SHAPE_OPERATORS["select"](to, node.value(0), int(node.attrs.get("axis", 0)), int(index))  # type: ignore[no-any-return]


def _pad(to: To, node: Node) -> Value:
    if node.attrs.get("mode", b"constant") not in (b"constant", "constant"):
        raise NetworkError(f"mode {node.attrs['mode']!r}; accepted: constant")
    return to.pad(node.value(0), [int(n) for n in node.needed(1)])


def _resize(to: To, node: Node) -> Value:
    shape = to.shape(node.value(0))
    sizes = node.constant(3)
    scales = node.constant(2 if len(node.inputs) > 2 else 1)
    if sizes is not None:
        wanted = [int(n) for n in sizes]
    elif scales is not None and scales.size == len(shape):
        wanted = [int(n * s) for n, s in zip(shape, scales.tolist(), strict=True)]
    else:
        raise NetworkError("has neither sizes nor scales")
    mode = node.attrs.get("mode", b"nearest")
    kind = "resize_nearest_neighbor" if mode in (b"nearest", "nearest") else "resize_bilinear"
    if tuple(wanted[:2]) != tuple(shape[:2]) or len(wanted) != 4:
        raise NetworkError(f"resizes {shape} to {wanted}; accepted: height and width of an image")
    return to.resize(node.value(0), wanted[2], wanted[3], kind)


def _depth_to_space(to: To, node: Node) -> Value:
    return SHAPE_OPERATORS["pixel_shuffle"](to, node.value(0), int(node.attrs["blocksize"]))  # type: ignore[no-any-return]


def _recurrent(kind: str) -> Callable[[To, Node], Any]:
    def build(to: To, node: Node) -> Any:
        if node.attrs.get("direction", b"forward") not in (b"forward", "forward"):
            raise NetworkError("accepted: direction forward")
        units = int(node.attrs["hidden_size"])
        x = to.transpose(node.value(0), [1, 0, 2])
        after = kind == "lstm" or bool(node.attrs.get("linear_before_reset", 0))
        y = to.recurrent(kind, x, units, reset_after=after)
        batch, steps, _ = to.shape(y)
        state = to.reshape(SHAPE_OPERATORS["slice"](to, y, 1, steps - 1, steps), (1, batch, units))
        return [to.reshape(to.transpose(y, [1, 0, 2]), (steps, 1, batch, units)), state, state]

    return build


def _same(to: To, node: Node) -> Value:
    return node.value(0)


def _cast(kind: str, dtype: str) -> Callable[[To, Node], Value]:
    return lambda to, node: Value(to.b.cast(kind, node.value(0).at, dtype), node.value(0).last)


_ELEMENTWISE = {
    "Relu": "relu", "Sigmoid": "logistic", "Tanh": "tanh", "Elu": "elu", "Gelu": "gelu", "HardSwish": "hard_swish",
    "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Abs": "abs", "Neg": "neg", "Floor": "floor", "Ceil": "ceil",
    "Round": "round", "Sin": "sin", "Cos": "cos",
}  # fmt: skip
_BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Max": "maximum", "Min": "minimum", "Pow": "pow"}

#: ONNX name -> function
OPERATORS: dict[str, Callable[[To, Node], Any]] = {
    **{name: _unary(kind) for name, kind in _ELEMENTWISE.items()},
    **{name: _binary(kind) for name, kind in _BINARY.items()},
    **dict.fromkeys(("Identity", "Dropout", "Cast"), _same),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "BatchNormalization": _batch_norm,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "LeakyRelu": _leaky_relu,
    "PRelu": _binary("prelu"),
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
    "MaxPool": _pool("max_pool2d"),
    "AveragePool": _pool("avg_pool2d"),
    "GlobalAveragePool": _global_pool("mean"),
    "GlobalMaxPool": _global_pool("reduce_max"),
    "ReduceMean": _reduce("mean"),
    "ReduceSum": _reduce("sum"),
    "ReduceMax": _reduce("reduce_max"),
    "ReduceMin": _reduce("reduce_min"),
    "Softmax": _softmax,
    "LayerNormalization": _layer_norm,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
    "DepthToSpace": _depth_to_space,
    "LSTM": _recurrent("lstm"),
    "GRU": _recurrent("gru"),
    "RNN": _recurrent("rnn"),
    "QuantizeLinear": _cast("quantize", "int8"),
    "DequantizeLinear": _cast("dequantize", "float32"),
}
