"""GELU, which exporters up to opset 19 spell out with the error function, back to one operator.

GELU(x) = x / 2 (1 + erf(x / sqrt 2)), arXiv:1606.08415.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["with_gelu"]


def with_gelu(nodes: Sequence[Any], initializers: Mapping[str, Any]) -> list[Any]:
    """The nodes with each spelled-out GELU as one `Gelu` where it ended; what else needs its parts keeps them."""
    if not any(node.op_type == "Erf" for node in nodes):
        return list(nodes)
    graph = _Graph(nodes, initializers)
    made = {id(last): gelu for erf in nodes if erf.op_type == "Erf" for last, gelu in graph.gelu(erf)}
    replaced = [made.get(id(node), node) for node in nodes]
    return _without_unused(replaced, {name for node in nodes for name in node.output if name not in graph.users})


class _Graph:
    """Producers and users by name of value."""

    def __init__(self, nodes: Sequence[Any], initializers: Mapping[str, Any]) -> None:
        from onnx import numpy_helper

        self.constants = dict(initializers)
        self.made: dict[str, Any] = {}
        self.users: dict[str, list[Any]] = {}
        for node in nodes:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
            for name in node.output:
                self.made[name] = node
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)

    def gelu(self, erf: Any) -> list[tuple[Any, Any]]:
        """The last node of the pattern around an error function and the operator that replaces it, if it is one."""
        from onnx import helper

        x = self._scaled(self.made.get(erf.input[0]))
        plus = self._user(erf.output[0], "Add")
        if x is None or plus is None or not self._has(plus, erf.output[0], 1.0):
            return []
        product = self._user(plus.output[0], "Mul")
        if product is None:
            return []
        other = _other(product, plus.output[0])
        if other == x:
            last = self._user(product.output[0], "Mul")
            whole = last is not None and self._has(last, product.output[0], 0.5)
        elif self._is(other, 0.5):
            last = self._user(product.output[0], "Mul")
            whole = last is not None and _other(last, product.output[0]) == x
        else:
            last, half = product, self.made.get(other)
            whole = half is not None and half.op_type == "Mul" and x in half.input and self._has(half, x, 0.5)
        if last is None or not whole:
            return []
        return [(last, helper.make_node("Gelu", [x], list(last.output), name=last.name))]

    def _scaled(self, node: Any) -> str | None:
        """x, if the node is x / sqrt 2."""
        if node is None or node.op_type not in {"Div", "Mul"}:
            return None
        factor = math.sqrt(2) if node.op_type == "Div" else math.sqrt(0.5)
        for position in (1, 0) if node.op_type == "Mul" else (1,):
            if self._is(node.input[position], factor):
                return str(node.input[1 - position])
        return None

    def _user(self, name: str, kind: str) -> Any:
        """The only user of a value, if it is of a kind."""
        users = self.users.get(name, [])
        return users[0] if len(users) == 1 and users[0].op_type == kind else None

    def _is(self, name: str, value: float) -> bool:
        found = self.constants.get(name)
        return (
            found is not None
            and np.size(found) == 1
            and math.isclose(float(np.reshape(found, ())), value, rel_tol=1e-3)
        )

    def _has(self, node: Any, name: str, value: float) -> bool:
        """Whether the other input of the node is this constant."""
        return self._is(_other(node, name), value)


def _other(node: Any, name: str) -> str:
    return str(node.input[1] if node.input[0] == name else node.input[0])


def _without_unused(nodes: list[Any], ends: set[str]) -> list[Any]:
    """The nodes that something needs: outputs that nothing read before are the network's."""
    needed, kept = set(ends), []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    return kept[::-1]
