"""A training step as layers: rows of a `LayerTable` that cost what the gradients and the update cost."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from tinysim.network.table import Ints, LayerTable

__all__ = ["OPTIMIZERS", "Optimizer", "elementwise", "input_gradient", "weight_gradient"]


@dataclass(frozen=True, slots=True)
class Optimizer:
    """What an optimizer keeps and computes for each parameter."""

    state: int
    """values kept beside the parameter and its gradient"""
    operations: int
    """element-wise operations of an update"""


#: SGD: w -= r g. Momentum: v = m v + g, w -= r v. Adam: D. Kingma and J. Ba, ICLR 2015, alg. 1, with a common rate.
OPTIMIZERS = MappingProxyType({"sgd": Optimizer(0, 2), "momentum": Optimizer(1, 4), "adam": Optimizer(2, 13)})


def input_gradient(table: LayerTable) -> LayerTable:
    """Rows that cost what the gradients of the layers' inputs cost.

    A convolution's is a convolution of the output's gradient with the kernels turned: channels change places, every
    multiply-accumulate of the forward pass happens once more. Other operators are taken to cost what they cost forward.
    Source: V. Dumoulin and F. Visin, arXiv:1603.07285, sec. 4.

    >>> t = LayerTable.from_columns({"kind": ["conv2d"], "in_h": 8, "in_w": 8, "in_c": 3, "out_h": 8, "out_w": 8,
    ...                              "out_c": 16, "kernel_h": 3, "kernel_w": 3})
    >>> int(input_gradient(t).macs[0]) == int(t.macs[0]), int(input_gradient(t).out_c[0])
    (True, 3)
    """
    swap = table.is_kind("conv2d", "transpose_conv") | table.is_family("matmul")
    return table.replace(in_c=np.where(swap, table.out_c, table.in_c), out_c=np.where(swap, table.in_c, table.out_c))


def weight_gradient(table: LayerTable) -> LayerTable:
    """Rows that cost what the gradients of the layers' weights cost: products of matrices.

    (outputs x positions) by (positions x weights of an output): the multiply-accumulates of the forward pass once more.
    table: rows with weights only. Source: as `input_gradient`.

    >>> t = LayerTable.from_columns({"kind": ["depthwise_conv2d"], "in_h": 8, "in_w": 8, "in_c": 16, "out_h": 4,
    ...                              "out_w": 4, "out_c": 16, "kernel_h": 3, "kernel_w": 3, "stride_h": 2})
    >>> int(weight_gradient(t).macs[0]) == int(t.macs[0])
    True
    """
    inputs = table.is_kind("transpose_conv") | table.is_family("matmul", "recurrent")
    positions = np.where(inputs, table.in_h * table.in_w, table.out_h * table.out_w) * table.batch
    rows = table.out_c * table.gates
    return LayerTable.from_columns(
        {
            "kind": np.full(len(table), "batch_matmul"),
            "in_h": rows, "in_c": positions, "out_h": rows, "out_c": table.patch,
            "n_inputs": np.full_like(rows, 2), "has_bias": np.zeros_like(rows),
            "in2_elements": positions * table.patch, "activation_bits": table.activation_bits,
            "weight_bits": table.weight_bits,
        }
    )  # fmt: skip


def elementwise(elements: Ints | NDArray[np.float64], *, bits: int) -> LayerTable:
    """Rows of one operation on two operands for each element: masks, sums of gradients (those of biases run over all
    output positions), updates.
    """
    n = np.asarray(elements, dtype=np.int64)
    return LayerTable.from_columns(
        {
            "kind": np.full(len(n), "mul"),
            "in_c": n, "out_c": n, "in2_elements": n, "n_inputs": np.full_like(n, 2),
            "activation_bits": np.full_like(n, bits), "weight_bits": np.full_like(n, bits),
        }
    )  # fmt: skip
