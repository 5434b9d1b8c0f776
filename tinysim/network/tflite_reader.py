"""TFLite files: read with an own bounds-checked parser, no TensorFlow.

The first subgraph becomes the network, operators in the file's order, which is the order in which TFLM runs them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError, UnsupportedOperator
from tinysim.network.check import check_network
from tinysim.network.flatbuffer import FlatFile, FlatTable
from tinysim.network.graph import DTYPE_BITS, Network, Op, Quantization, Tensor
from tinysim.network.kinds import FAMILY
from tinysim.network.shapes import transpose_window, window
from tinysim.network.tflite_schema import ACTIVATIONS, BUILTIN_NAMES, CONTROL_FLOW, DTYPES, OPTIONS, kind_of_builtin

__all__ = ["read_tflite"]

#: TFLite addresses 2 GiB; a tensor or file beyond is damaged or not for a microcontroller.
_MOST_BYTES = 2**31
_MOST_AXES = 8


def read_tflite(source: str | Path | bytes, *, name: str | None = None, allow_unknown: bool = False) -> Network:
    """Read a TFLite file, or its bytes.

    Constants are read-only views of the file's bytes. With `allow_unknown`, an operator that tinysim does not know
    becomes `custom_unknown`, priced as data movement.

    Raises:
        NetworkError: not a TFLite file, truncated, damaged, empty, with unknown shapes, or with a cyclic graph.
        UnsupportedOperator: an operator that nothing prices; the message names it and its index.
    """
    if isinstance(source, bytes):
        data, label = source, name or "TFLite model"
    else:
        path = Path(source)
        label = path.name
        try:
            if path.stat().st_size >= _MOST_BYTES:
                raise NetworkError(f"{label}: larger than the 2 GiB that a TFLite file can be")
            data = path.read_bytes()
        except OSError as error:
            raise NetworkError(f"{path}: cannot be read: {error.strerror}") from error
        name = name or path.stem
    if not data:
        raise NetworkError(f"{label}: the file is empty; expected a TFLite model")
    if data[4:8] != b"TFL3":
        raise NetworkError(f"{label}: not a TFLite file (its bytes 4 to 8 are not 'TFL3')")
    return _Reader(data, label, allow_unknown).network(name or "tflite")


class _Reader:
    """One file being read."""

    def __init__(self, data: bytes, label: str, allow_unknown: bool) -> None:
        self.file = FlatFile(data, label)
        self.label = label
        self.allow_unknown = allow_unknown

    def network(self, name: str) -> Network:
        model = self.file.root()
        version = model.number(0, "I")
        if version != 3:
            raise NetworkError(f"{self.label}: schema version {version}; accepted: 3")
        graphs = model.tables(2)
        if not graphs:
            raise NetworkError(f"{self.label}: holds no subgraph")
        graph, self.buffers = graphs[0], model.tables(4)
        self.codes = [self._code(code) for code in model.tables(1)]
        self.tensors = [self._tensor(i, table) for i, table in enumerate(graph.tables(0))]
        self.graph_inputs = set(self._indices(graph, 1))
        self.written = {int(t) for op in graph.tables(3) for t in self._indices(op, 2)}
        ops = tuple(self._op(i, table) for i, table in enumerate(graph.tables(3)))
        if not ops:
            raise NetworkError(f"{self.label}: its first subgraph has no operators")
        network = Network(
            name=name,
            tensors=tuple(self.tensors),
            ops=ops,
            inputs=self._indices(graph, 1),
            outputs=self._indices(graph, 2),
            source=self.label,
            file_bytes=len(self.file.data),
            metadata={"format": "tflite", "description": model.text(3), "subgraphs": len(graphs)},
        )
        check_network(network)
        return network

    # ------------------------------------------------------------------ operators

    @staticmethod
    def _code(table: FlatTable) -> tuple[str, str]:
        """Builtin name (or a placeholder for codes of newer schemas) and custom name."""
        code = max(table.number(0, "b"), table.number(3, "i"))
        known = 0 <= code < len(BUILTIN_NAMES)
        return (BUILTIN_NAMES[code] if known else f"builtin code {code}"), table.text(1)

    def _indices(self, table: FlatTable, slot: int) -> tuple[int, ...]:
        found = table.array(slot, "<i4")
        return () if found is None else tuple(found.tolist())

    def _op(self, index: int, table: FlatTable) -> Op:
        which = table.number(0, "I")
        if which >= len(self.codes):
            raise NetworkError(f"{self.label}: operator {index} has code {which}, the file lists {len(self.codes)}")
        builtin, custom = self.codes[which]
        shown = f"custom operator {custom!r}" if builtin == "CUSTOM" else builtin
        where = f"{self.label}: operator {index} ({shown})"
        inputs, outputs = self._indices(table, 1), self._indices(table, 2)
        for t in (*inputs, *outputs):
            if not -1 <= t < len(self.tensors):
                raise NetworkError(f"{where}: tensor {t} does not exist; the file has {len(self.tensors)}")
        kind = kind_of_builtin(builtin)
        if builtin == "CUSTOM" or kind not in FAMILY:
            return self._unknown(where, builtin, shown, inputs, outputs)
        for t in inputs:
            if t >= 0 and not self._has_values(t):
                raise NetworkError(
                    f"{where} reads tensor {t} ({self.tensors[t].name!r}), whose buffer has 0 bytes and which no "
                    "operator writes"
                )
        if not outputs and kind not in {"assign_variable", "call_once"}:
            raise NetworkError(f"{where} has no output")
        attrs = self._attributes(where, builtin, table)
        return Op(kind, inputs, outputs, self._windows(where, kind, inputs, outputs, attrs), f"{kind}_{index}")

    def _has_values(self, t: int) -> bool:
        tensor = self.tensors[t]
        return tensor.is_constant or tensor.is_variable or t in self.written or t in self.graph_inputs

    def _unknown(self, where: str, builtin: str, shown: str, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Op:
        if builtin in CONTROL_FLOW:
            raise UnsupportedOperator(
                f"{where} is control flow, whose cost depends on the data: convert the model with unrolled loops"
            )
        if not self.allow_unknown:
            raise UnsupportedOperator(
                f"{where} is not supported: replace it before conversion, or allow unknown operators "
                "(allow_unknown=True, --allow-unknown) to price it as data movement"
            )
        return Op("custom_unknown", inputs, outputs, {"operator": shown}, shown)

    def _attributes(self, where: str, builtin: str, table: FlatTable) -> dict[str, Any]:
        """Scalar options of the operator by tinysim's names; defaults of the schema where absent."""
        union, fields = OPTIONS.get(builtin, (0, ()))
        given = table.number(3, "B")
        if given and union and given != union:
            raise NetworkError(f"{where}: options of type {given} do not belong to it; expected type {union}")
        options = table.table(4) if given else None
        attrs: dict[str, Any] = {}
        for slot, form, default, attribute in fields:
            number = default if options is None else options.number(slot, form, default)
            attrs[attribute] = bool(number) if form == "?" else float(number) if form == "f" else int(number)
        if "activation" in attrs:
            code = attrs["activation"]
            if not 0 <= code < len(ACTIVATIONS):
                raise NetworkError(f"{where}: unknown fused activation {code}")
            attrs["activation"] = ACTIVATIONS[code]
        if "padding" in attrs:
            if attrs["padding"] not in (0, 1):
                raise NetworkError(f"{where}: unknown padding {attrs['padding']}; accepted: 0 (SAME), 1 (VALID)")
            attrs["padding"] = ("same", "valid")[attrs["padding"]]
        for size in ("stride_h", "stride_w", "dilation_h", "dilation_w", "kernel_h", "kernel_w", "block_size"):
            if size in attrs and attrs[size] < 1:
                raise NetworkError(f"{where}: {size} is {attrs[size]}; accepted: a whole number >= 1")
        return attrs

    def _windows(
        self, where: str, kind: str, inputs: tuple[int, ...], outputs: tuple[int, ...], attrs: dict[str, Any]
    ) -> dict[str, Any]:
        """Attributes with the padding in elements added."""
        if kind in {"pad", "padv2", "mirror_pad"} and len(inputs) > 1 and inputs[1] >= 0:
            amounts = self.tensors[inputs[1]].data
            if amounts is not None and amounts.shape == (4, 2):
                (top, bottom), (left, right) = amounts[1:3].tolist()
                attrs |= {"pad_top": top, "pad_bottom": bottom, "pad_left": left, "pad_right": right}
        if FAMILY[kind] not in {"conv", "pool"}:
            return attrs
        needed = {"transpose_conv": 3, "conv2d": 2, "depthwise_conv2d": 2}.get(kind, 1)
        if len(inputs) < needed or min(inputs[:needed]) < 0:
            raise NetworkError(f"{where} needs {needed} inputs and has {len(inputs)}")
        x = self.tensors[inputs[2 if kind == "transpose_conv" else 0]]
        kernel = self.tensors[inputs[1]].shape[1:3] if needed > 1 else (attrs["kernel_h"], attrs["kernel_w"])
        if len(x.shape) != 4 or len(kernel) != 2:
            raise NetworkError(f"{where}: its input and weights must have 4 axes, its input has shape {x.shape}")
        for axis, (low, high) in enumerate((("top", "bottom"), ("left", "right"))):
            letter = "hw"[axis]
            size, stride = x.shape[1 + axis], attrs[f"stride_{letter}"]
            try:
                if kind == "transpose_conv":
                    _, before, after = transpose_window(size, kernel[axis], stride, attrs["padding"])
                else:
                    dilation = attrs.get(f"dilation_{letter}", 1)
                    _, before, after = window(size, kernel[axis], stride, dilation, attrs["padding"])
            except NetworkError as error:
                raise NetworkError(f"{where}: {error}") from error
            attrs |= {f"pad_{low}": before, f"pad_{high}": after}
        return attrs

    # ------------------------------------------------------------------ tensors

    def _tensor(self, index: int, table: FlatTable) -> Tensor:
        name = table.text(3)
        where = f"{self.label}: tensor {index} ({name!r})"
        code = table.number(1, "b")
        dtype = DTYPES[code] if 0 <= code < len(DTYPES) else None
        if dtype is None:
            accepted = ", ".join(d for d in DTYPES if d)
            raise NetworkError(f"{where} has element type {code}, which tinysim does not know; accepted: {accepted}")
        shape = self._shape(where, table)
        raw = self._buffer(where, table.number(2, "I"))
        elements = math.prod(shape)
        if elements * DTYPE_BITS[dtype] // 8 >= _MOST_BYTES:
            raise NetworkError(f"{where} of shape {shape} is larger than 2 GiB")
        index_vector = raw is None and len(shape) == 1 and dtype in {"int32", "int64"}  # of a reshape to a scalar
        if elements == 0 and not index_vector:
            raise NetworkError(f"{where} has 0 bytes: its shape is {shape}; every axis must be >= 1")
        quantization = self._quantization(where, table.table(4))
        values = None if raw is None else self._values(where, raw, shape, dtype, sparse=table.table(6) is not None)
        return Tensor(
            name=name,
            shape=shape,
            dtype=dtype,
            is_constant=raw is not None or elements == 0,
            is_variable=bool(table.number(5, "?")),
            quantization=quantization,
            data=values,
            sparsity=_sparsity(values, raw, quantization, elements, dtype),
        )

    def _shape(self, where: str, table: FlatTable) -> tuple[int, ...]:
        vector, signature = table.array(0, "<i4"), table.array(7, "<i4")
        shape = () if vector is None else tuple(vector[: _MOST_AXES + 1].tolist())
        if len(shape) > _MOST_AXES:
            raise NetworkError(f"{where} has more than {_MOST_AXES} axes")
        # A signature of -1 marks an axis unknown at conversion. The batch axis counts as 1, as TFLM runs it.
        unknown = [i for i, size in enumerate(shape) if size < 0]
        if signature is not None and len(signature) == len(shape):
            unknown += [i for i, size in enumerate(signature.tolist()) if size < 0 and (i > 0 or shape[i] != 1)]
        if unknown:
            raise NetworkError(
                f"{where} has an unknown size in axis {unknown[0]} (shape {list(shape)}): convert the model again "
                "with a fixed input shape"
            )
        return shape

    def _buffer(self, where: str, index: int) -> NDArray[Any] | None:
        """Bytes of buffer `index`; None if it is empty, which marks an activation."""
        if index >= len(self.buffers):
            raise NetworkError(f"{where} lies in buffer {index}; the file has {len(self.buffers)}")
        table = self.buffers[index]
        raw = table.array(0, "u1")
        start, size = table.number(1, "Q"), table.number(2, "Q")
        if raw is None and start > 1:  # data beyond the flatbuffer, of models over 2 GiB
            self.file.check(start, size)
            raw = np.frombuffer(self.file.data, "u1", size, start)
        return raw if raw is not None and raw.size else None

    def _values(
        self, where: str, raw: NDArray[Any], shape: tuple[int, ...], dtype: str, *, sparse: bool
    ) -> NDArray[Any] | None:
        """Constant values; None for text and for tensors stored in TFLite's sparse format."""
        if dtype in {"string", "resource"} or sparse:
            return None
        needed = -(-math.prod(shape) * DTYPE_BITS[dtype] // 8)
        if raw.size != needed:
            raise NetworkError(f"{where} of shape {shape} needs {needed} bytes and its buffer holds {raw.size}")
        if dtype == "int4":
            nibbles = np.stack([raw << 4, raw & 0xF0], axis=-1).view(np.int8) >> 4  # low nibble first
            return nibbles.reshape(-1)[: math.prod(shape)].reshape(shape)
        return raw.view(np.dtype(dtype).newbyteorder("<")).reshape(shape)

    def _quantization(self, where: str, table: FlatTable | None) -> Quantization | None:
        scale = None if table is None else table.array(2, "<f4")
        if table is None or scale is None or not scale.size:
            return None
        zero = table.array(3, "<i8")
        points = (0,) * len(scale) if zero is None else tuple(zero.tolist())
        if len(points) != len(scale):
            raise NetworkError(f"{where} has {len(scale)} scales and {len(points)} zero points")
        return Quantization(tuple(scale.tolist()), points, table.number(6, "i"))


def _sparsity(
    values: NDArray[Any] | None,
    raw: NDArray[Any] | None,
    quantization: Quantization | None,
    elements: int,
    dtype: str,
) -> float:
    """Fraction of elements that stand for the real number 0."""
    if raw is None or elements == 0 or dtype in {"string", "resource"}:
        return 0.0
    if values is None:  # sparse format: the buffer holds the non-zero values alone
        return max(0.0, 1.0 - raw.size * 8 / DTYPE_BITS[dtype] / elements)
    points = set(quantization.zero_point) if quantization else {0}
    if len(points) > 1 and quantization:
        axis_shape = [-1 if axis == quantization.axis else 1 for axis in range(values.ndim)]
        zeros = np.count_nonzero(values == np.reshape(quantization.zero_point, axis_shape))
        return zeros / elements
    zero = points.pop()
    return (elements - int(np.count_nonzero(values if zero == 0 else values != zero))) / elements
