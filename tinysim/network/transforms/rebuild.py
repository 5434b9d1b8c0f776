"""Build a network again with other sizes: every operator through the builder, shapes following."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinysim.errors import NetworkError
from tinysim.network.builder import Builder, Padding
from tinysim.network.graph import Network, Op
from tinysim.network.kinds import FAMILY

__all__ = ["Rebuild", "format_of"]

Shape = tuple[int, ...]


def format_of(network: Network) -> str:
    """The number format whose types the network's layers have."""
    for op in network.ops:
        if FAMILY[op.kind] in {"conv", "recurrent"} or op.kind == "fully_connected":
            x, weights = (network.tensors[t].dtype for t in op.inputs[:2])
            if op.kind == "transpose_conv":
                x = network.tensors[op.inputs[2]].dtype
            return {"int16": "int16x8", "int8": "int8", "uint8": "int8", "float16": "float16"}.get(
                x, "dynamic-range" if weights == "int8" else "float32"
            )
    return "int8" if any(t.dtype == "int8" for t in network.tensors) else "float32"


class Rebuild:
    """A builder that repeats the operators of a network, `width` giving the new channels of its weighty layers."""

    def __init__(self, network: Network, width: Callable[[Op, int], int]) -> None:
        self.old = network
        self.b = Builder(network.name, dtype=format_of(network), source=network.source)
        self.width = width
        self.made: dict[int, int] = {}

    def inputs(self, shapes: Mapping[int, Shape]) -> None:
        """Make the inputs, some with another shape."""
        for t in self.old.inputs:
            tensor = self.old.tensors[t]
            self.made[t] = self.b.input(*shapes.get(t, tensor.shape), dtype=tensor.dtype, name=tensor.name)

    def run(self, ops: Sequence[Op]) -> None:
        """Repeat operators."""
        for op in ops:
            rebuild = _BY_KIND.get(op.kind) or _BY_FAMILY.get(FAMILY[op.kind])
            if rebuild is None or len(op.outputs) != 1:
                raise NetworkError(
                    f"{self.old.name}: {op.name or op.kind} ({op.kind}) cannot be rebuilt at another size"
                )
            self.made[op.outputs[0]] = rebuild(self, op, self._first(op))

    def done(self) -> Network:
        """The network rebuilt."""
        return self.b.build(*(self.made[t] for t in self.old.outputs))

    def _first(self, op: Op) -> int:
        made = [self.made[t] for t in op.inputs if t in self.made]
        return made[0] if made else self._alone(op.inputs[0])

    def _alone(self, t: int) -> int:
        """A constant that an operator reads alone (anchors): as large as the value that had its shape (boxes)."""
        tensor = self.old.tensors[t]
        alike = [new for old, new in self.made.items() if self.old_shape(old) == tensor.shape]
        return self.b.weights(tensor.name, self.b.shape(alike[-1]) if alike else tensor.shape, dtype=tensor.dtype)

    def value(self, t: int, like: int) -> int:
        """A value, or the constant anew: as wide as `like` if it was per channel."""
        if t in self.made:
            return self.made[t]
        tensor = self.old.tensors[t]
        channels = self.b.shape(like)[-1]
        shape = (*tensor.shape[:-1], channels) if tensor.elements > 1 else tensor.shape
        if tensor.data is not None and tensor.elements == 1:
            return self.b.constant(tensor.data, tensor.dtype)
        return self.b.weights(tensor.name, shape, dtype=tensor.dtype)

    def old_shape(self, t: int) -> Shape:
        """Shape in the old network."""
        return self.old.tensors[t].shape


def _padding(op: Op) -> Padding:
    label = str(op.attrs.get("padding", "valid"))
    if label != "explicit":
        return label
    top, bottom, left, right = (int(op.attrs[f"pad_{side}"]) for side in ("top", "bottom", "left", "right"))
    return top, bottom, left, right


def _window(op: Op) -> dict[str, Any]:
    return {
        "stride": (op.attrs["stride_h"], op.attrs["stride_w"]),
        "padding": _padding(op),
        "dilation": (op.attrs.get("dilation_h", 1), op.attrs.get("dilation_w", 1)),
        "bias": len(op.inputs) > 2 and op.inputs[2] >= 0,
        "activation": op.attrs.get("activation", "none"),
    }


def _conv(r: Rebuild, op: Op, x: int) -> int:
    filters, *kernel, depth = r.old_shape(op.inputs[1])
    groups = r.old_shape(op.inputs[0])[-1] // depth
    return r.b.conv(x, r.width(op, filters), (kernel[0], kernel[1]), groups=groups, **_window(op))


