"""`Network`: operators, tensors and their graph, as a reader or the zoo made them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from tinysim.errors import NetworkError
from tinysim.network.kinds import FAMILY
from tinysim.network.table import LayerTable

__all__ = ["Network", "Op", "Quantization", "Tensor"]

#: dtype -> bits
DTYPE_BITS: Mapping[str, int] = MappingProxyType(
    {
        "float32": 32, "float16": 16, "int64": 64, "int32": 32, "int16": 16, "int8": 8, "uint8": 8, "int4": 4,
        "int2": 2, "bool": 8, "uint32": 32, "uint16": 16, "float64": 64, "string": 8, "resource": 32,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quantization:
    """Affine quantization: real = scale * (q - zero_point), per tensor (length 1) or per channel along `axis`."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value of the graph. Activations are NHWC; shapes are whole numbers > 0 (a scalar has shape ())."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    is_constant: bool = False
    is_variable: bool = False
    quantization: Quantization | None = None
    data: NDArray[Any] | None = field(default=None, repr=False, compare=False)
    """Values of a constant, if the model carries them."""
    sparsity: float = 0.0
    """Fraction of zero elements of a constant, where known."""

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """Bits of an element."""
        return DTYPE_BITS[self.dtype]

    @property
    def n_bytes(self) -> int:
        """Bytes of the values (sub-byte types packed)."""
        return -(-self.elements * self.bits // 8)


@dataclass(frozen=True, slots=True)
class Op:
    """One operator. `inputs` and `outputs` are indices into the network's tensors; -1 is an absent input.

    Attributes that cost formulas read: stride_h, stride_w, pad_top, pad_bottom, pad_left, pad_right, dilation_h,
    dilation_w, depth_multiplier, groups, kernel_h, kernel_w (pools), activation ("none", "relu", "relu6", ...),
    axis, time_major.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "attrs", MappingProxyType(dict(self.attrs)))


@dataclass(frozen=True)
class Network:
    """A network in execution order.

    `ops` are sorted so that each runs after its inputs; `inputs` and `outputs` are tensor indices.
    """

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    source: str = ""
    file_bytes: int | None = None
    """Size of the model file, if it came from one whose bytes go to flash (TFLite)."""
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        n = len(self.tensors)
        for t in (*self.inputs, *self.outputs):
            if not 0 <= t < n:
                raise NetworkError(f"{self.name}: input or output tensor {t} does not exist; the network has {n}")
        made = set(self.inputs) | {i for i, t in enumerate(self.tensors) if t.is_constant or t.is_variable}
        for index, op in enumerate(self.ops):
            label = f"{self.name}: operator {index} ({op.kind})"
            if op.kind not in FAMILY:
                raise NetworkError(f"{label}: unknown kind")
            for t in (*op.inputs, *op.outputs):
                if not -1 <= t < n:
                    raise NetworkError(f"{label}: tensor {t} does not exist; the network has {n}")
            late = [t for t in op.inputs if t >= 0 and t not in made]
            if late:
                raise NetworkError(
                    f"{label} reads tensor {late[0]} before anything writes it: the graph has a cycle or a gap"
                )
            twice = [t for t in op.outputs if t >= 0 and t in made]
            if twice:
                raise NetworkError(f"{label} writes tensor {twice[0]}, which has a value already")
            made.update(op.outputs)
        lost = [t for t in self.outputs if t not in made]
        if lost:
            raise NetworkError(f"{self.name}: nothing writes output tensor {lost[0]}")

    def __repr__(self) -> str:
        return f"Network({self.name!r}, {len(self.ops)} ops, {self.macs:,} MACs, {self.params:,} parameters)"

    @cached_property
    def params(self) -> int:
        """Weights and biases: elements of the constants that MAC operators, PReLU, norms and embeddings use."""
        seen: set[int] = set()
        for op in self.ops:
            if op.kind in {"embedding_lookup", "gather"}:
                tables = (t for t in op.inputs if t >= 0 and self.tensors[t].is_constant)
                seen |= {t for t in tables if self.tensors[t].dtype not in {"int32", "int64"}}
            elif FAMILY[op.kind] in {"conv", "matmul", "recurrent"} or op.kind in {"prelu", "batch_norm", "layer_norm"}:
                skip = {op.inputs[0]} if op.kind == "transpose_conv" else set()
                seen |= {t for t in op.inputs if t >= 0 and self.tensors[t].is_constant and t not in skip}
        return sum(self.tensors[t].elements for t in seen)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates per inference (convolutions, matmuls, recurrent layers)."""
        return int(self.table().macs.sum())

    def operations(self, count: str = "all-macs") -> int:
        """Operations per inference by a named convention: "conv-fc-macs", "all-macs" or "flops".

        Raises:
            NetworkError: no such convention.
        """
        from tinysim.network.counts import count_operations

        return int(count_operations(self.table(), count).sum())

    @cached_property
    def weight_bytes(self) -> int:
        """Bytes of all constants that operators read, as stored (biases and shape vectors included)."""
        used = {t for op in self.ops for t in op.inputs if t >= 0 and self.tensors[t].is_constant}
        return sum(self.tensors[t].n_bytes for t in used)

    @cached_property
    def live(self) -> Network:
        """The network without channels that never change its output; itself if it carries no weights' values."""
        from tinysim.network.transforms.dead_channels import eliminate_dead_channels

        weights = (self.tensors[t] for op in self.ops for t in op.inputs[1:2] if t >= 0)
        return eliminate_dead_channels(self) if any(w.data is not None and w.data.ndim > 1 for w in weights) else self

    def table(self) -> LayerTable:
        """The network as columns, one row per operator in execution order."""
        return self._table

    @cached_property
    def _table(self) -> LayerTable:
        from tinysim.network.layers import layer_rows

        return LayerTable.from_rows(layer_rows(self))

    def activations(self) -> list[int]:
        """Indices of the tensors that live in the arena: neither constants nor variables, read or written by an op."""
        used = set(self.inputs) | {t for op in self.ops for t in (*op.inputs, *op.outputs) if t >= 0}
        return [t for t in sorted(used) if not (self.tensors[t].is_constant or self.tensors[t].is_variable)]

    def rename(self, name: str) -> Network:
        """A copy with another name."""
        return replace(self, name=name)
