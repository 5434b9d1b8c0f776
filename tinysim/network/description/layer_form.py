"""The layer form: a list of layers, each feeding the next, with repeats and blocks; shapes follow.

    tinysim: network
    version: 1
    name: kws
    inputs: {x: [1, 49, 10, 1]}
    layers:
      - conv2d: {filters: 64, kernel: [10, 4], stride: 2, activation: relu}
      - repeat: 4
        layers:
          - depthwise_conv2d: {kernel: 3, activation: relu}
          - conv2d: {filters: 64, activation: relu}
      - avg_pool2d: {kernel: [25, 5]}
      - flatten
      - fully_connected: {units: 12}
      - softmax

A layer's parameters are those of the `Builder` method behind it. `name` labels its output, `from` (a label, `previous`,
or a list of them) chooses its inputs. A block is a list of layers with parameters, written `$parameter` inside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinysim.errors import NetworkError, UnsupportedOperator, nearest
from tinysim.network.builder import Builder
from tinysim.network.description.layer_kinds import LAYERS, is_int
from tinysim.network.graph import Network
from tinysim.network.quantization import FORMATS

__all__ = ["network_of_layer_form"]

_MOST_LAYERS = 10_000
_DEEPEST = 50
_KEYS = {"tinysim", "version", "name", "source", "dtype", "inputs", "blocks", "layers", "outputs"}


class _Program:
    """A layer list being built."""

    def __init__(self, builder: Builder, labels: dict[str, int], blocks: Mapping[str, Any]) -> None:
        self.b = builder
        self.labels = labels
        self.blocks = blocks
        self.count = 0

    def run(self, layers: Any, where: str, scope: Mapping[str, Any], depth: int = 0) -> None:
        """Build a list of layers."""
        if not isinstance(layers, list) or depth > _DEEPEST:
            raise NetworkError(f"{where}: expected a list of layers, nested at most {_DEEPEST} deep")
        for index, item in enumerate(layers):
            self._one(item, f"{where} {index}", scope, depth)

    def _one(self, item: Any, where: str, scope: Mapping[str, Any], depth: int) -> None:
        self.count += 1
        if self.count > _MOST_LAYERS:
            raise NetworkError(f"{where}: more than {_MOST_LAYERS} layers")
        entry = {item: {}} if isinstance(item, str) else item
        if not isinstance(entry, dict) or not all(isinstance(key, str) for key in entry):
            raise NetworkError(f"{where}: expected the name of a layer or a mapping, found {type(item).__name__}")
        if "repeat" in entry:
            times = _substitute(entry["repeat"], scope, where)
            if set(entry) != {"repeat", "layers"} or not is_int(times) or times < 0:
                raise NetworkError(f"{where}: expected repeat: a whole number, layers: a list")
            for _ in range(times):
                self.run(entry["layers"], f"{where}, layer", scope, depth + 1)
        elif "block" in entry:
            self._block(entry, where, scope, depth)
        else:
            self._layer(entry, where, scope)

    def _block(self, entry: Mapping[str, Any], where: str, scope: Mapping[str, Any], depth: int) -> None:
        name, given = entry["block"], entry.get("with", {})
        body = self.blocks.get(name) if isinstance(name, str) else None
        if not isinstance(body, dict) or not set(body) <= {"parameters", "layers"}:
            raise NetworkError(f"{where}: no block {name!r}; {nearest(str(name), self.blocks)}")
        parameters = body.get("parameters", [])
        if not isinstance(parameters, list) or not all(isinstance(p, str) for p in parameters):
            raise NetworkError(f"{where}: the parameters of block {name!r} must be a list of names")
        if not isinstance(given, dict) or set(given) != set(parameters):
            raise NetworkError(f"{where}: block {name!r} takes with: {', '.join(parameters) or 'nothing'}")
        inner = {key: _substitute(value, scope, where) for key, value in given.items()}
        self.run(body.get("layers"), f"{where} (block {name}), layer", inner, depth + 1)

    def _layer(self, entry: Mapping[str, Any], where: str, scope: Mapping[str, Any]) -> None:
        kinds = [key for key in entry if key not in {"name", "from"}]
        if len(kinds) != 1:
            raise NetworkError(f"{where}: expected one kind of layer, found {', '.join(kinds) or 'none'}")
        kind = kinds[0]
        if kind not in LAYERS:
            raise UnsupportedOperator(f"{where}: no layer {kind!r}; {nearest(kind, LAYERS)}")
        given = entry[kind] or {}
        if not isinstance(given, dict):
            raise NetworkError(f"{where} ({kind}): expected parameters as a mapping, found {type(given).__name__}")
        origin = entry.get("from", "previous")
        sources = [
            self.value(label, f"{where} ({kind})") for label in (origin if isinstance(origin, list) else [origin])
        ]
        parameters = {str(key): _substitute(value, scope, where) for key, value in given.items()}
        try:
            out = LAYERS[kind].build(self.b, sources, parameters)
        except NetworkError as error:
            raise NetworkError(f"{where} ({kind}): {error}") from error
        self.labels["previous"] = out
        if "name" in entry:
            self.labels[str(entry["name"])] = out

    def value(self, label: Any, where: str) -> int:
        """The value behind a label."""
        if not isinstance(label, str) or label not in self.labels:
            raise NetworkError(f"{where}: no value {label!r}; {nearest(str(label), self.labels)}")
        return self.labels[label]


def _substitute(value: Any, scope: Mapping[str, Any], where: str) -> Any:
    """Replace `$parameter` by its value, also inside lists."""
    if isinstance(value, list):
        return [_substitute(item, scope, where) for item in value]
    if isinstance(value, str) and value.startswith("$"):
        if value[1:] not in scope:
            raise NetworkError(f"{where}: no parameter {value!r}; {nearest(value[1:], scope)}")
        return scope[value[1:]]
    return value


def network_of_layer_form(document: Mapping[str, Any]) -> Network:
    """Build the network of a document in layer form.

    Raises:
        NetworkError: names the layer, the parameter, and what is accepted.
        UnsupportedOperator: an unknown layer.
    """
    for key in document:
        if key not in _KEYS:
            raise NetworkError(f"unknown key {key!r}; {nearest(str(key), _KEYS)}")
    inputs, blocks = document.get("inputs"), document.get("blocks", {})
    named = isinstance(blocks, dict) and all(isinstance(key, str) for key in blocks)
    if not isinstance(inputs, dict) or not inputs or not named:
        raise NetworkError("inputs must map names to shapes, such as {x: [1, 96, 96, 3]}, and blocks names to blocks")
    name, dtype = document.get("name"), document.get("dtype", "int8")
    if not isinstance(name, str) or not isinstance(dtype, str):
        raise NetworkError(f"name and dtype must be text; dtype is one of {', '.join(FORMATS)}")
    b = Builder(name, dtype=dtype, source=str(document.get("source", "")))
    labels: dict[str, int] = {}
    for label, shape in inputs.items():
        if not isinstance(shape, list) or not 1 <= len(shape) <= 8 or not all(is_int(n) and n >= 1 for n in shape):
            raise NetworkError(f"input {label!r} has shape {shape!r}; accepted: a list of whole numbers >= 1")
        labels[str(label)] = labels["previous"] = b.input(*shape, name=str(label))
    program = _Program(b, labels, blocks)
    program.run(document.get("layers"), "layer", {})
    wanted = document.get("outputs", ["previous"])
    if not isinstance(wanted, list) or not wanted:
        raise NetworkError("outputs must be a list of labels")
    return b.build(*(program.value(label, "outputs") for label in wanted))
