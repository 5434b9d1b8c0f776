"""From counts to cycles of a core, with memory that never makes it wait.

The core's manual gives cycles by instruction class. Stalls of a real memory system are added by `tinysim.cost.latency`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.counts import Counts

__all__ = ["CoreTiming", "zero_wait_cycles"]


@dataclass(frozen=True, kw_only=True)
class CoreTiming:
    """Cycles per instruction of each class, zero wait states. Below 1: the core issues several at a time.

    Where a class mixes instructions of different length (MUL and SMULL), or a load overlaps the next one, the figure is
    the mean over kernels.
    """

    load: float
    """load; 2 unless it overlaps the next load (Cortex-M3, M4)"""
    store: float
    """store; 1 with a store buffer"""
    mac: float
    """multiply-accumulate"""
    mul: float
    """other multiplication"""
    alu: float
    """everything of one cycle on a single-issue core"""
    div: float
    """division"""
    branch: float
    """branch, taken or not"""
    branch_taken: float
    """further cycles of a taken branch: pipeline refill"""
    vector: float = 0.0
    """further cycles of a vector instruction, besides those of its class (a 128-bit operation on a 64-bit datapath)"""
    extra_word: float = 0.0
    """further cycles of each word beyond the first that a load or store moves (LDM, STM, PUSH, POP)"""


def zero_wait_cycles(counts: Counts, timing: CoreTiming) -> NDArray[np.float64]:
    """Cycles with ideal memory, one per layer, shape (n,).

    C = sum over classes of N_class c_class + N_taken c_refill + N_vector c_vector + W c_word,
    W = max(load_bytes / 4 - loads, 0) + max(store_bytes / 4 - stores, 0)

    Valid for in-order cores. Against timing simulations of CMSIS-NN kernels from the same manuals, the mean absolute
    error is 0.9 % on the Cortex-M0+, 1.3 % on the M3, 2.2 % on the M4, 1.5 % on the M33, and about 4 % on the M7
    (dual issue) and the M55 (beat-wise vectors), whose tables are means.

    >>> counts = Counts(**{name: np.array([10.0]) for name in Counts.__dataclass_fields__})
    >>> m0 = CoreTiming(load=2, store=2, mac=1, mul=1, alu=1, div=1, branch=1, branch_taken=1)
    >>> float(zero_wait_cycles(counts, m0)[0])
    100.0
    """
    words = np.maximum(counts.load_bytes / 4 - counts.loads, 0) + np.maximum(counts.store_bytes / 4 - counts.stores, 0)
    cycles: NDArray[np.float64] = (
        counts.loads * timing.load
        + counts.stores * timing.store
        + counts.mac_instr * timing.mac
        + counts.mul_instr * timing.mul
        + counts.alu * timing.alu
        + counts.div * timing.div
        + counts.branches * timing.branch
        + counts.branches_taken * timing.branch_taken
        + counts.vec_instr * timing.vector
        + words * timing.extra_word
    )
    return cycles
