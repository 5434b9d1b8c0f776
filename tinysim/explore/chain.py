"""`chain_network`: the network that the layers of a table stand for, as a graph.

Each row reads the output of the row before it (the first: the network's input), and a second operand some rows back if
it has one. Convolutions are quantized per channel, fully connected layers per tensor, as converters do it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinysim.errors import NetworkError
from tinysim.explore.encoded import guess_skips
from tinysim.network.graph import Network, Op, Tensor
from tinysim.network.kinds import FAMILY, KINDS
from tinysim.network.quantization import activation_quantization, bias_quantization, weight_quantization
from tinysim.network.table import Ints, LayerTable

__all__ = ["AXES_KINDS", "BIAS_BYTES", "CHAIN_FAMILIES", "DTYPES", "chain_network"]

#: families whose rows say all that the graph needs
CHAIN_FAMILIES = frozenset({"conv", "matmul", "pool", "reduce", "softmax", "elementwise", "view"})
#: kinds with a constant that names the axes
AXES_KINDS = ("mean", "sum", "reduce_max", "reduce_min")
#: bits -> type of an activation or weight
DTYPES = {2: "int2", 4: "int4", 8: "int8", 16: "int16", 32: "float32"}
_BIAS_DTYPE = {4: "int32", 8: "int32", 16: "int64", 32: "float32"}
#: bits of an activation -> bytes of a bias element
BIAS_BYTES = {4: 4, 8: 4, 16: 8, 32: 4}
_ATTRS = ("stride_h", "stride_w", "pad_top", "pad_bottom", "pad_left", "pad_right", "dilation_h", "dilation_w")


def chain_network(table: LayerTable, name: str = "chain", *, skips: Ints | None = None) -> Network:
    """One network's rows as a `Network`.

    skips: rows back to each second operand, see `guess_skips`, which is asked if None.

    Raises:
        NetworkError: an empty table, a row that does not follow from the one before it, or a kind that a chain lacks.
    """
    if len(table) == 0:
        raise NetworkError(f"{name}: a network needs a layer")
    skip = guess_skips(table) if skips is None else skips
    rows: list[dict[str, Any]] = [
        {c: getattr(table, c)[i].item() for c in table.__dataclass_fields__} for i in range(len(table))
    ]
    bits = rows[0]["activation_bits"]
    dtype = DTYPES[bits]
    tensors: list[Tensor] = []
    ops: list[Op] = []

    def add(tensor: Tensor) -> int:
        tensors.append(tensor)
        return len(tensors) - 1

    first = rows[0]
    made = [add(Tensor("input", _shape(first, "in"), dtype, quantization=activation_quantization(dtype)))]
    for i, row in enumerate(rows):
        kind = KINDS[row["kind"]].name
        here = f"{name}: row {i} ({kind})"
        if FAMILY[kind] not in CHAIN_FAMILIES or kind in {"transpose_conv", "batch_matmul"}:
            raise NetworkError(f"{here} is no layer of a chain; give the Network itself")
        x = made[-1]
        if int(table.in_elements[i]) != tensors[x].elements or row["activation_bits"] != bits:
            raise NetworkError(f"{here}: its input is not the output of the row before it")
        inputs = [x]
        if skip[i]:
            inputs.append(made[i - int(skip[i]) + 1])
        inputs += [add(t) for t in _constants(kind, row, tensors[x], f"{kind}_{i}")]
        out = Tensor(f"{kind}_{i}", _out_shape(kind, row), dtype, quantization=activation_quantization(dtype, kind))
        made.append(add(out))
        ops.append(Op(kind, tuple(inputs), (made[-1],), _attrs(kind, row), out.name))
    return Network(name, tuple(tensors), tuple(ops), (made[0],), (made[-1],))


def _shape(row: dict[str, Any], side: str) -> tuple[int, ...]:
    return row["batch"], row[f"{side}_h"], row[f"{side}_w"], row[f"{side}_c"]


def _out_shape(kind: str, row: dict[str, Any]) -> tuple[int, ...]:
    flat = kind == "reshape" and row["out_h"] * row["out_w"] == 1
    return (row["batch"], row["out_c"]) if flat else _shape(row, "out")


def _attrs(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    if FAMILY[kind] == "conv":
        return {a: row[a] for a in _ATTRS} | {"activation": "none", "depth_multiplier": row["channel_multiplier"]}
    if FAMILY[kind] == "pool":
        return {a: row[a] for a in _ATTRS} | {"kernel_h": row["kernel_h"], "kernel_w": row["kernel_w"]}
    return {}


def _constants(kind: str, row: dict[str, Any], x: Tensor, name: str) -> list[Tensor]:
    if kind in AXES_KINDS:
        return [Tensor(f"{name}/axes", (2,), "int32", is_constant=True, data=np.array([1, 2], dtype=np.int32))]
    if kind == "reshape":
        shape = np.array(_out_shape(kind, row), dtype=np.int32)
        return [Tensor(f"{name}/shape", shape.shape, "int32", is_constant=True, data=shape)]
    shapes = {
        "conv2d": (row["out_c"], row["kernel_h"], row["kernel_w"], row["in_c"] // row["groups"]),
        "depthwise_conv2d": (1, row["kernel_h"], row["kernel_w"], row["out_c"]),
        "fully_connected": (row["out_c"], row["in_c"]),
    }
    if kind not in shapes:
        return []
    dtype = DTYPES[row["weight_bits"]]
    axis = {"conv2d": 0, "depthwise_conv2d": 3}.get(kind)
    quantization = weight_quantization(shapes[kind], dtype, axis)
    sparsity = row["weight_sparsity"]
    made = [Tensor(f"{name}/weights", shapes[kind], dtype, True, quantization=quantization, sparsity=sparsity)]
    if row["has_bias"]:
        scales = bias_quantization(x.quantization, quantization)
        made.append(
            Tensor(f"{name}/bias", (row["out_c"],), _BIAS_DTYPE[row["activation_bits"]], True, quantization=scales)
        )
    return made
