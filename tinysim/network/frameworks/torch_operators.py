"""ATen operators in terms of the channels-first builder, each a function with the order of ATen's arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError
from tinysim.network.frameworks.channels_first import ChannelsFirst, Value
from tinysim.network.frameworks.torch_shapes import SHAPE_OPERATORS, listed, transpose_axes

__all__ = ["OPERATORS"]

To = ChannelsFirst


def _array(tensor: Any) -> NDArray[Any]:
    """A constant tensor as an array."""
    return np.asarray(tensor.cpu().numpy())


def _bias(tensor: Any) -> NDArray[Any] | bool:
    return False if tensor is None else _array(tensor)


def _conv(
    to: To,
    x: Value,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    kernel = _array(weight).ndim - 2
    if isinstance(padding, str):
        pads: Any = padding
    else:
        pads = listed(padding, kernel) * 2
    steps, spread = listed(stride, kernel), listed(dilation, kernel)
    return to.conv(x, _array(weight), _bias(bias), stride=steps, padding=pads, dilation=spread, groups=groups)


def _conv_transpose(
    to: To, x: Value, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Value:  # fmt: skip
    kernel = _array(weight).ndim - 2
    if groups != 1 or set(listed(dilation, 1)) != {1}:
        raise NetworkError("groups and dilation of a transposed convolution must be 1")
    return to.transpose_conv(
        x, _array(weight), _bias(bias), stride=listed(stride, kernel), padding=listed(padding, kernel) * 2,
        extra=listed(output_padding, kernel),
    )  # fmt: skip


def _batch_norm(
    to: To, x: Value, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float, *_: Any
) -> Value:
    scale = (1.0 if weight is None else _array(weight)) / np.sqrt(_array(var) + eps)
    shift = (0.0 if bias is None else _array(bias)) - _array(mean) * scale
    return to.scale_shift(x, np.asarray(scale), np.asarray(shift))


def _linear(to: To, x: Value, weight: Any, bias: Any = None) -> Value:
    return to.linear(x, _array(weight), _bias(bias))


def _addmm(to: To, bias: Any, x: Value, weight: Any, **_: Any) -> Value:
    return to.linear(x, _array(weight).T, _array(bias))


def _matmul(to: To, x: Any, y: Any) -> Value:
    if isinstance(x, Value) and isinstance(y, Value):
        return to.matmul(x, y)
    if isinstance(x, Value) and y.ndim == 2:
        return to.linear(x, _array(y).T, False)
    raise NetworkError("a matrix product needs an activation first and a matrix or activation second")


def _clip(to: To, x: Value, low: Any = None, high: Any = None) -> Value:
    kind = {(0, 6): "relu6", (0, None): "relu", (-1, 1): "relu_n1_to_1"}.get((low, high))
    if kind is None:
        raise NetworkError(f"clipping to {low} .. {high}; accepted: 0 .. 6, 0 .. , -1 .. 1")
    return to.unary(kind, x)


def _unary(kind: str, **attrs: Any) -> Callable[..., Value]:
    return lambda to, x, *_, **__: to.unary(kind, x, **attrs)


def _leaky_relu(to: To, x: Value, slope: float = 0.01) -> Value:
    return to.unary("leaky_relu", x, alpha=float(slope))


def _silu(to: To, x: Value) -> Value:
    return to.binary("mul", x, to.unary("logistic", x))


def _hard_sigmoid(to: To, x: Value) -> Value:
    y = to.unary("relu6", to.with_constant("add", x, np.array(3.0)))
    return to.with_constant("mul", y, np.array(1 / 6))


def _prelu(to: To, x: Value, weight: Any) -> Value:
    values = _array(weight)
    return to.with_constant("prelu", x, values.reshape(-1, *[1] * (len(to.shape(x)) - 2)))


def _binary(kind: str) -> Callable[..., Value]:
    def build(to: To, x: Any, y: Any, **_: Any) -> Value:
        if isinstance(x, Value) and isinstance(y, Value):
            return to.binary(kind, x, y)
        first = not isinstance(x, Value)
        value, constant = (y, x) if first else (x, y)
        array = np.asarray(constant, np.float32) if isinstance(constant, (int, float)) else _array(constant)
        return to.with_constant(kind, value, array, constant_first=first)

    return build


def _pow(to: To, x: Value, exponent: Any) -> Value:
    if exponent == 2:
        return to.unary("square", x)
    if exponent == 0.5:
        return to.unary("sqrt", x)
    return _binary("pow")(to, x, exponent)


def _pool(kind: str) -> Callable[..., Value]:
    def build(to: To, x: Value, kernel: Any, stride: Any = (), padding: Any = 0, *rest: Any) -> Value:
        count = len(to.shape(x)) - 2
        window = listed(kernel, count)
        ceil = next((item for item in rest if isinstance(item, bool)), False)  # after the dilation of a maximum
        steps = listed(stride, count) if isinstance(stride, int) or stride else window
        return to.pool(kind, x, window, stride=steps, padding=listed(padding, count) * 2, ceil=ceil)

    return build


def _adaptive(kind: str) -> Callable[..., Value]:
    def build(to: To, x: Value, size: Any) -> Value:
        now = to.shape(x)[2:]
        wanted = [n if s is None else s for s, n in zip(listed(size, len(now)), now, strict=True)]
        if list(wanted) == list(now):
            return x
        if all(s == 1 for s in wanted):
            reduction = "mean" if kind == "avg_pool2d" else "reduce_max"
            return to.reduce(reduction, x, list(range(2, 2 + len(now))), keep=True)
        if any(n % s for s, n in zip(wanted, now, strict=True)):
            raise NetworkError(f"adaptive pooling from {now} to {wanted}; accepted: sizes that divide")
        window = [n // s for s, n in zip(wanted, now, strict=True)]
        return to.pool(kind, x, window, stride=window, padding=[0] * 2 * len(now))

    return build


def _softmax(to: To, x: Value, axis: int = -1, *_: Any) -> Value:
    return to.softmax(x, axis)


def _layer_norm(to: To, x: Value, shape: Sequence[int], weight: Any = None, *_: Any) -> Value:
    if len(shape) != 1:
        raise NetworkError(f"layer norm over {len(shape)} axes; accepted: the last one")
    return to.layer_norm(x, scale=weight is not None)


def _attention(
    to: To,
    query: Value,
    key: Value,
    value: Value,
    mask: Any = None,
    dropout: float = 0.0,
    causal: bool = False,
    **_: Any,
) -> Value:
    if mask is not None or causal:
        raise NetworkError("attention with a mask")
    scores = to.matmul(query, transpose_axes(to, key, -1, -2))
    return to.matmul(to.softmax(scores, -1), value)


def _recurrent(kind: str) -> Callable[..., Any]:
    def build(
        to: To, x: Value, states: Any, params: Sequence[Any], biases: bool, layers: int, dropout: float, training: bool,
        bidirectional: bool, batch_first: bool,
    ) -> tuple[Value, Value, Value]:  # fmt: skip
        if bidirectional:
            raise NetworkError("bidirectional recurrence")
        y = x if batch_first else to.transpose(x, [1, 0, 2])
        gates = {"lstm": 4, "gru": 3, "rnn": 1}[kind]
        for layer in range(layers):
            y = to.recurrent(kind, y, int(params[layer * (4 if biases else 2)].shape[0]) // gates)
        batch, steps, units = to.shape(y)
        last = Value(to.b.slice(y.at, (0, steps - 1, 0), (batch, 1, units)), False) if steps > 1 else y
        state = to.reshape(last, (1, batch, units))
        return (y if batch_first else to.transpose(y, [1, 0, 2])), state, state

    return build


def _kept_state(to: To, state: Any, x: Value, *_: Any) -> Value:
    """What a streaming module keeps for its next call."""
    return x


def _same(to: To, x: Value, *_: Any, **__: Any) -> Value:
    return x


_ELEMENTWISE = {
    "relu": "relu", "relu_": "relu", "relu6": "relu6", "hardswish": "hard_swish", "hardswish_": "hard_swish",
    "sigmoid": "logistic", "sigmoid_": "logistic", "tanh": "tanh", "tanh_": "tanh", "gelu": "gelu", "elu": "elu",
    "exp": "exp", "log": "log", "sqrt": "sqrt", "rsqrt": "rsqrt", "abs": "abs", "neg": "neg", "floor": "floor",
    "ceil": "ceil", "round": "round", "sin": "sin", "cos": "cos",
}  # fmt: skip
_IGNORED = (
    "dropout",
    "dropout_",
    "contiguous",
    "clone",
    "detach",
    "detach_",
    "alias",
    "to",
    "feature_dropout",
    "lift_fresh_copy",
)

#: ATen name -> function
OPERATORS: dict[str, Callable[..., Any]] = {
    **{name: _unary(kind) for name, kind in _ELEMENTWISE.items()},
    **{name: _binary(name) for name in ("add", "sub", "mul", "div", "maximum", "minimum")},
    **{f"{name}_": _binary(name) for name in ("add", "sub", "mul", "div")},
    **dict.fromkeys(_IGNORED, _same),
    "conv1d": _conv,
    "conv2d": _conv,
    "conv_transpose1d": _conv_transpose,
    "conv_transpose2d": _conv_transpose,
    "batch_norm": _batch_norm,
    "copy_": _kept_state,
    "linear": _linear,
    "addmm": _addmm,
    "matmul": _matmul,
    "mm": _matmul,
    "bmm": _matmul,
    "hardtanh": _clip,
    "hardtanh_": _clip,
    "clamp": _clip,
    "clamp_min": _clip,
    "leaky_relu": _leaky_relu,
    "leaky_relu_": _leaky_relu,
    "silu": _silu,
    "silu_": _silu,
    "hardsigmoid": _hard_sigmoid,
    "hardsigmoid_": _hard_sigmoid,
    "prelu": _prelu,
    "pow": _pow,
    "max_pool1d": _pool("max_pool2d"),
    "max_pool2d": _pool("max_pool2d"),
    "avg_pool1d": _pool("avg_pool2d"),
    "avg_pool2d": _pool("avg_pool2d"),
    "adaptive_avg_pool1d": _adaptive("avg_pool2d"),
    "adaptive_avg_pool2d": _adaptive("avg_pool2d"),
    "adaptive_max_pool2d": _adaptive("max_pool2d"),
    "softmax": _softmax,
    "_softmax": _softmax,
    "layer_norm": _layer_norm,
    "scaled_dot_product_attention": _attention,
    "lstm": _recurrent("lstm"),
    "gru": _recurrent("gru"),
    "rnn_tanh": _recurrent("rnn"),
    **SHAPE_OPERATORS,
}
