"""TFLM's reference kernels, int8, int16 and float32: every operator kind has one. Importing registers them."""

from tinysim.cost.cpu.tflm import conv, elementwise, matmul, move, pool, recurrent
from tinysim.cost.cpu.tflm.matmul import LIBRARY_16

__all__ = ["LIBRARY", "LIBRARY_16", "conv", "elementwise", "matmul", "move", "pool", "recurrent"]

#: name under which the selections are registered
LIBRARY = "tflm-reference"
