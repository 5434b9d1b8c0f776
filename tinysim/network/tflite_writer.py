"""Write a network as a TFLite file: its own constants, or deterministic pseudo-random weights where it has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError, UnsupportedOperator
from tinysim.network.graph import Network, Op, Tensor
from tinysim.network.tflite_schema import ACTIVATIONS, BUILTIN_CODE, BUILTIN_OF_KIND, DTYPES, OPTIONS
from tinysim.network.values import random_values

__all__ = ["tflite_bytes", "write_tflite"]

#: Versions of the operators whose int8 kernels came later than version 1.
_INT8_VERSION = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "TRANSPOSE_CONV": 2, "ADD": 2, "SUB": 2, "MUL": 2,
    "AVERAGE_POOL_2D": 2, "MAX_POOL_2D": 2, "SOFTMAX": 2, "LOGISTIC": 2, "TANH": 2, "CONCATENATION": 2, "PAD": 2,
    "MEAN": 2, "RESIZE_BILINEAR": 2, "RESIZE_NEAREST_NEIGHBOR": 2, "RELU": 2, "RELU6": 2, "LEAKY_RELU": 2,
    "TRANSPOSE": 2, "SLICE": 2, "STRIDED_SLICE": 2, "SPLIT": 2, "DEQUANTIZE": 2, "BATCH_MATMUL": 2, "REDUCE_MAX": 2,
}  # fmt: skip
#: Attributes of struct format to the Prepend*Slot of flatbuffers
_SLOTS = {"b": "Int8", "i": "Int32", "f": "Float32", "?": "Bool"}


def write_tflite(network: Network, path: str | Path, *, seed: int = 0) -> Path:
    """Write `network` to `path` and return the path; see `tflite_bytes`."""
    target = Path(path)
    target.write_bytes(tflite_bytes(network, seed=seed))
    return target


def tflite_bytes(network: Network, *, seed: int = 0) -> bytes:
    """The network as the bytes of a TFLite file, the same for the same network and seed.

    Raises:
        UnsupportedOperator: an operator that TFLite has not (a GRU, a layer norm, an unknown one).
        NetworkError: padding that TFLite cannot say; make it an operator first.
    """
    return _Writer(network, seed).finish()


class _Writer:
    """One file being written."""

    def __init__(self, network: Network, seed: int) -> None:
        self.network = network
        self.seed = seed
        self.builder = flatbuffers.Builder(1024)

    def finish(self) -> bytes:
        b = self.builder
        builtins = [self._builtin(i, op) for i, op in enumerate(self.network.ops)]
        quantized = {name for name, op in zip(builtins, self.network.ops, strict=True) if self._is_int8(op)}
        codes = sorted(set(builtins), key=builtins.index)
        constants = [i for i, t in enumerate(self.network.tensors) if t.is_constant and t.elements]
        buffers = self._tables([self._buffer(None), *(self._buffer(self._raw(i)) for i in constants)])
        buffer_of = {t: 1 + i for i, t in enumerate(constants)}
        tensors = self._tables([self._tensor(t, buffer_of.get(i, 0)) for i, t in enumerate(self.network.tensors)])
        operators = self._tables(
            [self._operator(codes.index(n), n, op) for n, op in zip(builtins, self.network.ops, strict=True)]
        )
        inputs, outputs = (self._vector(v, "<i4") for v in (self.network.inputs, self.network.outputs))
        name = b.CreateString("main")
        b.StartObject(5)
        for slot, offset in enumerate((tensors, inputs, outputs, operators, name)):
            b.PrependUOffsetTRelativeSlot(slot, offset, 0)
        graphs = self._tables([b.EndObject()])
        opcodes = self._tables([self._code(n, _INT8_VERSION.get(n, 1) if n in quantized else 1) for n in codes])
        description = b.CreateString("tinysim")
        b.StartObject(5)
        b.PrependUint32Slot(0, 3, 0)
        for slot, offset in enumerate((opcodes, graphs, description, buffers), 1):
            b.PrependUOffsetTRelativeSlot(slot, offset, 0)
        b.Finish(b.EndObject(), file_identifier=b"TFL3")
        return bytes(b.Output())

    # ------------------------------------------------------------------ operators

    def _builtin(self, index: int, op: Op) -> str:
        name = BUILTIN_OF_KIND.get(op.kind, op.kind.upper())
        where = f"{self.network.name}: operator {index} ({op.kind})"
        if name not in BUILTIN_CODE or op.kind == "squeeze":
            raise UnsupportedOperator(f"{where} cannot be written as a TFLite operator")
        if op.attrs.get("padding") == "explicit":
            raise NetworkError(f"{where} has padding that is neither SAME nor VALID; make it a pad operator first")
        return name

    def _is_int8(self, op: Op) -> bool:
        return any(t >= 0 and self.network.tensors[t].dtype in {"int8", "int16"} for t in op.inputs)

    def _code(self, name: str, version: int) -> int:
        code = BUILTIN_CODE[name]
        self.builder.StartObject(4)
        self.builder.PrependInt8Slot(0, min(code, 127), 0)
        self.builder.PrependInt32Slot(2, version, 1)
        self.builder.PrependInt32Slot(3, code, 0)
        return int(self.builder.EndObject())

    def _operator(self, code: int, builtin: str, op: Op) -> int:
        b = self.builder
        inputs, outputs = (self._vector(v, "<i4") for v in (op.inputs, op.outputs))
        union, fields = OPTIONS.get(builtin, (0, ()))
        b.StartObject(8)
        for slot, form, default, attribute in fields:
            value = op.attrs.get(attribute, default)
            if attribute == "activation":
                value = ACTIVATIONS.index(str(value)) if isinstance(value, str) else value
            elif attribute == "padding":
                value = int(value == "valid")
            getattr(b, f"Prepend{_SLOTS[form]}Slot")(slot, value, default)
        options = b.EndObject()
        b.StartObject(5)
        b.PrependUint32Slot(0, code, 0)
        b.PrependUOffsetTRelativeSlot(1, inputs, 0)
        b.PrependUOffsetTRelativeSlot(2, outputs, 0)
        if union:
            b.PrependUint8Slot(3, union, 0)
            b.PrependUOffsetTRelativeSlot(4, options, 0)
        return int(b.EndObject())

    # ------------------------------------------------------------------ tensors

    def _raw(self, index: int) -> bytes:
        """Bytes of a constant; a network's own values, else random ones."""
        tensor = self.network.tensors[index]
        values = random_values(tensor, self.seed) if tensor.data is None else tensor.data
        if tensor.dtype == "int4":
            flat = values.reshape(-1).astype(np.int8)
            flat = np.append(flat, np.int8(0)) if flat.size % 2 else flat
            return ((flat[0::2] & 15) | (flat[1::2] << 4)).astype(np.int8).tobytes()
        return values.astype(np.dtype(tensor.dtype).newbyteorder("<")).tobytes()

    def _buffer(self, raw: bytes | None) -> int:
        b = self.builder
        data = None
        if raw is not None:
            b.StartVector(1, len(raw), 16)  # TFLM maps weights in place: the schema aligns them to 16
            b.head = b.head - len(raw)
            b.Bytes[b.head : b.head + len(raw)] = raw
            data = b.EndVector()
        b.StartObject(1)
        if data is not None:
            b.PrependUOffsetTRelativeSlot(0, data, 0)
        return int(b.EndObject())

    def _tensor(self, tensor: Tensor, buffer: int) -> int:
        b = self.builder
        if tensor.dtype not in DTYPES:
            raise NetworkError(f"{self.network.name}: tensor {tensor.name!r}: TFLite has no type {tensor.dtype}")
        name = b.CreateString(tensor.name)
        shape = self._vector(tensor.shape, "<i4")
        quantization = None
        if tensor.quantization is not None:
            scale = self._vector(tensor.quantization.scale, "<f4")
            zero_point = self._vector(tensor.quantization.zero_point, "<i8")
            b.StartObject(7)
            b.PrependUOffsetTRelativeSlot(2, scale, 0)
            b.PrependUOffsetTRelativeSlot(3, zero_point, 0)
            b.PrependInt32Slot(6, tensor.quantization.axis, 0)
            quantization = b.EndObject()
        b.StartObject(9)
        b.PrependUOffsetTRelativeSlot(0, shape, 0)
        b.PrependInt8Slot(1, DTYPES.index(tensor.dtype), 0)
        b.PrependUint32Slot(2, buffer, 0)
        b.PrependUOffsetTRelativeSlot(3, name, 0)
        if quantization is not None:
            b.PrependUOffsetTRelativeSlot(4, quantization, 0)
        b.PrependBoolSlot(5, tensor.is_variable, False)
        b.PrependBoolSlot(8, True, False)
        return int(b.EndObject())

    def _vector(self, values: Any, dtype: str) -> int:
        array: NDArray[Any] = np.array(values, dtype=dtype)
        return int(self.builder.CreateNumpyVector(array))

    def _tables(self, offsets: list[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())
