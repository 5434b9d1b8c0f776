"""Operators of the NPU itself, as columns: what remains of a network's layers after lowering."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CONVOLUTION", "DEPTHWISE", "ELEMENTWISE", "POOLING", "REDUCE_SUM", "NpuOps", "ceil_div", "round_up"]

#: Traversals of the MAC array: values of `NpuOps.unit`.
CONVOLUTION, DEPTHWISE, POOLING, REDUCE_SUM, ELEMENTWISE = range(5)

Array = npt.NDArray[Any]


def ceil_div(a: Any, b: Any) -> Any:
    """Quotient of positive integers, rounded up; scalars or arrays.

    >>> ceil_div(7, 2)
    4
    """
    return -(-a // b)


def round_up(a: Any, to: Any) -> Any:
    """Smallest multiple of `to` that is not below `a`; scalars or arrays.

    >>> round_up(17, 16)
    32
    """
    return -(-a // to) * to


@dataclass(frozen=True, eq=False)
class NpuOps:
    """A struct of columns, one value per NPU operator, in order of execution."""

    layer: Array
    """index of the layer it came from"""
    unit: Array
    """CONVOLUTION, DEPTHWISE, POOLING, REDUCE_SUM or ELEMENTWISE"""
    function: Array
    """what the output unit does: `conv`, `add`, `mul`, `max` or `other`"""
    ifm_h: Array
    """input height"""
    ifm_w: Array
    """input width"""
    ifm_c: Array
    """input channels"""
    ifm2_elements: Array
    """elements of a second input, 0 without one"""
    ofm_h: Array
    """output height"""
    ofm_w: Array
    """output width"""
    ofm_c: Array
    """output channels"""
    kernel_h: Array
    """kernel height"""
    kernel_w: Array
    """kernel width"""
    stride_h: Array
    """stride over rows"""
    stride_w: Array
    """stride over columns"""
    dilation_h: Array
    """dilation over rows"""
    dilation_w: Array
    """dilation over columns"""
    upscale: Array
    """2 if the input is upscaled on the fly (transposed convolution), else 1"""
    ifm_bits: Array
    """bits of an input element"""
    ofm_bits: Array
    """bits of an output element"""
    lut: Array
    """whether a table look-up follows in the same pass"""
    ifm_linear: Array
    """whether the input lies as rows of channels (NHWC), not in bricks of 16 channels"""
    ofm_linear: Array
    """whether the output lies as rows of channels (NHWC)"""
    ifm2_constant: Array
    """whether the second input is a constant"""
    chained: Array
    """whether it runs inside the pass of the operator before it (its cycles are that operator's)"""
    sparse_2_4: Array
    """whether at most two of four neighbouring weights differ from zero and the array skips the others"""
    weight_elements: Array
    """weights before encoding, 0 without any"""
    weight_bytes: Array
    """encoded weights [byte]"""
    scale_bytes: Array
    """encoded biases and scales [byte]"""

    def __len__(self) -> int:
        return len(self.unit)

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> NpuOps:
        """Columns from one mapping per operator; what a row leaves out takes the default of a plain operator."""
        listed = list(rows)
        columns = {
            field.name: np.array([row.get(field.name, _DEFAULTS.get(field.name, 0)) for row in listed])
            for field in fields(cls)
        }
        return cls(**columns)

    def take(self, index: Any) -> NpuOps:
        """The operators at `index` (an index array, a slice or a mask)."""
        return NpuOps(**{field.name: getattr(self, field.name)[index] for field in fields(NpuOps)})

    @property
    def ifm_elements(self) -> Array:
        """Elements of the (first) input."""
        return self.ifm_h * self.ifm_w * self.ifm_c

    @property
    def ofm_elements(self) -> Array:
        """Elements of the output."""
        return self.ofm_h * self.ofm_w * self.ofm_c

    @property
    def macs(self) -> Array:
        """Multiply-accumulates of the MAC array, pooling windows counted."""
        per_output = (
            self.kernel_h * self.kernel_w * np.where(np.isin(self.unit, (CONVOLUTION, REDUCE_SUM)), self.ifm_c, 1)
        )
        return np.where(self.unit == ELEMENTWISE, 0, per_output * self.ofm_elements)


_DEFAULTS: dict[str, Any] = {
    "function": "other",
    "kernel_h": 1,
    "kernel_w": 1,
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h": 1,
    "dilation_w": 1,
    "upscale": 1,
    "ifm_bits": 8,
    "ofm_bits": 8,
    "lut": False,
    "ifm_linear": False,
    "ofm_linear": False,
    "ifm2_constant": False,
    "chained": False,
    "sparse_2_4": False,
}
