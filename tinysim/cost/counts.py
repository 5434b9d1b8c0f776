"""`Counts`: what a kernel executes, as facts of the code: instructions by class and bytes by direction.

A kernel model returns counts; `tinysim.cost.timing` turns them into cycles of a core.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Counts"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Counts:
    """Executed instructions by class, each an array of one shape (a value per layer).

    Every instruction, scalar or vector, is in exactly one of loads, stores, mac_instr, mul_instr, alu, div or branches,
    so their sum is `instructions`; `branches_taken` and `vec_instr` count some of them again.
    """

    loads: Floats
    """load instructions (LDR, LDRB, LDRSB, LDRD, LDM count once each)"""
    stores: Floats
    """store instructions"""
    mac_instr: Floats
    """multiply-accumulate instructions (MLA, SMLAD, SMLABB, SMMLA ...)"""
    mul_instr: Floats
    """other multiplications (MUL, SMULL, SMULBB ...)"""
    alu: Floats
    """everything else that takes one cycle: add, shift, move, compare, pack, saturate"""
    div: Floats
    """divisions"""
    branches: Floats
    """branches, taken or not"""
    branches_taken: Floats
    """of them, taken"""
    vec_instr: Floats
    """of all of them, vector (Helium, PIE) instructions"""
    load_bytes: Floats
    """bytes loaded"""
    store_bytes: Floats
    """bytes stored"""

    @classmethod
    def zeros(cls, n: int) -> Counts:
        """No work for `n` layers."""
        return cls(*(np.zeros(n) for _ in fields(cls)))

    @property
    def instructions(self) -> Floats:
        """All executed instructions."""
        return self.loads + self.stores + self.mac_instr + self.mul_instr + self.alu + self.div + self.branches

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def scaled(self, factor: float | Floats) -> Counts:
        """Counts times `factor` (a number, or one per layer)."""
        return Counts(*(getattr(self, f.name) * factor for f in fields(self)))

    def put(self, rows: NDArray[np.bool_] | NDArray[np.int64], other: Counts) -> None:
        """Write `other` into `rows` of these arrays (used while a table is assembled kind by kind)."""
        for f in fields(self):
            getattr(self, f.name)[rows] = getattr(other, f.name)

    def to_frame(self) -> pd.DataFrame:
        """A row per layer: instructions first, then the classes."""
        import pandas as pd

        columns = {"instructions": self.instructions} | {f.name: getattr(self, f.name) for f in fields(self)}
        return pd.DataFrame(columns)
