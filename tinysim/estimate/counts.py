"""`instruction_counts`: what the kernels execute, as a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinysim.cost import cpu
from tinysim.network.table import LayerTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["instruction_counts"]


def instruction_counts(
    table: LayerTable, core: str = "cortex-m4", runtime: str = "cmsis-nn", opt: str = "-O3", *, fpu: bool = True
) -> pd.DataFrame:
    """Executed instructions by class, a row per layer: instructions, loads, stores, mac_instr, alu, branches, ...

    Args:
        table: the layers.
        core: cortex-m0plus, -m3, -m4, -m7, -m33, -m55 or -m85.
        runtime: kernel library: ``cmsis-nn``, ``tflm-reference`` or ``float32``.
        opt: compiler level: -O3, -O2, -Os or -Ofast.
        fpu: whether float kernels have an FPU.

    Raises:
        UnknownRuntime: an unknown core, library or compiler level.
        UnsupportedOperator: a kind that no kernel of the library prices.
    """
    frame = cpu.instruction_counts(table, core=core, runtime=runtime, opt=opt, fpu=fpu).to_frame()
    frame.insert(0, "kind", table.kind_names)
    return frame
