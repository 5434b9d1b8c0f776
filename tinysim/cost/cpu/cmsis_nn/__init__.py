"""CMSIS-NN kernels, int8 and int16x8: one module per operator family. Importing the package registers them."""

from tinysim.cost.cpu.cmsis_nn import conv, depthwise, elementwise, matmul, pool

__all__ = ["LIBRARY", "conv", "depthwise", "elementwise", "matmul", "pool"]

#: name under which the selections are registered
LIBRARY = "cmsis-nn"
