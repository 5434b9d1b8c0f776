"""Keras layers in terms of the builder: functions of (builder, inputs, configuration)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tinysim.errors import NetworkError
from tinysim.network.builder import Builder, Padding

__all__ = ["LAYERS"]

Config = Mapping[str, Any]

_ACTIVATIONS = {
    "linear": "", "relu": "relu", "relu6": "relu6", "sigmoid": "logistic", "tanh": "tanh", "softmax": "softmax",
    "gelu": "gelu", "elu": "elu", "hard_swish": "hard_swish", "hard_silu": "hard_swish", "swish": "silu",
    "silu": "silu", "leaky_relu": "leaky_relu", "hard_sigmoid": "hard_sigmoid", "exponential": "exp",
}  # fmt: skip


def _activate(b: Builder, x: int, config: Config, key: str = "activation") -> int:
    given = config.get(key) or "linear"
    name = given if isinstance(given, str) else str(given.get("config", {}).get("name", given.get("class_name")))
    if name not in _ACTIVATIONS:
        raise NetworkError(f"activation {name!r}; accepted: {', '.join(_ACTIVATIONS)}")
    kind = _ACTIVATIONS[name]
    if kind == "silu":
        return b.binary("mul", x, b.unary("logistic", x))
    if kind == "softmax":
        return b.softmax(x)
    if kind == "hard_sigmoid":
        y = b.add(x, b.constant([3.0], "float32"), activation="relu6")
        return b.binary("mul", y, b.constant([1 / 6], "float32"))
    return b.unary(kind, x) if kind else x


def _two(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _image(b: Builder, x: int) -> int:
    """A signal (N, L, C) as an image (N, L, 1, C)."""
    shape = b.shape(x)
    return b.reshape(x, shape[0], shape[1], 1, shape[2]) if len(shape) == 3 else x


def _signal(b: Builder, x: int, like: int) -> int:
    if len(b.shape(like)) == 4:
        return x
    n, length, _, channels = b.shape(x)
    return b.reshape(x, n, length, channels)


def _window(config: Config, key: str) -> tuple[int, int]:
    value = config[key]
    listed = [value] if isinstance(value, int) else list(value)
    return (listed[0], 1) if len(listed) == 1 else (listed[0], listed[1])


def _pair(config: Config, key: str, signal: bool) -> tuple[int, int]:
    value = config.get(key, 1)
    if signal:
        return (value if isinstance(value, int) else value[0], 1)
    return _two(value)


def _padding(b: Builder, x: int, config: Config) -> Padding:
    mode = str(config.get("padding", "valid"))
    if mode == "causal":
        reach = (_window(config, "kernel_size")[0] - 1) * _pair(config, "dilation_rate", True)[0]
        return (reach, 0, 0, 0)
    return mode


def _conv(b: Builder, values: list[int], config: Config) -> int:
    x = _image(b, values[0])
    signal = len(b.shape(values[0])) == 3
    y = b.conv(
        x, config["filters"], _pair(config, "kernel_size", signal), stride=_pair(config, "strides", signal),
        padding=_padding(b, x, config), dilation=_pair(config, "dilation_rate", signal), groups=config.get("groups", 1),
        bias=bool(config.get("use_bias", True)),
    )  # fmt: skip
    return _activate(b, _signal(b, y, values[0]), config)


def _depthwise(b: Builder, values: list[int], config: Config) -> int:
    x = _image(b, values[0])
    signal = len(b.shape(values[0])) == 3
    y = b.dw(
        x, _pair(config, "kernel_size", signal), stride=_pair(config, "strides", signal),
        padding=_padding(b, x, config), dilation=_pair(config, "dilation_rate", signal),
        multiplier=config.get("depth_multiplier", 1), bias=bool(config.get("use_bias", True)),
    )  # fmt: skip
    return _activate(b, _signal(b, y, values[0]), config)


def _separable(b: Builder, values: list[int], config: Config) -> int:
    plain = {**config, "activation": None, "use_bias": False}
    y = _depthwise(b, values, plain)
    last = {**config, "kernel_size": 1, "strides": 1, "dilation_rate": 1, "padding": "same", "groups": 1}
    return _conv(b, [y], last)


def _transpose_conv(b: Builder, values: list[int], config: Config) -> int:
    y = b.transpose_conv(
        values[0], config["filters"], _two(config["kernel_size"]), stride=_two(config["strides"]),
        padding=config["padding"], bias=bool(config.get("use_bias", True)),
    )  # fmt: skip
    return _activate(b, y, config)


def _dense(b: Builder, values: list[int], config: Config) -> int:
    return _activate(b, b.fc(values[0], config["units"], bias=bool(config.get("use_bias", True))), config)


def _batch_norm(b: Builder, values: list[int], config: Config) -> int:
    return b.scale_shift(values[0])


def _relu(b: Builder, values: list[int], config: Config) -> int:
    top, slope, threshold = (config.get(key) for key in ("max_value", "negative_slope", "threshold"))
    if threshold or (slope and top):
        raise NetworkError(f"relu with threshold {threshold}, slope {slope}, maximum {top}")
    if slope:
        return b.unary("leaky_relu", values[0], alpha=float(slope))
    if top not in (None, 6, 6.0):
        raise NetworkError(f"relu with maximum {top}; accepted: none, 6")
    return b.unary("relu6" if top else "relu", values[0])


def _leaky_relu(b: Builder, values: list[int], config: Config) -> int:
    slope = config.get("negative_slope", config.get("alpha", 0.3))
    return b.unary("leaky_relu", values[0], alpha=float(slope))


def _activation(b: Builder, values: list[int], config: Config) -> int:
    return _activate(b, values[0], config)


def _pool(kind: str) -> Callable[[Builder, list[int], Config], int]:
    def build(b: Builder, values: list[int], config: Config) -> int:
        signal = len(b.shape(values[0])) == 3
        window = _pair(config, "pool_size", signal)
        strides = window if config.get("strides") is None else _pair(config, "strides", signal)
        y = b.pool(kind, _image(b, values[0]), window, stride=strides, padding=str(config["padding"]))
        return _signal(b, y, values[0])

    return build


def _global(kind: str) -> Callable[[Builder, list[int], Config], int]:
    def build(b: Builder, values: list[int], config: Config) -> int:
        axes = range(1, len(b.shape(values[0])) - 1)
        return b.reduce(kind, values[0], list(axes), keep_dims=bool(config.get("keepdims", False)))

    return build


def _flatten(b: Builder, values: list[int], config: Config) -> int:
    return b.flatten(values[0])


def _reshape(b: Builder, values: list[int], config: Config) -> int:
    return b.reshape(values[0], b.shape(values[0])[0], *config["target_shape"])


def _permute(b: Builder, values: list[int], config: Config) -> int:
    return b.transpose(values[0], 0, *config["dims"])


def _zero_padding(b: Builder, values: list[int], config: Config) -> int:
    padding = config["padding"]
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    (top, bottom), (left, right) = _two(rows), _two(columns)
    return b.pad(values[0], top, bottom, left, right)


def _crop(b: Builder, values: list[int], config: Config) -> int:
    (top, bottom), (left, right) = (_two(side) for side in config["cropping"])
    n, h, w, c = b.shape(values[0])
    return b.slice(values[0], (0, top, left, 0), (n, h - top - bottom, w - left - right, c))


def _upsample(b: Builder, values: list[int], config: Config) -> int:
    rows, columns = _two(config["size"])
    _, h, w, _ = b.shape(values[0])
    kind = "resize_bilinear" if config.get("interpolation") == "bilinear" else "resize_nearest_neighbor"
    return b.resize(values[0], h * rows, w * columns, kind=kind)


def _merge(kind: str) -> Callable[[Builder, list[int], Config], int]:
    def build(b: Builder, values: list[int], config: Config) -> int:
        total = values[0]
        for value in values[1:]:
            total = b.binary(kind, total, value)
        return total

    return build


def _concat(b: Builder, values: list[int], config: Config) -> int:
    return b.concat(values, axis=int(config.get("axis", -1)))


def _softmax(b: Builder, values: list[int], config: Config) -> int:
    if config.get("axis", -1) not in (-1, len(b.shape(values[0])) - 1):
        raise NetworkError(f"softmax along axis {config['axis']}; accepted: the last")
    return b.softmax(values[0])


def _recurrent(kind: str) -> Callable[[Builder, list[int], Config], int]:
    def build(b: Builder, values: list[int], config: Config) -> int:
        if config.get("go_backwards") or config.get("return_state"):
            raise NetworkError("go_backwards and return_state must be false")
        after = bool(config.get("reset_after", True))
        bias = bool(config.get("use_bias", True))
        y = b.recurrent(kind, values[0], config["units"], bias=bias, reset_after=after)
        if config.get("return_sequences"):
            return y
        batch, steps, units = b.shape(y)
        return b.reshape(b.slice(y, (0, steps - 1, 0), (batch, 1, units)), batch, units)

    return build


def _layer_norm(b: Builder, values: list[int], config: Config) -> int:
    axis = config.get("axis", -1)
    last = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if last not in (-1, len(b.shape(values[0])) - 1):
        raise NetworkError(f"normalizes along axis {axis}; accepted: the last")
    x = values[0]
    constants = [b.weights(f"layer_norm_{x}/{name}", b.shape(x)[-1:]) for name in ("gamma", "beta")]
    return b.op("layer_norm", [x, *constants], b.shape(x), function="none")


def _attention(b: Builder, values: list[int], config: Config) -> int:
    """Multi-head attention of (query, value, key = value)."""
    query, value = values[0], values[1] if len(values) > 1 else values[0]
    key = values[2] if len(values) > 2 else value
    heads, depth = int(config["num_heads"]), int(config["key_dim"])
    value_depth = int(config.get("value_dim") or depth)
    bias = bool(config.get("use_bias", True))

    def split(x: int, size: int) -> int:
        n, tokens, _ = b.shape(x)
        y = b.reshape(b.fc(x, heads * size, bias=bias), n, tokens, heads, size)
        return b.transpose(y, 0, 2, 1, 3)

    q, k, v = split(query, depth), split(key, depth), split(value, value_depth)
    merged = b.transpose(b.matmul(b.softmax(b.matmul(q, k, adj_y=True)), v), 0, 2, 1, 3)
    n, tokens, width = b.shape(query)
    return b.fc(b.reshape(merged, n, tokens, heads * value_depth), width, bias=bias)


def _embedding(b: Builder, values: list[int], config: Config) -> int:
    table = b.weights(f"embedding_{values[0]}/table", (int(config["input_dim"]), int(config["output_dim"])))
    shape = (*b.shape(values[0]), int(config["output_dim"]))
    return b.op("embedding_lookup", [values[0], table], shape, function="none", dtype=b.format.activation)


def _rescaling(b: Builder, values: list[int], config: Config) -> int:
    scale, offset = (config.get(key) for key in ("scale", "offset"))
    y = b.binary("mul", values[0], b.constant([float(scale)], "float32")) if isinstance(scale, (int, float)) else None
    if y is None or not isinstance(offset, (int, float)):
        raise NetworkError("scale and offset must be numbers")
    return b.add(y, b.constant([float(offset)], "float32")) if offset else y


def _same(b: Builder, values: list[int], config: Config) -> int:
    return values[0]


_IDLE = (
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "ActivityRegularization",
    "Identity", "Masking",
)  # fmt: skip

#: class name -> function
LAYERS: dict[str, Callable[[Builder, list[int], Config], int | list[int]]] = {
    **dict.fromkeys(_IDLE, _same),
    **dict.fromkeys(("Conv1D", "Conv2D"), _conv),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _separable),
    **dict.fromkeys(("MaxPooling1D", "MaxPooling2D"), _pool("max_pool2d")),
    **dict.fromkeys(("AveragePooling1D", "AveragePooling2D"), _pool("avg_pool2d")),
    **dict.fromkeys(("GlobalAveragePooling1D", "GlobalAveragePooling2D"), _global("mean")),
    **dict.fromkeys(("GlobalMaxPooling1D", "GlobalMaxPooling2D"), _global("reduce_max")),
    "Conv2DTranspose": _transpose_conv,
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "Activation": _activation,
    "Softmax": _softmax,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "ZeroPadding2D": _zero_padding,
    "Cropping2D": _crop,
    "UpSampling2D": _upsample,
    "Add": _merge("add"),
    "Subtract": _merge("sub"),
    "Multiply": _merge("mul"),
    "Maximum": _merge("maximum"),
    "Minimum": _merge("minimum"),
    "Concatenate": _concat,
    "LSTM": _recurrent("lstm"),
    "GRU": _recurrent("gru"),
    "SimpleRNN": _recurrent("rnn"),
    "LayerNormalization": _layer_norm,
    "MultiHeadAttention": _attention,
    "Embedding": _embedding,
    "Rescaling": _rescaling,
}
