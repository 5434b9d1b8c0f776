"""Frameworks with channels first (ONNX, PyTorch) onto tinysim's channels last.

A `Value` is a builder's value and how its axes are stored: `last` says that the logical (N, C, ...) lies in memory as
(N, ..., C), which is how convolutions and pools want it. Transposes are written only where an operator needs the
logical order, as a TFLite converter does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError
from tinysim.network.builder import Builder, Padding
from tinysim.network.shapes import transpose_window, window

__all__ = ["ChannelsFirst", "Value"]

Weights = NDArray[Any]


class Value(NamedTuple):
    """A value of the builder; `last` if its channels, logically axis 1, are stored last."""

    at: int
    last: bool


class ChannelsFirst:
    """A builder that speaks channels first."""

    def __init__(self, builder: Builder) -> None:
        self.b = builder

    # ------------------------------------------------------------------ layout

    def input(self, shape: Sequence[int], *, dtype: str | None = None, name: str = "") -> Value:
        """An input; images (4 axes) and signals (3 axes) with channels first are stored with channels last."""
        if len(shape) == 4:
            return Value(self.b.input(shape[0], *shape[2:], shape[1], dtype=dtype, name=name), True)
        return Value(self.b.input(*shape, dtype=dtype, name=name), False)

    def shape(self, v: Value) -> tuple[int, ...]:
        """Logical shape."""
        stored = self.b.shape(v.at)
        return (stored[0], stored[-1], *stored[1:-1]) if v.last else stored

    def plain(self, v: Value) -> int:
        """The value stored in logical order."""
        if not v.last:
            return v.at
        stored = self.b.shape(v.at)
        if math.prod(stored[1:-1]) == 1 or stored[-1] == 1:  # nothing to move
            return self.b.reshape(v.at, *self.shape(v))
        return self.b.transpose(v.at, 0, len(stored) - 1, *range(1, len(stored) - 1))

    def channels_last(self, v: Value) -> int:
        """The value stored with channels last."""
        if v.last:
            return v.at
        shape = self.b.shape(v.at)
        if len(shape) < 3:
            raise NetworkError(f"an operator on images has an input of shape {shape}")
        if math.prod(shape[2:]) == 1 or shape[1] == 1:
            return self.b.reshape(v.at, shape[0], *shape[2:], shape[1])
        return self.b.transpose(v.at, 0, *range(2, len(shape)), 1)

    # ------------------------------------------------------------------ windows

    def _image(self, v: Value) -> tuple[int, bool]:
        """A 4-axis value with channels last, and whether it was a signal (N, C, L)."""
        x = self.channels_last(v)
        shape = self.b.shape(x)
        if len(shape) == 3:
            return self.b.reshape(x, shape[0], shape[1], 1, shape[2]), True
        return x, False

    def _back(self, x: int, signal: bool) -> Value:
        if signal:
            n, length, _, channels = self.b.shape(x)
            x = self.b.reshape(x, n, length, channels)
        return Value(x, True)

    def conv(
        self,
        v: Value,
        weights: Weights | tuple[int, ...],
        bias: Weights | bool,
        *,
        stride: Sequence[int],
        padding: Sequence[int] | str,
        dilation: Sequence[int],
        groups: int,
    ) -> Value:
        """Convolution; weights (out, in / groups, *kernel) or their shape; padding (low, high) per axis or "same"."""
        x, signal = self._image(v)
        shape = weights if isinstance(weights, tuple) else weights.shape
        out, depth, *kernel = shape
        channels = self.b.shape(x)[3]
        if depth * groups != channels:
            raise NetworkError(f"weights {tuple(shape)} with {groups} groups do not take {channels} channels")
        depthwise = groups == channels and depth == 1 and groups > 1 and out % groups == 0
        pads: Padding = padding if isinstance(padding, str) else _sides(padding)
        options: dict[str, Any] = {
            "stride": _two(stride), "padding": pads, "dilation": _two(dilation), "bias": bias is not False,
        }  # fmt: skip
        if isinstance(pads, tuple) and pads == self._same(x, _two(kernel), _two(stride), _two(dilation)):
            options["padding"] = "same" if any(pads) else "valid"
        if depthwise:
            y = self.b.dw(x, _two(kernel), multiplier=out // groups, **options)
        else:
            y = self.b.conv(x, out, _two(kernel), groups=groups, **options)
        if not isinstance(weights, tuple):
            moved = np.moveaxis(weights.reshape(out, depth, *_two(kernel)), 1, -1)
            self.set_weights(y, np.moveaxis(moved, 0, -1).squeeze(2)[None] if depthwise else moved, bias)
        return self._back(y, signal)

    def _same(
        self, x: int, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
    ) -> tuple[int, ...]:
        _, *size, _ = self.b.shape(x)
        found = [window(size[a], kernel[a], stride[a], dilation[a], "same")[1:] for a in (0, 1)]
        return (*found[0], *found[1])

    def set_weights(self, y: int, weights: Weights, bias: Weights | bool) -> None:
        """Give the layer that made `y` its values."""
        self.b.set_values(y, weights, None if isinstance(bias, bool) else bias)

    def transpose_conv(
        self, v: Value, weights: Weights | tuple[int, ...], bias: Weights | bool, *, stride: Sequence[int],
        padding: Sequence[int], extra: Sequence[int],
    ) -> Value:  # fmt: skip
        """Transposed convolution; weights (in, out, *kernel). The padding must crop as SAME or VALID do."""
        x, signal = self._image(v)
        _, out, *kernel = weights if isinstance(weights, tuple) else weights.shape
        wanted = [
            (size - 1) * s - low - high + k + e
            for size, s, low, high, k, e in zip(
                self.b.shape(x)[1:3], _two(stride), padding[: len(kernel)], padding[len(kernel) :], _two(kernel),
                _two(extra), strict=False,
            )
        ]  # fmt: skip
        for mode in ("same", "valid"):
            made = _transposed_size(self.b.shape(x)[1:3], _two(kernel), _two(stride), mode)
            if list(made) == wanted:
                y = self.b.transpose_conv(
                    x, out, _two(kernel), stride=_two(stride), padding=mode, bias=bias is not False
                )
                return self._back(y, signal)
        raise NetworkError(f"a transposed convolution to {wanted} pixels crops neither as SAME nor as VALID")

    def pool(
        self,
        kind: str,
        v: Value,
        kernel: Sequence[int],
        *,
        stride: Sequence[int],
        padding: Sequence[int] | str,
        ceil: bool = False,
    ) -> Value:
        """`max_pool2d` or `avg_pool2d`; with `ceil`, a last partial window counts."""
        x, signal = self._image(v)
        pads: Padding = padding if isinstance(padding, str) else _sides(padding)
        if ceil and isinstance(pads, tuple):
            _, height, width, _ = self.b.shape(x)
            (kh, kw), (sh, sw) = _two(kernel), _two(stride)
            top, bottom, left, right = pads
            bottom += -(height + top + bottom - kh) % sh
            right += -(width + left + right - kw) % sw
            pads = (top, bottom, left, right)
        if isinstance(pads, tuple) and pads == self._same(x, _two(kernel), _two(stride), (1, 1)):
            pads = "same" if any(pads) else "valid"
        return self._back(self.b.pool(kind, x, _two(kernel), stride=_two(stride), padding=pads), signal)

    def pad(self, v: Value, padding: Sequence[int]) -> Value:
        """Zeros around an image: (low, ..., high, ...) over the logical axes."""
        rank = len(self.shape(v))
        if any(padding[:2]) or any(padding[rank : rank + 2]) or rank != 4:
            raise NetworkError(f"padding {tuple(padding)} of {rank} axes; accepted: height and width of an image")
        x = self.channels_last(v)
        return Value(self.b.pad(x, padding[2], padding[rank + 2], padding[3], padding[rank + 3]), True)

    # ------------------------------------------------------------------ dense

    def linear(self, v: Value, weights: Weights | tuple[int, ...], bias: Weights | bool) -> Value:
        """X W^T + b with weights (out, in)."""
        x = self.plain(v)
        shape = weights if isinstance(weights, tuple) else weights.shape
        if self.b.shape(x)[-1] != shape[1]:
            raise NetworkError(f"weights {tuple(shape)} do not take an input of shape {self.b.shape(x)}")
        y = self.b.fc(x, shape[0], bias=bias is not False)
        if not isinstance(weights, tuple):
            self.set_weights(y, weights, bias)
        return Value(y, False)

    def matmul(self, v: Value, w: Value) -> Value:
        """Product of two activations."""
        return Value(self.b.matmul(self.plain(v), self.plain(w)), False)

    # ------------------------------------------------------------------ elementwise

    def unary(self, kind: str, v: Value, **attrs: Any) -> Value:
        """An elementwise function."""
        return Value(self.b.unary(kind, v.at, **attrs), v.last)

    def binary(self, kind: str, v: Value, w: Value) -> Value:
        """An elementwise function of two values of one layout."""
        if v.last == w.last:
            return Value(self.b.binary(kind, v.at, w.at), v.last)
        if len(self.shape(v)) == len(self.shape(w)) > 2:
            return Value(self.b.binary(kind, self.channels_last(v), self.channels_last(w)), True)
        return Value(self.b.binary(kind, self.plain(v), self.plain(w)), False)

    def with_constant(self, kind: str, v: Value, values: Weights, *, constant_first: bool = False) -> Value:
        """An elementwise function of a value and a constant in logical layout."""
        rank = len(self.shape(v))
        if v.last and values.ndim > 1:
            padded = values.reshape((1,) * (rank - values.ndim) + values.shape)
            values = np.moveaxis(padded, 1, -1)
            values = values.reshape(values.shape[-1:]) if math.prod(values.shape[:-1]) == 1 else values
        elif v.last and values.size > 1:  # a vector runs along the last logical axis
            return self.with_constant(kind, Value(self.plain(v), False), values, constant_first=constant_first)
        elif values.ndim == 0:
            values = values.reshape(1)
        dtype = self.b.tensor(v.at).dtype
        constant = self.b.constant(np.asarray(values, np.float32), "float32")
        if dtype != "float32":
            constant = self.b.weights(f"const_{constant}", values.shape, dtype=dtype)
        pair = (constant, v.at) if constant_first else (v.at, constant)
        return Value(self.b.binary(kind, *pair), v.last)

    def scale_shift(self, v: Value, scale: Weights, shift: Weights) -> Value:
        """A batch norm as multiply and add per channel."""
        shape = (-1, *[1] * (len(self.shape(v)) - 2))
        return self.with_constant("add", self.with_constant("mul", v, scale.reshape(shape)), shift.reshape(shape))

    def softmax(self, v: Value, axis: int) -> Value:
        """Softmax along a logical axis."""
        rank = len(self.shape(v))
        if v.last and axis % rank == 1:
            return Value(self.b.softmax(v.at), True)
        if axis % rank == rank - 1:
            return Value(self.b.softmax(self.plain(v)), False)
        raise NetworkError(f"softmax along axis {axis} of shape {self.shape(v)}; accepted: the last axis or channels")

    def layer_norm(self, v: Value, *, scale: bool) -> Value:
        """Layer norm over the last logical axis."""
        x = self.plain(v)
        channels = (self.b.shape(x)[-1],)
        constants = [self.b.weights(f"layer_norm_{x}/{name}", channels) for name in ("gamma", "beta")] if scale else []
        return Value(self.b.op("layer_norm", [x, *constants], self.b.shape(x), function="none"), False)

    # ------------------------------------------------------------------ shape

    def reduce(self, kind: str, v: Value, axes: Sequence[int], *, keep: bool) -> Value:
        """`mean`, `sum`, `reduce_max`, ... over logical axes."""
        rank = len(self.shape(v))
        wanted = sorted({axis % rank for axis in axes})
        if not v.last:
            return Value(self.b.reduce(kind, v.at, wanted, keep_dims=keep), False)
        stored = [rank - 1 if axis == 1 else axis if axis == 0 else axis - 1 for axis in wanted]
        still_last = keep or (1 not in wanted and len(wanted) < rank - 2)
        y = self.b.reduce(kind, v.at, stored, keep_dims=keep)
        return Value(y, still_last)

    def concat(self, values: Sequence[Value | NDArray[Any]], axis: int) -> Value:
        """Values side by side along a logical axis; some may be constants (a class token, a kept state)."""
        given = [v for v in values if isinstance(v, Value)]
        last = any(v.last for v in given)
        rank = len(self.shape(given[0]))
        axis %= rank
        dtype = self.b.tensor(given[0].at).dtype
        parts: list[int] = []
        for v in values:
            if isinstance(v, Value):
                parts.append(self.channels_last(v) if last else v.at)
            else:
                parts.append(self.b.constant(np.moveaxis(v, 1, -1) if last else v, dtype))
        if last:
            axis = rank - 1 if axis == 1 else axis if axis == 0 else axis - 1
        return Value(self.b.concat(parts, axis=axis), last)

    def reshape(self, v: Value, shape: Sequence[int]) -> Value:
        """The same elements in another logical shape.

        Flattening an image to (N, everything) keeps its stored order: the weights that follow are reordered once, at
        conversion. (N, C, H, W) to (N, C, H W) keeps channels last.
        """
        now = self.shape(v)
        full = _filled(now, shape)
        if full == now:
            return v
        if v.last and len(full) == 2 and full[0] == now[0]:
            return Value(self.b.reshape(v.at, *full), False)
        if v.last and len(full) > 2 and full[:2] == now[:2]:
            return Value(self.b.reshape(v.at, full[0], *full[2:], full[1]), True)
        return Value(self.b.reshape(self.plain(v), *full), False)

    def transpose(self, v: Value, order: Sequence[int]) -> Value:
        """Logical axes in another order; to and from channels last nothing moves."""
        rank = len(self.shape(v))
        to_last = [0, *range(2, rank), 1]
        if v.last and list(order) == to_last:
            return Value(v.at, False)
        if rank == 4 and not v.last and list(order) == [0, rank - 1, *range(1, rank - 1)]:
            return Value(v.at, True)
        return Value(self.b.transpose(self.plain(v), *order), False)

    def slice(self, v: Value, begin: Sequence[int], size: Sequence[int]) -> Value:
        """A box in logical axes."""
        if v.last:
            begin, size = ([*a[:1], *a[2:], a[1]] for a in (list(begin), list(size)))
        return Value(self.b.slice(v.at, begin, size), v.last)

    def resize(self, v: Value, height: int, width: int, kind: str) -> Value:
        """Resize an image."""
        return Value(self.b.resize(self.channels_last(v), height, width, kind=kind), True)

    def recurrent(self, kind: str, v: Value, units: int, *, reset_after: bool = True) -> Value:
        """LSTM or GRU over (batch, steps, features)."""
        return Value(self.b.recurrent(kind, self.plain(v), units, reset_after=reset_after), False)


def _two(values: Sequence[int]) -> tuple[int, int]:
    """One or two numbers as two; a signal lies along the height, its width has kernel and stride 1."""
    return (values[0], values[1]) if len(values) > 1 else (values[0], 1)


def _sides(padding: Sequence[int]) -> tuple[int, int, int, int]:
    """(low..., high...) as (top, bottom, left, right)."""
    if len(padding) == 2:
        return padding[0], padding[1], 0, 0
    return padding[0], padding[2], padding[1], padding[3]


def _transposed_size(
    size: Sequence[int], kernel: tuple[int, int], stride: tuple[int, int], mode: str
) -> tuple[int, int]:
    rows, columns = (transpose_window(size[a], kernel[a], stride[a], mode)[0] for a in (0, 1))
    return rows, columns


def _filled(now: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """The shape with its -1 filled in."""
    known = math.prod(size for size in shape if size != -1)
    return tuple(math.prod(now) // max(1, known) if size == -1 else int(size) for size in shape)
