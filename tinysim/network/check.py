"""Do the shapes of a network fit its operators? Where they don't, the file is wrong and nothing is priced."""

from __future__ import annotations

import math
from collections.abc import Callable

from tinysim.errors import NetworkError
from tinysim.network.graph import Network, Op
from tinysim.network.kinds import FAMILY
from tinysim.network.shapes import broadcast

__all__ = ["check_network"]

Shape = tuple[int, ...]


def check_network(network: Network) -> None:
    """Raise unless every operator's output shape follows from its inputs and attributes.

    Raises:
        NetworkError: names the operator, its index, and what does not fit.
    """
    for index, op in enumerate(network.ops):
        check = _BY_KIND.get(op.kind) or _BY_FAMILY.get(FAMILY[op.kind])
        if check is None:
            continue
        inputs = [network.tensors[t].shape if t >= 0 else () for t in op.inputs]
        outputs = [network.tensors[t].shape for t in op.outputs if t >= 0]
        try:
            _need(bool(inputs and outputs), "needs an input and an output")
            check(op, inputs, outputs)
        except NetworkError as error:
            raise NetworkError(f"{network.source or network.name}: operator {index} ({op.kind}): {error}") from error


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise NetworkError(otherwise)


def _windows(op: Op, x: Shape, out: Shape, kernel: Shape) -> None:
    """Batch, height and width of a convolution or pool."""
    _need(len(x) == 4 and len(out) == 4, f"input {x} and output {out} must have 4 axes")
    _need(x[0] == out[0], f"{x[0]} images in and {out[0]} out")
    for axis, (letter, low, high) in enumerate((("h", "top", "bottom"), ("w", "left", "right"))):
        stride, dilation = op.attrs.get(f"stride_{letter}", 1), op.attrs.get(f"dilation_{letter}", 1)
        padded = x[1 + axis] + op.attrs.get(f"pad_{low}", 0) + op.attrs.get(f"pad_{high}", 0)
        wanted = (padded - (kernel[axis] - 1) * dilation - 1) // stride + 1
        _need(wanted == out[1 + axis], f"from input {x} follows {wanted} along {letter}, the output has {out}")


def _conv(op: Op, inputs: list[Shape], outputs: list[Shape]) -> None:
    _need(len(inputs) > 1 and len(inputs[1]) == 4, "needs weights with 4 axes")
    x, weights, out = inputs[0], inputs[1], outputs[0]
    _windows(op, x, out, weights[1:3])
    if op.kind == "depthwise_conv2d":
        fits = weights[0] == 1 and weights[3] == out[3] and out[3] % x[3] == 0
    else:
        groups = x[3] // weights[3]
        fits = weights[0] == out[3] and groups > 0 and x[3] == groups * weights[3] and out[3] % groups == 0
    _need(fits, f"weights {weights} do not take {x[3]} channels to {out[3]}")


def _transpose_conv(op: Op, inputs: list[Shape], outputs: list[Shape]) -> None:
    _need(len(inputs) > 2 and len(inputs[1]) == 4 and len(inputs[2]) == 4, "needs weights and data with 4 axes")
    weights, x, out = inputs[1], inputs[2], outputs[0]
    _need(len(out) == 4 and x[0] == out[0], f"output {out} does not follow from data {x}")
    _need(weights[0] == out[3] and weights[3] == x[3], f"weights {weights} do not take {x[3]} channels to {out[3]}")


def _pool(op: Op, inputs: list[Shape], outputs: list[Shape]) -> None:
    _windows(op, inputs[0], outputs[0], (op.attrs["kernel_h"], op.attrs["kernel_w"]))
    _need(inputs[0][3] == outputs[0][3], f"{inputs[0][3]} channels in and {outputs[0][3]} out")


def _fully_connected(op: Op, inputs: list[Shape], outputs: list[Shape]) -> None:
    _need(len(inputs) > 1 and len(inputs[1]) == 2, "needs weights with 2 axes")
    units, depth = inputs[1]
    elements = math.prod(inputs[0])
    _need(
        elements % depth == 0 and math.prod(outputs[0]) == elements // depth * units,
        f"weights {inputs[1]} do not take input {inputs[0]} to output {outputs[0]}",
    )


def _batch_matmul(op: Op, inputs: list[Shape], outputs: list[Shape]) -> None:
    _need(len(inputs) > 1 and min(len(inputs[0]), len(inputs[1])) > 1, "needs two inputs with 2 axes or more")
    x, y = inputs[0], inputs[1]
    rows, depth = (x[-1], x[-2]) if op.attrs.get("adj_x") else (x[-2], x[-1])
    depth_y, columns = (y[-1], y[-2]) if op.attrs.get("adj_y") else (y[-2], y[-1])
    wanted = (*broadcast([x[:-2], y[:-2]]), rows, columns)
    _need(depth == depth_y and wanted == outputs[0], f"inputs {x} and {y} do not give output {outputs[0]}")


def _recurrent(op: Op, inputs: list[Shape], outputs: list[Shape]) -> None:
    _need(len(inputs[0]) in (2, 3), f"input {inputs[0]} must have 2 or 3 axes")
    _need(len(outputs[0]) >= 1, "needs an output with an axis of units")
    _need(len(inputs) > 1 and any(len(shape) == 2 for shape in inputs[1:]), "needs a weight matrix")


def _elementwise(op: Op, inputs: list[Shape], outputs: list[Shape]) -> None:
    wanted = broadcast([shape for t, shape in zip(op.inputs, inputs, strict=True) if t >= 0])
    _need(wanted == outputs[0], f"inputs {' and '.join(map(str, inputs))} do not give output {outputs[0]}")


def _resize(op: Op, inputs: list[Shape], outputs: list[Shape]) -> None:
    x, out = inputs[0], outputs[0]
    _need(len(x) == 4 and len(out) == 4 and x[::3] == out[::3], f"input {x} does not give output {out}")


def _same_elements(op: Op, inputs: list[Shape], outputs: list[Shape]) -> None:
    _need(math.prod(inputs[0]) == math.prod(outputs[0]), f"input {inputs[0]} does not hold output {outputs[0]}")


def _reduce(op: Op, inputs: list[Shape], outputs: list[Shape]) -> None:
    _need(math.prod(inputs[0]) % math.prod(outputs[0]) == 0, f"input {inputs[0]} does not reduce to {outputs[0]}")


def _concatenation(op: Op, inputs: list[Shape], outputs: list[Shape]) -> None:
    total = sum(math.prod(shape) for shape in inputs)
    _need(total == math.prod(outputs[0]), f"inputs {' and '.join(map(str, inputs))} do not fill output {outputs[0]}")


_BY_KIND: dict[str, Callable[[Op, list[Shape], list[Shape]], None]] = {
    "transpose_conv": _transpose_conv,
    "batch_matmul": _batch_matmul,
    "resize_bilinear": _resize,
    "resize_nearest_neighbor": _resize,
    "batch_norm": _same_elements,
    "transpose": _same_elements,
    "concatenation": _concatenation,
}
_BY_FAMILY: dict[str, Callable[[Op, list[Shape], list[Shape]], None]] = {
    "conv": _conv,
    "matmul": _fully_connected,
    "recurrent": _recurrent,
    "pool": _pool,
    "reduce": _reduce,
    "softmax": _same_elements,
    "elementwise": _elementwise,
    "view": _same_elements,
}
