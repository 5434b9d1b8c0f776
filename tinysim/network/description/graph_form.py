"""The exact form: every tensor and operator. It loses nothing but the values of weights."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tinysim.network.check import check_network
from tinysim.network.graph import Network, Op, Quantization, Tensor

__all__ = ["GraphForm", "graph_form", "network_of_graph_form"]

#: Constants up to this many elements keep their values: shapes, axes, amounts of padding.
_MOST_VALUES = 16
_MOST_ELEMENTS = 2**31

Index = Annotated[int, Field(ge=-1, lt=2**31)]
DType = Literal[
    "float32", "float16", "float64", "int64", "int32", "int16", "int8", "uint32", "uint16", "uint8", "int4", "int2",
    "bool", "string", "resource",
]  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class QuantizationForm(_Strict):
    """Affine quantization, per tensor or per channel along an axis."""

    scale: list[float]
    """real = scale (q - zero_point); one value, or one per channel"""
    zero_point: list[int]
    """one value per scale"""
    axis: int = 0
    """axis of the channels"""
    channels: Annotated[int, Field(ge=1, lt=2**24)] = 1
    """number of channels that share the single scale"""


class TensorForm(_Strict):
    """A value of the graph."""

    shape: list[Annotated[int, Field(ge=0, lt=2**31)]]
    """sizes, batch first, channels last"""
    dtype: DType
    """element type"""
    name: str = ""
    """any text"""
    constant: bool = False
    """weights, biases, shapes"""
    variable: bool = False
    """state that lives on between inferences"""
    quantization: QuantizationForm | None = None
    """absent for floats"""
    sparsity: Annotated[float, Field(ge=0, le=1)] = 0.0
    """fraction of zeros of a constant"""
    values: list[float | int | bool] | None = None
    """elements of a small constant in row-major order"""


class OpForm(_Strict):
    """An operator; `inputs` and `outputs` are positions in `tensors`, -1 is an absent input."""

    kind: str
    """snake case of the TFLite operator"""
    inputs: list[Index]
    """positions in tensors"""
    outputs: list[Index]
    """positions in tensors"""
    attrs: dict[str, bool | int | float | str] = {}
    """stride_h, pad_top, activation, ..."""
    name: str = ""
    """any text"""


class GraphForm(_Strict):
    """A network as tensors and operators in execution order."""

    tinysim: Literal["network"]
    """marks the file"""
    version: Literal[1]
    """of this format"""
    name: str
    """of the network"""
    source: str = ""
    """where it comes from"""
    file_bytes: Annotated[int, Field(ge=0)] | None = None
    """size of the model file whose bytes go to flash"""
    inputs: list[Index]
    """positions in tensors"""
    outputs: list[Index]
    """positions in tensors"""
    tensors: list[TensorForm]
    """all values"""
    ops: list[OpForm]
    """all operators"""


def graph_form(network: Network) -> dict[str, Any]:
    """The network as a document of plain lists, dictionaries and numbers; defaults are left out."""
    return {
        "tinysim": "network",
        "version": 1,
        "name": network.name,
        **({"source": network.source} if network.source else {}),
        **({"file_bytes": network.file_bytes} if network.file_bytes is not None else {}),
        "inputs": list(network.inputs),
        "outputs": list(network.outputs),
        "tensors": [_tensor_document(tensor) for tensor in network.tensors],
        "ops": [_op_document(op) for op in network.ops],
    }


def _tensor_document(tensor: Tensor) -> dict[str, Any]:
    document: dict[str, Any] = {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype}
    if tensor.is_constant:
        document["constant"] = True
    if tensor.is_variable:
        document["variable"] = True
    if tensor.quantization:
        document["quantization"] = _quantization_document(tensor.quantization)
    if tensor.sparsity:
        document["sparsity"] = float(tensor.sparsity)
    if tensor.data is not None and tensor.data.size <= _MOST_VALUES:
        document["values"] = tensor.data.reshape(-1).tolist()
    return document


def _quantization_document(q: Quantization) -> dict[str, Any]:
    shared = len(q.scale) > 1 and len(set(q.scale)) == 1 and len(set(q.zero_point)) == 1
    if shared:
        return {"scale": [q.scale[0]], "zero_point": [q.zero_point[0]], "axis": q.axis, "channels": len(q.scale)}
    return {"scale": list(q.scale), "zero_point": list(q.zero_point), "axis": q.axis}


def _op_document(op: Op) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": op.kind, "inputs": list(op.inputs), "outputs": list(op.outputs)}
    if op.attrs:
        document["attrs"] = dict(op.attrs)
    if op.name:
        document["name"] = op.name
    return document


def network_of_graph_form(form: GraphForm) -> Network:
    """The network of a validated document.

    Raises:
        NetworkError: the graph is not valid.
    """
    network = Network(
        name=form.name,
        tensors=tuple(_tensor(i, tensor) for i, tensor in enumerate(form.tensors)),
        ops=tuple(Op(op.kind, tuple(op.inputs), tuple(op.outputs), op.attrs, op.name) for op in form.ops),
        inputs=tuple(form.inputs),
        outputs=tuple(form.outputs),
        source=form.source,
        file_bytes=form.file_bytes,
    )
    check_network(network)
    return network


def _tensor(index: int, form: TensorForm) -> Tensor:
    where = f"tensor {index} ({form.name!r})"
    elements = math.prod(form.shape)
    if elements >= _MOST_ELEMENTS or (elements == 0 and not (form.constant and len(form.shape) == 1)):
        raise ValueError(f"{where} has shape {form.shape}; accepted: sizes >= 1, together below 2^31")
    data = None
    if form.values is not None:
        if len(form.values) != elements or form.dtype in {"string", "resource"}:
            raise ValueError(f"{where} of shape {form.shape} has {len(form.values)} values; expected {elements}")
        stored = {"int4": "int8", "int2": "int8"}.get(form.dtype, form.dtype)
        try:
            data = np.array(form.values, dtype=stored).reshape(form.shape)
        except (OverflowError, ValueError) as error:
            raise ValueError(f"{where}: a value does not fit {form.dtype}") from error
    q = form.quantization
    if q and (len(q.scale) != len(q.zero_point) or (q.channels > 1 and len(q.scale) != 1)):
        raise ValueError(f"{where} has {len(q.scale)} scales, {len(q.zero_point)} zero points, {q.channels} channels")
    quantization = Quantization(tuple(q.scale) * q.channels, tuple(q.zero_point) * q.channels, q.axis) if q else None
    return Tensor(
        form.name, tuple(form.shape), form.dtype, form.constant, form.variable, quantization, data, form.sparsity
    )
