"""The part of `Builder` that keeps tensors and operators: inputs, weights, constants, any operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError
from tinysim.network.check import check_network
from tinysim.network.graph import Network, Op, Tensor
from tinysim.network.quantization import activation_quantization, number_format, share_scales, weight_quantization

__all__ = ["GraphBuilder"]

#: Activations that TFLite fuses into the operator before; the others become operators of their own.
_FUSED = frozenset({"none", "relu", "relu6", "relu_n1_to_1"})


class GraphBuilder:
    """Tensors and operators under construction."""

    def __init__(self, name: str, *, dtype: str = "int8", source: str = "") -> None:
        self.name = name
        self.source = source
        self.format = number_format(dtype)
        self._tensors: list[Tensor] = []
        self._ops: list[Op] = []
        self._inputs: list[int] = []

    # ------------------------------------------------------------------ values

    def input(self, *shape: int, dtype: str | None = None, name: str = "") -> int:
        """An input of the network, batch axis first."""
        dtype = dtype or self.format.activation
        label = name or f"input_{len(self._inputs)}"
        self._inputs.append(self._add(Tensor(label, shape, dtype, quantization=activation_quantization(dtype))))
        return self._inputs[-1]

    def shape(self, x: int) -> tuple[int, ...]:
        """Shape of a value."""
        return self._tensors[x].shape

    def tensor(self, x: int) -> Tensor:
        """The tensor of a value."""
        return self._tensors[x]

    def weights(
        self, name: str, shape: tuple[int, ...], *, channel_axis: int | None = None, dtype: str | None = None
    ) -> int:
        """Weights of the network's weight type."""
        dtype = dtype or self.format.weight
        quantization = weight_quantization(shape, dtype, channel_axis)
        return self._add(Tensor(name, shape, dtype, is_constant=True, quantization=quantization))

    def constant(self, values: Any, dtype: str = "int32", name: str = "") -> int:
        """A constant with values: a shape, axes, amounts of padding."""
        data = np.asarray(values, dtype=dtype)
        data.flags.writeable = False
        label = name or f"const_{len(self._tensors)}"
        return self._add(Tensor(label, data.shape, dtype, is_constant=True, data=data))

    def set_values(self, x: int, weights: NDArray[Any], bias: NDArray[Any] | None) -> None:
        """Give the layer that made `x` its weights, in tinysim's layout, and its bias."""
        inputs = next(op.inputs for op in reversed(self._ops) if x in op.outputs)
        for t, values in zip(inputs[1:3], (weights, bias), strict=False):
            if values is not None and self._tensors[t].dtype.startswith("float"):
                data = np.ascontiguousarray(values, self._tensors[t].dtype).reshape(self._tensors[t].shape)
                sparsity = 1.0 - np.count_nonzero(data) / max(1, data.size)
                self._tensors[t] = replace(self._tensors[t], data=data, sparsity=float(sparsity))

    def build(self, *outputs: int) -> Network:
        """The network with these outputs, checked."""
        network = Network(
            self.name, tuple(self._tensors), tuple(self._ops), tuple(self._inputs), outputs, source=self.source
        )
        check_network(network)
        return share_scales(network)

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: tuple[int, ...],
        *,
        function: str | None = None,
        dtype: str | None = None,
        **attrs: Any,
    ) -> int:
        """Any operator with one output of `shape`. Without `function`, the output is quantized like its first input."""
        name = f"{kind}_{len(self._ops)}"
        first = next((self._tensors[t] for t in inputs if t >= 0), None)
        dtype = dtype or (first.dtype if first else self.format.activation)
        if function is None and first is not None and first.dtype == dtype:
            quantization = first.quantization
        else:
            quantization = activation_quantization(dtype, function or "none")
        out = self._add(Tensor(name, shape, dtype, quantization=quantization))
        self._ops.append(Op(kind, tuple(inputs), (out,), attrs, name))
        return out

    def several(self, kind: str, inputs: Sequence[int], shape: tuple[int, ...], count: int, **attrs: Any) -> list[int]:
        """Any operator with `count` outputs of one shape, quantized like the last input: split, unpack."""
        name = f"{kind}_{len(self._ops)}"
        like = self._tensors[inputs[-1]]
        outs = [self._add(replace(like, name=f"{name}:{i}", shape=shape)) for i in range(count)]
        self._ops.append(Op(kind, tuple(inputs), tuple(outs), attrs, name))
        return outs

    def constants_of(self, x: int) -> tuple[int, ...]:
        """Weights and bias of the layer that made `x`, to be shared with another."""
        return next(op.inputs for op in reversed(self._ops) if x in op.outputs)[1:]

    def _add(self, tensor: Tensor) -> int:
        if any(size < 1 for size in tensor.shape):
            raise NetworkError(f"{self.name}: {tensor.name} would have shape {tensor.shape}; every axis must be >= 1")
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _where(self, kind: str) -> str:
        return f"{self.name}: operator {len(self._ops)} ({kind})"

    def _activate(self, kind: str, inputs: Sequence[int], shape: tuple[int, ...], activation: str, **attrs: Any) -> int:
        """An operator with its activation, fused where TFLite does."""
        fused = activation if activation in _FUSED else "none"
        out = self.op(kind, inputs, shape, function=fused, activation=fused, **attrs)
        return out if fused == activation else self.op(activation, [out], shape, function=activation)
