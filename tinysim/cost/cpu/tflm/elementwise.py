"""TFLM reference element-wise kernels: operators of one cost share a kernel, priced per output element.

`Add` and `HardSwish`, `Logistic` and `Quantize` were measured; the other classes were counted from the source:

- `Mul`, `Compare` (both inputs requantized), `MinMax` (4-d broadcast index), `Select`,
- `Unary` (one simple operation), `Lookup` (a table of 256 entries), `Dequantize`, `FloatMath` (a library function),
- `ResizeBilinear` (four neighbours, two weights).

Source: github.com/tensorflow/tflite-micro, tensorflow/lite/micro/kernels and lite/kernels/internal/reference.
"""

from __future__ import annotations

from tinysim.cost.cpu.kernel import Kernel, Mask, Rows, Trips, always, select_for

__all__ = ["CLASS_OF", "KERNELS", "element"]


def element(rows: Rows, path: str) -> Trips:
    """One trip per output element."""
    return {"call": rows.batch, "element": rows.out_elements}


_KINDS = {
    "Add": "add sub squared_difference",
    "Mul": "mul",
    "HardSwish": "hard_swish",
    "Logistic": "logistic tanh",
    "Quantize": "quantize relu relu6 relu_n1_to_1 leaky_relu prelu batch_norm",
    "Compare": "equal not_equal greater greater_equal less less_equal",
    "MinMax": "maximum minimum",
    "Select": "select_v2",
    "Unary": "abs neg floor ceil round sign square cast logical_and logical_or logical_not",
    "Lookup": "elu gelu exp",
    "Dequantize": "dequantize",
    "FloatMath": "log sqrt rsqrt sin cos pow div floor_div floor_mod",
    "ResizeBilinear": "resize_bilinear",
}
#: operator kind -> cost class
CLASS_OF = {kind: name for name, kinds in _KINDS.items() for kind in kinds.split()}
#: cost class -> kernel
KERNELS = {name: Kernel("tflm_reference", name, element) for name in _KINDS}


BROADCAST = Kernel("tflm_reference", "BroadcastIndex", element)


for _name, _kinds in _KINDS.items():
    always("tflm-reference", KERNELS[_name], *_kinds.split())


@select_for("tflm-reference", "mul")
def select_mul(rows: Rows, path: str) -> list[tuple[Kernel, Mask | None]]:
    """`Mul`, or `BroadcastMul4DSlow`, which computes a 4-d index into both inputs for every element."""
    return [(KERNELS["Mul"], None), (BROADCAST, (rows.in2_elements > 0) & (rows.in2_elements < rows.out_elements))]
