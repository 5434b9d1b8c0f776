"""`Builder`: write a network as a program; shapes, padding, weights and quantization follow.

    >>> b = Builder("tiny")
    >>> x = b.input(1, 32, 32, 3)
    >>> x = b.conv(x, 16, 3, stride=2, activation="relu")
    >>> b.build(b.fc(b.global_pool(x), 10)).macs
    110752

Values are tensor indices. Weights have shapes and no numbers: costs don't depend on them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinysim.errors import NetworkError
from tinysim.network.graph import Quantization, Tensor
from tinysim.network.graph_builder import GraphBuilder
from tinysim.network.quantization import activation_quantization, bias_quantization
from tinysim.network.shapes import broadcast, transpose_window, window

__all__ = ["Builder", "Padding", "Pair"]

Pair = int | tuple[int, int]
#: "same", "valid", or (top, bottom, left, right) in elements
Padding = str | tuple[int, int, int, int]

_SIDES = ("pad_top", "pad_bottom", "pad_left", "pad_right")


def pair(value: Pair) -> tuple[int, int]:
    """One number for both axes, or one each."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


class Builder(GraphBuilder):
    """A network under construction."""

    # ------------------------------------------------------------------ convolutions, pools

    def _image(self, kind: str, x: int) -> tuple[int, int, int, int]:
        shape = self.shape(x)
        if len(shape) != 4:
            raise NetworkError(f"{self._where(kind)} needs an input with 4 axes (N, H, W, C), it has shape {shape}")
        return shape[0], shape[1], shape[2], shape[3]

    def _window(
        self, kind: str, x: int, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding
    ) -> tuple[tuple[int, int], dict[str, Any]]:
        """Output height and width, and the attributes of the window."""
        _, *size, _ = self._image(kind, x)
        outs: list[int] = []
        pads: list[int] = []
        for axis in (0, 1):
            k, s, d = pair(kernel)[axis], pair(stride)[axis], pair(dilation)[axis]
            if min(k, s, d) < 1:
                raise NetworkError(f"{self._where(kind)}: kernel, stride and dilation must be >= 1")
            before, after = (0, 0) if isinstance(padding, str) else padding[2 * axis : 2 * axis + 2]
            try:
                mode = padding if isinstance(padding, str) else "valid"
                out, low, high = window(size[axis] + before + after, k, s, d, mode)
            except NetworkError as error:
                raise NetworkError(f"{self._where(kind)}: {error}") from error
            outs.append(out)
            pads += [before + low, after + high]
        names = zip(("stride_h", "stride_w", "dilation_h", "dilation_w"), pair(stride) + pair(dilation), strict=True)
        label = padding if isinstance(padding, str) else ("explicit" if any(pads) else "valid")
        return (outs[0], outs[1]), dict(names) | dict(zip(_SIDES, pads, strict=True)) | {"padding": label}

    def _bias(self, x: int, weights: int, channels: int, bias: bool) -> list[int]:
        if not bias:
            return []
        quantization = bias_quantization(self._tensors[x].quantization, self._tensors[weights].quantization)
        name = f"{self._tensors[weights].name.rsplit('/', 1)[0]}/bias"
        return [self._add(Tensor(name, (channels,), self.format.bias, is_constant=True, quantization=quantization))]

    def conv(
        self,
        x: int,
        filters: int,
        kernel: Pair = 1,
        *,
        stride: Pair = 1,
        padding: Padding = "same",
        dilation: Pair = 1,
        groups: int = 1,
        activation: str = "none",
        bias: bool = True,
    ) -> int:
        """Convolution; weights (filters, kernel_h, kernel_w, in_c / groups), quantized per filter."""
        n, _, _, channels = self._image("conv2d", x)
        if channels % groups or filters % groups:
            raise NetworkError(
                f"{self._where('conv2d')}: {groups} groups divide {channels} -> {filters} channels badly"
            )
        (h, w), attrs = self._window("conv2d", x, kernel, stride, dilation, padding)
        shape = (filters, *pair(kernel), channels // groups)
        weights = self.weights(f"conv2d_{len(self._ops)}/weights", shape, channel_axis=0)
        inputs = [x, weights, *self._bias(x, weights, filters, bias)]
        return self._activate("conv2d", inputs, (n, h, w, filters), activation, **attrs)

    def dw(
        self,
        x: int,
        kernel: Pair = 3,
        *,
        stride: Pair = 1,
        padding: Padding = "same",
        dilation: Pair = 1,
        multiplier: int = 1,
        activation: str = "none",
        bias: bool = True,
    ) -> int:
        """Depthwise convolution; weights (1, kernel_h, kernel_w, out_c), quantized per channel."""
        n, _, _, channels = self._image("depthwise_conv2d", x)
        (h, w), attrs = self._window("depthwise_conv2d", x, kernel, stride, dilation, padding)
        out = channels * multiplier
        shape = (1, *pair(kernel), out)
        weights = self.weights(f"depthwise_conv2d_{len(self._ops)}/weights", shape, channel_axis=3)
        inputs = [x, weights, *self._bias(x, weights, out, bias)]
        attrs |= {"depth_multiplier": multiplier}
        return self._activate("depthwise_conv2d", inputs, (n, h, w, out), activation, **attrs)

    def transpose_conv(
        self, x: int, filters: int, kernel: Pair, *, stride: Pair = 1, padding: str = "same", bias: bool = True
    ) -> int:
        """Transposed convolution; inputs in TFLite's order: output shape, weights, data, bias."""
        n, *size, channels = self._image("transpose_conv", x)
        rows, columns = (
            transpose_window(size[axis], pair(kernel)[axis], pair(stride)[axis], padding) for axis in (0, 1)
        )
        out = (n, rows[0], columns[0], filters)
        shape = self.constant(out)
        weights = self.weights(
            f"transpose_conv_{len(self._ops)}/weights", (filters, *pair(kernel), channels), channel_axis=0
        )
        attrs = dict(zip(_SIDES, (*rows[1:], *columns[1:]), strict=True))
        attrs |= {"stride_h": pair(stride)[0], "stride_w": pair(stride)[1]}
        inputs = [shape, weights, x, *self._bias(x, weights, filters, bias)]
        dtype = self._tensors[x].dtype
        return self.op("transpose_conv", inputs, out, function="none", dtype=dtype, padding=padding, **attrs)

    def pool(self, kind: str, x: int, kernel: Pair, *, stride: Pair | None = None, padding: Padding = "valid") -> int:
        """`max_pool2d` or `avg_pool2d`; the stride is the kernel unless given."""
        n, _, _, channels = self._image(kind, x)
        (h, w), attrs = self._window(kind, x, kernel, kernel if stride is None else stride, 1, padding)
        attrs |= {"kernel_h": pair(kernel)[0], "kernel_w": pair(kernel)[1], "activation": "none"}
        return self.op(kind, [x], (n, h, w, channels), **attrs)

    def max_pool(self, x: int, kernel: Pair, *, stride: Pair | None = None, padding: Padding = "valid") -> int:
        """Maximum over a window."""
        return self.pool("max_pool2d", x, kernel, stride=stride, padding=padding)

    def avg_pool(self, x: int, kernel: Pair, *, stride: Pair | None = None, padding: Padding = "valid") -> int:
        """Mean over a window."""
        return self.pool("avg_pool2d", x, kernel, stride=stride, padding=padding)

    def resize(self, x: int, height: int, width: int, *, kind: str = "resize_nearest_neighbor", **attrs: Any) -> int:
        """Resize to (height, width): `resize_nearest_neighbor` or `resize_bilinear`."""
        n, _, _, channels = self._image(kind, x)
        return self.op(kind, [x, self.constant([height, width])], (n, height, width, channels), **attrs)

    # ------------------------------------------------------------------ dense, recurrent

    def fc(self, x: int, units: int, *, activation: str = "none", bias: bool = True) -> int:
        """Fully connected layer over the last axis; weights (units, depth), quantized per tensor."""
        *rows, depth = self.shape(x)
        weights = self.weights(f"fully_connected_{len(self._ops)}/weights", (units, depth))
        inputs = [x, weights, *self._bias(x, weights, units, bias)]
        keep = len(rows) > 1
        return self._activate("fully_connected", inputs, (*rows, units), activation, keep_num_dims=keep)

    def matmul(self, x: int, y: int, *, adj_x: bool = False, adj_y: bool = False) -> int:
        """Product of two activations; `adj_` swaps the last two axes first."""
        a, b = self.shape(x), self.shape(y)
        rows = a[-1] if adj_x else a[-2]
        columns = b[-2] if adj_y else b[-1]
        out = (*broadcast([a[:-2], b[:-2]]), rows, columns)
        return self.op("batch_matmul", [x, y], out, function="none", adj_x=adj_x, adj_y=adj_y)

    def recurrent(self, kind: str, x: int, units: int, *, bias: bool = True, reset_after: bool = True) -> int:
        """Recurrent layer over (batch, steps, features): (batch, steps, units). `kind`: "lstm", "gru" or "rnn".

        Weights per gate as in TFLite: (units, features) and (units, units). A GRU with `reset_after` has a second bias.
        """
        if len(self.shape(x)) != 3:
            raise NetworkError(f"{self._where(kind)} needs an input (N, steps, features), it has shape {self.shape(x)}")
        batch, steps, features = self.shape(x)
        lstm = kind == "lstm"
        gates = {"lstm": ("i", "f", "c", "o"), "gru": ("z", "r", "h"), "rnn": ("h",)}[kind]
        name = f"{kind}_{len(self._ops)}"
        kernel = [self.weights(f"{name}/w_{g}", (units, features)) for g in gates]
        recurrent = [self.weights(f"{name}/r_{g}", (units, units)) for g in gates]
        sets = (2 if kind == "gru" and reset_after else 1) if bias else 0
        biases = [self._bias(x, kernel[0], units, True)[0] for _ in range(sets) for _ in gates]
        states = [self._state(f"{name}/{s}", batch, units) for s in ("h", "c")[: 1 + lstm]]
        absent = [-1]
        if kind == "rnn":
            inputs = [x, *kernel, *recurrent, *(biases or absent), *states]
            rnn: dict[str, Any] = {"time_major": False, "activation": "tanh"}
            return self.op("unidirectional_sequence_rnn", inputs, (batch, steps, units), function="tanh", **rnn)
        if kind == "gru":
            return self.op("gru", [x, *kernel, *recurrent, *biases, *states], (batch, steps, units), function="tanh")
        inputs = [x, *kernel, *recurrent, *absent * 3, *(biases or absent * 4), *absent * 2, *states, *absent * 4]
        attrs: dict[str, Any] = {"time_major": False, "activation": "tanh", "cell_clip": 10.0, "proj_clip": 0.0}
        return self.op("unidirectional_sequence_lstm", inputs, (batch, steps, units), function="tanh", **attrs)

    def _state(self, name: str, batch: int, units: int) -> int:
        dtype = "int16" if name.endswith("/c") and self.format.activation == "int8" else self.format.activation
        quantization: Quantization | None = activation_quantization(dtype, "none" if dtype == "int16" else "tanh")
        return self._add(Tensor(name, (batch, units), dtype, is_variable=True, quantization=quantization))

    # ------------------------------------------------------------------ elementwise

    def unary(self, kind: str, x: int, **attrs: Any) -> int:
        """An elementwise function of one value: relu, hard_swish, logistic, tanh, ..."""
        return self.op(kind, [x], self.shape(x), function=kind, **attrs)

    def binary(self, kind: str, x: int, y: int, *, activation: str = "none") -> int:
        """An elementwise function of two values, broadcast: add, mul, sub, ..."""
        try:
            shape = broadcast([self.shape(x), self.shape(y)])
        except NetworkError as error:
            raise NetworkError(f"{self._where(kind)}: {error}") from error
        if kind in {"add", "sub", "mul", "div"}:
            return self._activate(kind, [x, y], shape, activation)
        return self.op(kind, [x, y], shape, function="none")

    def add(self, x: int, y: int, *, activation: str = "none") -> int:
        """Sum of two values."""
        return self.binary("add", x, y, activation=activation)

    def scale_shift(self, x: int, *, activation: str = "none") -> int:
        """A batch norm that could not be folded: multiply and add per channel."""
        channels = self.shape(x)[-1]
        dtype = self.format.activation
        scale, shift = (self.weights(f"norm_{len(self._ops)}/{n}", (channels,), dtype=dtype) for n in ("mul", "add"))
        return self.add(self.binary("mul", x, scale), shift, activation=activation)

    def softmax(self, x: int) -> int:
        """Softmax over the last axis."""
        return self.op("softmax", [x], self.shape(x), function="softmax", beta=1.0)

    def cast(self, kind: str, x: int, dtype: str) -> int:
        """`quantize`, `dequantize` or `cast` to another type."""
        return self.op(kind, [x], self.shape(x), function="none", dtype=dtype)

    # ------------------------------------------------------------------ shape

    def reduce(self, kind: str, x: int, axes: Sequence[int], *, keep_dims: bool = False) -> int:
        """`mean`, `sum`, `reduce_max`, ... over `axes`."""
        rank = len(self.shape(x))
        gone = {axis % rank for axis in axes}
        sizes = [(1 if i in gone else size) for i, size in enumerate(self.shape(x)) if keep_dims or i not in gone]
        return self.op(kind, [x, self.constant(sorted(gone))], tuple(sizes), keep_dims=keep_dims)

    def global_pool(self, x: int, *, kind: str = "mean", keep_dims: bool = False) -> int:
        """Reduce height and width: (N, C), or (N, 1, 1, C) with `keep_dims`."""
        return self.reduce(kind, x, (1, 2), keep_dims=keep_dims)

    def reshape(self, x: int, *shape: int) -> int:
        """The same elements in another shape; one size may be -1."""
        elements = math.prod(self.shape(x))
        known = math.prod(size for size in shape if size != -1)
        full = tuple(elements // max(1, known) if size == -1 else size for size in shape)
        if math.prod(full) != elements:
            raise NetworkError(f"{self._where('reshape')}: {self.shape(x)} does not fill {shape}")
        return self.op("reshape", [x, self.constant(full)], full)

    def flatten(self, x: int) -> int:
        """(N, everything else)."""
        return self.reshape(x, self.shape(x)[0], -1)

    def transpose(self, x: int, *order: int) -> int:
        """Axes in another order."""
        shape = self.shape(x)
        if sorted(order) != list(range(len(shape))):
            raise NetworkError(f"{self._where('transpose')}: {order} is no order of {len(shape)} axes")
        return self.op("transpose", [x, self.constant(order)], tuple(shape[i] for i in order))

    def pad(self, x: int, top: int, bottom: int, left: int, right: int) -> int:
        """Zeros around an image."""
        n, h, w, c = self._image("pad", x)
        amounts = self.constant([[0, 0], [top, bottom], [left, right], [0, 0]])
        sides: dict[str, Any] = dict(zip(_SIDES, (top, bottom, left, right), strict=True))
        return self.op("pad", [x, amounts], (n, h + top + bottom, w + left + right, c), **sides)

    def concat(self, values: Sequence[int], *, axis: int = -1) -> int:
        """Values side by side along `axis`."""
        shapes = [self.shape(x) for x in values]
        axis %= len(shapes[0])
        if any(s[:axis] != shapes[0][:axis] or s[axis + 1 :] != shapes[0][axis + 1 :] for s in shapes):
            raise NetworkError(
                f"{self._where('concatenation')}: {' and '.join(map(str, shapes))} differ off axis {axis}"
            )
        out = (*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])
        return self.op("concatenation", list(values), out, axis=axis, activation="none")

    def slice(self, x: int, begin: Sequence[int], size: Sequence[int]) -> int:
        """A box of elements; a size of -1 reaches to the end."""
        full = tuple(n - b if s == -1 else s for n, b, s in zip(self.shape(x), begin, size, strict=True))
        if any(b < 0 or b + s > n for n, b, s in zip(self.shape(x), begin, full, strict=True)):
            raise NetworkError(f"{self._where('slice')}: begin {tuple(begin)}, size {full} leave {self.shape(x)}")
        return self.op("slice", [x, self.constant(list(begin)), self.constant(list(full))], full)
