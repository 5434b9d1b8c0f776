"""ATen operators on shapes: views, slices, transposes, padding, resizing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinysim.errors import NetworkError
from tinysim.network.frameworks.channels_first import ChannelsFirst, Value

__all__ = ["SHAPE_OPERATORS", "listed", "transpose_axes"]

To = ChannelsFirst


def listed(value: Any, count: int) -> list[int]:
    """One number or several as a list of `count`."""
    values = [int(v) for v in value] if isinstance(value, (list, tuple)) else [int(value)]
    return values * count if len(values) == 1 else values


def _reduce(kind: str) -> Callable[..., Value]:
    def build(to: To, x: Value, axes: Any = None, keep: bool = False, **_: Any) -> Value:
        every = list(range(len(to.shape(x))))
        return to.reduce(kind, x, every if axes is None else listed(axes, 1), keep=keep)

    return build


def _flatten(to: To, x: Value, start: int = 0, end: int = -1) -> Value:
    shape = to.shape(x)
    start, end = start % len(shape), end % len(shape)
    return to.reshape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def _unflatten(to: To, x: Value, axis: int, sizes: Sequence[int]) -> Value:
    shape = to.shape(x)
    axis %= len(shape)
    known = math.prod(size for size in sizes if size != -1)
    filled = [shape[axis] // known if size == -1 else size for size in sizes]
    return to.reshape(x, (*shape[:axis], *filled, *shape[axis + 1 :]))


def transpose_axes(to: To, x: Value, a: int, b: int) -> Value:
    """Swap two logical axes."""
    order = list(range(len(to.shape(x))))
    order[a], order[b] = order[b], order[a]
    return to.transpose(x, order)


def _permute(to: To, x: Value, order: Sequence[int]) -> Value:
    rank = len(to.shape(x))
    return to.transpose(x, [axis % rank for axis in order])


def _unsqueeze(to: To, x: Value, axis: int) -> Value:
    shape = list(to.shape(x))
    shape.insert(axis % (len(shape) + 1), 1)
    return to.reshape(x, shape)


def _squeeze(to: To, x: Value, axis: Any = None) -> Value:
    shape = to.shape(x)
    axes = range(len(shape)) if axis is None else [a % len(shape) for a in listed(axis, 1)]
    return to.reshape(x, [size for i, size in enumerate(shape) if i not in axes or size != 1])


def _slice(to: To, x: Value, axis: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Value:
    shape = to.shape(x)
    axis %= len(shape)
    first, last, _ = slice(start, end).indices(shape[axis])
    if step != 1:
        raise NetworkError(f"a slice of step {step}; accepted: 1")
    if (first, last) == (0, shape[axis]):
        return x
    begin, size = [0] * len(shape), list(shape)
    begin[axis], size[axis] = first, last - first
    return to.slice(x, begin, size)


def _select(to: To, x: Value, axis: int, index: int) -> Value:
    axis %= len(to.shape(x))
    index %= to.shape(x)[axis]
    return _squeeze(to, _slice(to, x, axis, index, index + 1), axis)


def _chunks(to: To, x: Value, sizes: Sequence[int], axis: int) -> list[Value]:
    starts = np.cumsum([0, *sizes]).tolist()
    return [_slice(to, x, axis, a, b) for a, b in itertools.pairwise(starts)]


def _split(to: To, x: Value, size: Any, axis: int = 0) -> list[Value]:
    total = to.shape(x)[axis]
    sizes = list(size) if isinstance(size, (list, tuple)) else [min(size, total - i) for i in range(0, total, size)]
    return _chunks(to, x, sizes, axis)


def _chunk(to: To, x: Value, count: int, axis: int = 0) -> list[Value]:
    return _split(to, x, -(-to.shape(x)[axis] // count), axis)


def _resize(kind: str) -> Callable[..., Value]:
    def build(to: To, x: Value, size: Any = None, *rest: Any) -> Value:
        scales = next((item for item in reversed(rest) if isinstance(item, (list, tuple))), None)
        if size is None and scales is not None:
            size = [int(n * s) for n, s in zip(to.shape(x)[2:], scales, strict=True)]
        if not isinstance(size, (list, tuple)) or len(size) != 2:
            raise NetworkError(f"resize to {size}; accepted: a height and a width")
        return to.resize(x, int(size[0]), int(size[1]), kind)

    return build


def _pad(to: To, x: Value, amounts: Sequence[int], *rest: Any) -> Value:
    if rest and rest[0] not in (0, "constant", None):
        raise NetworkError(f"padding with {rest[0]}; accepted: zeros")
    rank = len(to.shape(x))
    low, high = [0] * rank, [0] * rank
    for i in range(len(amounts) // 2):  # torch counts from the last axis
        low[rank - 1 - i], high[rank - 1 - i] = int(amounts[2 * i]), int(amounts[2 * i + 1])
    return to.pad(x, [*low, *high])


def _shuffle(to: To, x: Value, factor: int) -> Value:
    stored = to.channels_last(x)
    n, h, w, c = to.b.shape(stored)
    shape = (n, h * factor, w * factor, c // factor**2)
    return Value(to.b.op("depth_to_space", [stored], shape, block_size=factor), True)


def _reshape(to: To, x: Value, shape: Sequence[int]) -> Value:
    return to.reshape(x, [int(size) for size in shape])


def _unbind(to: To, x: Value, axis: int = 0) -> list[Value]:
    axis %= len(to.shape(x))
    return [_squeeze(to, part, axis) for part in _split(to, x, 1, axis)]


def _concat(to: To, values: Sequence[Any], axis: int = 0) -> Value:
    return to.concat([v if isinstance(v, Value) else v.numpy() for v in values], axis)


def _expand(to: To, x: Value, shape: Sequence[int], **_: Any) -> Value:
    wanted = [n if s == -1 else s for s, n in zip(shape[-len(to.shape(x)) :], to.shape(x), strict=True)]
    if tuple(wanted) != to.shape(x):
        raise NetworkError(f"expanding {to.shape(x)} to {tuple(shape)}; elementwise operators broadcast by themselves")
    return x


#: ATen name -> function
SHAPE_OPERATORS: dict[str, Callable[..., Any]] = {
    "mean": _reduce("mean"),
    "sum": _reduce("sum"),
    "amax": _reduce("reduce_max"),
    "amin": _reduce("reduce_min"),
    "flatten": _flatten,
    "unflatten": _unflatten,
    "view": _reshape,
    "reshape": _reshape,
    "_unsafe_view": _reshape,
    "expand": _expand,
    "transpose": transpose_axes,
    "t": lambda to, x: transpose_axes(to, x, 0, 1),
    "permute": _permute,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "slice": _slice,
    "select": _select,
    "split": _split,
    "split_with_sizes": _split,
    "chunk": _chunk,
    "unbind": _unbind,
    "cat": _concat,
    "upsample_nearest2d": _resize("resize_nearest_neighbor"),
    "upsample_bilinear2d": _resize("resize_bilinear"),
    "pad": _pad,
    "constant_pad_nd": _pad,
    "pixel_shuffle": _shuffle,
}
