"""ONNX operators on integers (QOperator format): as float ones between DEQUANTIZE and QUANTIZE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.network.frameworks.channels_first import ChannelsFirst, Value
from tinysim.network.frameworks.onnx_operators import OPERATORS, Node, conv_with

__all__ = ["INTEGER_OPERATORS"]

To = ChannelsFirst
Array = NDArray[Any]


def _whole(to: To, node: Node, build: Callable[[], Value]) -> Value:
    """An operator on integers: a float one between DEQUANTIZE and QUANTIZE, which `fuse_qdq` makes whole again."""
    y = build()
    return Value(to.b.cast("quantize", y.at, "int8"), y.last)


def _float(to: To, v: Value) -> Value:
    return Value(to.b.cast("dequantize", v.at, "float32"), v.last)


def _qlinear_conv(to: To, node: Node) -> Value:
    weights = _floats(node.needed(3))
    return _whole(to, node, lambda: conv_with(to, node, _float(to, node.value(0)), weights, node.constant(8)))


def _floats(array: Array) -> Array:
    return np.asarray(array, np.float32)


def _qlinear_matmul(to: To, node: Node) -> Value:
    y = node.inputs[3]
    if isinstance(y, Value):
        return _whole(to, node, lambda: to.matmul(_float(to, node.value(0)), _float(to, y)))
    return _whole(to, node, lambda: to.linear(_float(to, node.value(0)), _floats(node.needed(3)).T, False))


def _qgemm(to: To, node: Node) -> Value:
    weights, bias = _floats(node.needed(3)), node.constant(6)
    weights = weights if node.attrs.get("transB") else weights.T
    return _whole(to, node, lambda: to.linear(_float(to, node.value(0)), weights, False if bias is None else bias))


def _qlinear_add(to: To, node: Node) -> Value:
    return _whole(to, node, lambda: to.binary("add", _float(to, node.value(0)), _float(to, node.value(3))))


def _qlinear_unary(plain: str) -> Callable[[To, Node], Value]:
    def build(to: To, node: Node) -> Value:
        inner = Node([_float(to, node.value(0))], node.attrs, 1)
        return _whole(to, node, lambda: OPERATORS[plain](to, inner))

    return build


#: ONNX name -> function
INTEGER_OPERATORS: dict[str, Callable[[To, Node], Value]] = {
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "QGemm": _qgemm,
    "QLinearAdd": _qlinear_add,
    "QLinearGlobalAveragePool": _qlinear_unary("GlobalAveragePool"),
    "QLinearAveragePool": _qlinear_unary("AveragePool"),
    "QLinearSigmoid": _qlinear_unary("Sigmoid"),
    "QLinearSoftmax": _qlinear_unary("Softmax"),
}
