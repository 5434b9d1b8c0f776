"""TFLM's reference kernels, int8, int16 and float32: every operator kind has one. Importing registers them."""

from tinysim.cost.cpu.tflm import conv, elementwise, matmul, move, pool, recurrent

__all__ = ["LIBRARY", "conv", "elementwise", "matmul", "move", "pool", "recurrent"]

#: name under which the selections are registered
LIBRARY = "tflm-reference"
