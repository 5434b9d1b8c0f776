"""ONNX files, opset 13 to 22: float, QDQ and QOperator int8, channels first onto channels last.

Needs the extra `onnx`. Files are parsed as protobuf; external data is not followed and nothing is executed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError, UnsupportedOperator, nearest
from tinysim.network.builder import Builder
from tinysim.network.frameworks.channels_first import ChannelsFirst, Value
from tinysim.network.frameworks.onnx_constants import FOLDABLE, fold
from tinysim.network.frameworks.onnx_gelu import with_gelu
from tinysim.network.frameworks.onnx_integer import INTEGER_OPERATORS
from tinysim.network.frameworks.onnx_operators import OPERATORS, Node
from tinysim.network.graph import Network
from tinysim.network.transforms.fusion import fuse
from tinysim.network.transforms.qdq import fuse_qdq
from tinysim.network.transforms.views import signal_inputs

__all__ = ["read_onnx"]

_MOST_BYTES = 2**31


def read_onnx(
    source: str | Path | bytes, *, input_shapes: Mapping[str, Sequence[int]] | None = None, name: str = ""
) -> Network:
    """Read an ONNX file, or its bytes.

    An unknown batch size counts as 1; other unknown sizes need `input_shapes`, by name of the input.

    Raises:
        NetworkError: onnx is missing, the file is damaged, or a size is unknown.
        UnsupportedOperator: an operator that nothing prices; the message names it and its index.
    """
    try:
        import onnx
    except ImportError as error:
        raise NetworkError("reading ONNX files needs the extra 'onnx': pip install tinysim[onnx]") from error
    label, data = (name or "ONNX model", source) if isinstance(source, bytes) else _bytes_of(Path(source))
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf has its own errors; a user gets one sentence
        raise NetworkError(f"{label}: no valid ONNX file") from error
    if not model.graph.node:
        raise NetworkError(f"{label}: no valid ONNX file, or one without operators")
    stem = name or (Path(source).stem if not isinstance(source, bytes) else _one_line(model.graph.name) or "onnx")
    return _Import(label, stem).network(model.graph, dict(input_shapes or {}))


def _bytes_of(path: Path) -> tuple[str, bytes]:
    try:
        if path.stat().st_size >= _MOST_BYTES:
            raise NetworkError(f"{path.name}: larger than the 2 GiB that an ONNX file can be")
        return path.name, path.read_bytes()
    except OSError as error:
        raise NetworkError(f"{path}: cannot be read: {error.strerror}") from error


class _Import:
    """A graph being converted."""

    def __init__(self, label: str, name: str) -> None:
        self.label = label
        self.b = Builder(name, dtype="float32", source=label)
        self.to = ChannelsFirst(self.b)
        self.values: dict[str, Value | NDArray[Any]] = {}

    def network(self, graph: Any, shapes: dict[str, Sequence[int]]) -> Network:
        """Convert node by node, in the file's order, which ONNX demands to be one of execution."""
        from onnx import numpy_helper

        for tensor in graph.initializer:
            if tensor.external_data:
                raise NetworkError(f"{self.label}: weights {tensor.name!r} lie in another file; save them inside")
            try:
                self.values[tensor.name] = numpy_helper.to_array(tensor)
            except Exception as error:  # numpy's and onnx's errors on damaged tensors
                raise NetworkError(f"{self.label}: weights {tensor.name!r} are damaged") from error
        for given in graph.input:
            if given.name not in self.values:
                shape = shapes.pop(given.name, None) or self._shape(given)
                self.values[given.name] = self.to.input(tuple(shape), name=_one_line(given.name))
        if shapes:
            known = [given.name for given in graph.input]
            raise NetworkError(f"{self.label}: no input {next(iter(shapes))!r}; {nearest(next(iter(shapes)), known)}")
        for index, node in enumerate(with_gelu(graph.node, self.values)):
            self._node(index, node)
        outputs = [self._found(f"{self.label}: output", out.name) for out in graph.output]
        made = [self.to.plain(v) for v in outputs if isinstance(v, Value)]
        if not made:
            raise NetworkError(f"{self.label}: no output depends on an input")
        network = signal_inputs(fuse(self.b.build(*dict.fromkeys(made))))
        whole = fuse_qdq(network)
        return network if whole is network else fuse(whole)

    def _shape(self, given: Any) -> tuple[int, ...]:
        sizes: list[int] = []
        for axis, dim in enumerate(given.type.tensor_type.shape.dim):
            known = dim.HasField("dim_value") and dim.dim_value > 0
            if not known and axis > 0:
                raise NetworkError(
                    f"{self.label}: input {given.name!r} has an unknown size in axis {axis} "
                    f"({_one_line(dim.dim_param) or 'no name'}): give its shape in input_shapes"
                )
            sizes.append(int(dim.dim_value) if known else 1)
        return tuple(sizes)

    def _found(self, where: str, name: str) -> Value | NDArray[Any] | None:
        if not name:
            return None
        if name not in self.values:
            raise NetworkError(f"{where} reads {name!r} before anything writes it: the graph has a cycle or a gap")
        return self.values[name]

    def _node(self, index: int, node: Any) -> None:
        from onnx import helper

        where = f"{self.label}: operator {index} ({_one_line(node.op_type)})"
        inputs = [self._found(where, name) for name in node.input]
        try:
            attrs = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        except Exception as error:  # damaged attributes
            raise NetworkError(f"{where}: its attributes are damaged") from error
        values = [v for v in inputs if isinstance(v, Value)]
        try:
            if node.op_type == "Shape" and values:
                results: Any = [np.array(self.to.shape(values[0]), np.int64)]
            elif not values and node.op_type in FOLDABLE:
                results = fold(node.op_type, inputs, attrs)
            else:
                operator = OPERATORS.get(node.op_type) or INTEGER_OPERATORS.get(node.op_type)
                if operator is None:
                    raise UnsupportedOperator("not supported: replace it before export or describe the network as YAML")
                results = operator(self.to, Node(inputs, attrs, len(node.output)))
        except NetworkError as error:
            raise type(error)(f"{where}: {error}") from error
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            reason = " ".join(str(error).split())[:120]
            raise NetworkError(f"{where}: its inputs or attributes do not fit: {reason}") from error
        listed = results if isinstance(results, (list, tuple)) and not isinstance(results, Value) else [results]
        for name, value in zip(node.output, listed, strict=False):
            if name:
                self.values[name] = value


def _one_line(text: Any) -> str:
    """A name of the file as it may stand in a message; protobuf gives bytes where it is no UTF-8."""
    return " ".join(str(text).split())
