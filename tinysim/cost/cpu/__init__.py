"""CPU cost: executed instructions of kernel libraries as functions of the layers' shapes."""

from tinysim.cost.cpu.instructions import RUNTIMES, instruction_counts

__all__ = ["RUNTIMES", "instruction_counts"]