def _depthwise(r: Rebuild, op: Op, x: int) -> int:
    _, rows, columns, out = r.old_shape(op.inputs[1])
    return r.b.dw(x, (rows, columns), multiplier=out // r.old_shape(op.inputs[0])[-1], **_window(op))


def _transpose_conv(r: Rebuild, op: Op, x: int) -> int:
    filters, rows, columns, _ = r.old_shape(op.inputs[1])
    stride, bias = (op.attrs["stride_h"], op.attrs["stride_w"]), len(op.inputs) > 3
    padding = str(op.attrs["padding"])
    return r.b.transpose_conv(x, r.width(op, filters), (rows, columns), stride=stride, padding=padding, bias=bias)


def _fully_connected(r: Rebuild, op: Op, x: int) -> int:
    bias = len(op.inputs) > 2 and op.inputs[2] >= 0
    if len(r.b.shape(x)) == 4 and len(r.old_shape(op.outputs[0])) == 2:
        x = r.b.flatten(x)
    units = r.width(op, r.old_shape(op.inputs[1])[0])
    return r.b.fc(x, units, activation=op.attrs.get("activation", "none"), bias=bias)


def _pool(r: Rebuild, op: Op, x: int) -> int:
    old = r.old_shape(op.inputs[0])
    kernel, stride = (op.attrs["kernel_h"], op.attrs["kernel_w"]), (op.attrs["stride_h"], op.attrs["stride_w"])
    now = r.b.shape(x)
    spans = [now[1 + i] if k == old[1 + i] else k for i, k in enumerate(kernel)]  # a global pool stays one
    steps = [spans[i] if s == kernel[i] else s for i, s in enumerate(stride)]
    return r.b.pool(op.kind, x, (spans[0], spans[1]), stride=(steps[0], steps[1]), padding=_padding(op))


def _recurrent(r: Rebuild, op: Op, x: int) -> int:
    kinds = {"unidirectional_sequence_lstm": "lstm", "gru": "gru", "unidirectional_sequence_rnn": "rnn"}
    kind = kinds.get(op.kind)
    if kind is None:
        raise NetworkError(f"{r.old.name}: {op.name} ({op.kind}) cannot be rebuilt at another size")
    units = r.width(op, r.old_shape(op.inputs[1])[0])
    biases = sum(1 for t in op.inputs if t >= 0 and r.old.tensors[t].is_constant and len(r.old_shape(t)) == 1)
    return r.b.recurrent(kind, x, units, bias=biases > 0, reset_after=biases != 3)


def _elementwise(r: Rebuild, op: Op, x: int) -> int:
    if op.kind in {"quantize", "dequantize", "cast"}:
        return r.b.cast(op.kind, x, r.old.tensors[op.outputs[0]].dtype)
    if op.kind == "resize_bilinear":
        return _resize(r, op, x)
    values = [r.value(t, x) for t in op.inputs if t >= 0]
    if len(values) == 1:
        return r.b.unary(op.kind, x, **op.attrs)
    return r.b.binary(op.kind, values[0], values[1], activation=op.attrs.get("activation", "none"))


def _resize(r: Rebuild, op: Op, x: int) -> int:
    old, out, now = r.old_shape(op.inputs[0]), r.old_shape(op.outputs[0]), r.b.shape(x)
    rows, columns = (round(now[i] * out[i] / old[i]) for i in (1, 2))
    return r.b.resize(x, rows, columns, kind=op.kind)


def _reduce(r: Rebuild, op: Op, x: int) -> int:
    axes = r.old.tensors[op.inputs[1]].data if len(op.inputs) > 1 else None
    if axes is None:
        raise NetworkError(f"{r.old.name}: {op.name} ({op.kind}) has axes without values")
    return r.b.reduce(op.kind, x, [int(a) for a in axes.reshape(-1)], keep_dims=bool(op.attrs.get("keep_dims")))


def _reshape(r: Rebuild, op: Op, x: int) -> int:
    old, out, now = r.old_shape(op.inputs[0]), r.old_shape(op.outputs[0]), r.b.shape(x)
    if now == old:
        return r.b.reshape(x, *out)
    prefix = 0
    while prefix < min(len(old), len(out)) - 1 and old[prefix] == out[prefix]:
        prefix += 1
    rest = list(out[prefix:])
    splits_pixels = len(rest) > 1 and len(old) > 2 and old[-1] % out[-1] == 0 and prefix == 1
    rest[0 if splits_pixels else -1] = -1
    return r.b.reshape(x, *now[:prefix], *rest)


def _slice(r: Rebuild, op: Op, x: int) -> int:
    begin, size = (r.old.tensors[t].data for t in op.inputs[1:3])
    if begin is None or size is None:
        raise NetworkError(f"{r.old.name}: {op.name} (slice) has a box without values")
    old = r.old_shape(op.inputs[0])
    sizes = [-1 if int(s) == old[i] else int(s) for i, s in enumerate(size)]
    return r.b.slice(x, [int(n) for n in begin], sizes)


def _transpose(r: Rebuild, op: Op, x: int) -> int:
    order = r.old.tensors[op.inputs[1]].data
    return r.b.transpose(x, *(range(len(r.b.shape(x))) if order is None else [int(n) for n in order]))


def _pad(r: Rebuild, op: Op, x: int) -> int:
    return r.b.pad(x, *(int(op.attrs[f"pad_{side}"]) for side in ("top", "bottom", "left", "right")))


def _layer_norm(r: Rebuild, op: Op, x: int) -> int:
    constants = [r.value(t, x) for t in op.inputs[1:]]
    return r.b.op("layer_norm", [x, *constants], r.b.shape(x), function="none")


_BY_KIND: dict[str, Callable[[Rebuild, Op, int], int]] = {
    "conv2d": _conv,
    "depthwise_conv2d": _depthwise,
    "fully_connected": _fully_connected,
    "transpose_conv": _transpose_conv,
    "batch_matmul": lambda r, op, x: r.b.matmul(
        r.made[op.inputs[0]], r.made[op.inputs[1]], adj_x=bool(op.attrs.get("adj_x")), adj_y=bool(op.attrs.get("adj_y"))
    ),
    "softmax": lambda r, op, x: r.b.softmax(x),
    "layer_norm": _layer_norm,
    "reshape": _reshape,
    "slice": _slice,
    "transpose": _transpose,
    "pad": _pad,
    "concatenation": lambda r, op, x: r.b.concat([r.made[t] for t in op.inputs], axis=int(op.attrs["axis"])),
    "resize_nearest_neighbor": _resize,
}
_BY_FAMILY: dict[str, Callable[[Rebuild, Op, int], int]] = {
    "pool": _pool,
    "recurrent": _recurrent,
    "elementwise": _elementwise,
    "reduce": _reduce,
}
