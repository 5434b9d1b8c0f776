"""CMSIS-NN kernels, int8 and int16x8: one module per operator family. Importing the package registers them."""

from tinysim.cost.cpu.cmsis_nn import conv, depthwise, elementwise, matmul, pool, recurrent, version5, wide
from tinysim.cost.cpu.cmsis_nn.elementwise import LIBRARY_ARMCLANG
from tinysim.cost.cpu.cmsis_nn.version5 import LIBRARY_5
from tinysim.cost.cpu.cmsis_nn.wide import LIBRARY_16

__all__ = [
    "LIBRARY",
    "LIBRARY_5",
    "LIBRARY_16",
    "LIBRARY_ARMCLANG",
    "conv",
    "depthwise",
    "elementwise",
    "matmul",
    "pool",
    "recurrent",
    "version5",
    "wide",
]

#: name under which the selections are registered
LIBRARY = "cmsis-nn"
