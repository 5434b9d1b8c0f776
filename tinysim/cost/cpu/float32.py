"""Float32 kernels: TFLM's reference loops on single-precision numbers, with an FPU or with software arithmetic.

The loops are those of the int8 reference kernels without offsets and requantization, so their trips are shared; moves
copy four times the bytes. `soft_float` replaces each floating-point instruction by the library routine that a core
without an FPU calls.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.cpu.kernel import SELECTIONS, Kernel, always
from tinysim.cost.cpu.per_trip import CLASSES
from tinysim.cost.cpu.tflm import conv, elementwise, matmul, pool, recurrent

__all__ = ["FPU_CORES", "LIBRARY", "soft_float"]

#: name under which the selections are registered
LIBRARY = "float32"

#: cores that can have a single-precision FPU
FPU_CORES = frozenset(
    "cortex-m4 cortex-m7 cortex-m33 cortex-m55 cortex-m85 rxv2 rxv3 xtensa-lx6 xtensa-lx7 rv32imafc rv32imafc-esp "
    "andes-d25f andes-d45 gap9-cluster rh850-g3kh".split()
)

for _kernel, _kinds in (
    (conv.CONV, "conv2d"),
    (conv.DEPTHWISE_CONV, "depthwise_conv2d"),
    (conv.TRANSPOSE_CONV, "transpose_conv"),
    (matmul.FULLY_CONNECTED, "fully_connected batch_matmul"),
    (recurrent.LSTM, "unidirectional_sequence_lstm gru unidirectional_sequence_rnn"),
    (recurrent.SVDF, "svdf"),
    (pool.AVERAGE_POOL, "avg_pool2d l2_pool2d"),
    (pool.MAX_POOL, "max_pool2d"),
    (pool.MEAN, "mean sum reduce_max reduce_min reduce_prod"),
    (pool.ARG_MAX, "arg_max arg_min cumsum"),
    (pool.SOFTMAX, "softmax log_softmax"),
    (pool.NORMALIZE, "l2_normalization layer_norm"),
):
    always(LIBRARY, Kernel("float32", _kernel.name, _kernel.trips), *_kinds.split())

#: int8 cost class of an element-wise kind -> float32 cost class, where they differ
_FLOAT_CLASS = {
    "Add": "Arithmetic",
    "Mul": "Arithmetic",
    "HardSwish": "Arithmetic",
    "Quantize": "Clamp",
    "Compare": "Clamp",
    "Unary": "Clamp",
    "Dequantize": "Clamp",
    "Logistic": "FloatMath",
    "Lookup": "FloatMath",
}
for _kind, _name in elementwise.CLASS_OF.items():
    always(LIBRARY, Kernel("float32", _FLOAT_CLASS.get(_name, _name), elementwise.element), _kind)
for _library, _kind in list(SELECTIONS):
    if _library == "tflm-reference" and (LIBRARY, _kind) not in SELECTIONS:
        SELECTIONS[LIBRARY, _kind] = SELECTIONS["tflm-reference", _kind]

#: instructions of a software multiply, and of an add, by class: libgcc's __aeabi_fmul and __aeabi_fadd in Thumb-2,
#: normal operands, counted from the source (ieee754-sf.S)
_SOFT_MUL = {"alu": 24.0, "mul_instr": 1.0, "branches": 3.0, "branches_taken": 2.0}
_SOFT_ADD = {"alu": 32.0, "branches": 6.0, "branches_taken": 3.0}
#: the Cortex-M0+ has no 64-bit product and no shift-operand: its routines are about twice as long
_M0_FACTOR = 2.0


def soft_float(counts: NDArray[np.float64], core: str) -> NDArray[np.float64]:
    """Counts without an FPU, shape (classes, n): each multiply-accumulate becomes a call of two routines, each other
    float multiplication one.
    """
    factor = _M0_FACTOR if core == "cortex-m0plus" else 1.0
    soft = counts.copy()
    macs, products = counts[CLASSES.index("mac_instr")], counts[CLASSES.index("mul_instr")]
    soft[CLASSES.index("mac_instr")] = 0.0
    soft[CLASSES.index("mul_instr")] = 0.0
    for name, each in _SOFT_MUL.items():
        soft[CLASSES.index(name)] += factor * each * (macs + products)
    for name, each in _SOFT_ADD.items():
        soft[CLASSES.index(name)] += factor * each * macs
    return soft
