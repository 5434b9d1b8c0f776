"""Systolic arrays: cycles and utilisation of a matrix product in closed form, for three dataflows.

A convolution is the product of (pixels x taps) by (taps x filters). The dataflow says which two of the three sizes
lie along the rows and columns of the array and which one streams through it in time:

| dataflow | rows | columns | time |
|---|---|---|---|
| `os` output stationary | pixels | filters | taps |
| `ws` weight stationary | taps | filters | pixels |
| `is` input stationary | taps | pixels | filters |

Source: A. Samajdar et al., "A systematic methodology for characterizing scalability of DNN accelerators using
SCALE-Sim", ISPASS 2020, sec. III, eq. 1-4 (folds x (2 rows + columns + time - 2)); SCALE-Sim v3 takes the operands of
an output-stationary array in from both sides at once, which saves one array height.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinysim.errors import SpecError, nearest

__all__ = ["DATAFLOWS", "SystolicCost", "systolic_cost"]

#: Accepted dataflows: output, weight and input stationary.
DATAFLOWS = ("os", "ws", "is")

Array = npt.NDArray[Any]


class SystolicCost(NamedTuple):
    """Cycles and utilisation of each layer; arrays of the broadcast shape of the inputs."""

    compute_cycles: Array
    """Cycles from the first operand in to the last result out [cycle]."""
    utilization: Array
    """Multiply-accumulates over (cycles x processing elements) [1]."""
    mapping_efficiency: Array
    """Share of the processing elements that hold work, averaged over the folds [1]."""
    folds: Array
    """Times that the array is loaded anew [1]."""


def systolic_cost(
    *,
    pixels: npt.ArrayLike,
    taps: npt.ArrayLike,
    filters: npt.ArrayLike,
    rows: npt.ArrayLike,
    columns: npt.ArrayLike,
    dataflow: npt.ArrayLike,
    repeats: npt.ArrayLike = 1,
) -> SystolicCost:
    """Cycles of a matrix product on a systolic array, ideal memories.

    folds = ceil(R / rows) * ceil(C / columns)
    N = repeats * (folds * (T + rows + columns - 2 + (rows unless os)) - 1)

    with (R, C, T) as in the table of the module.

    pixels [1]: output height x width; taps [1]: kernel height x width x input channels (per group); filters [1]: output
    channels (per group); rows, columns [1]: array shape; repeats [1]: groups that run one after another (a depthwise
    layer channel by channel has taps = kernel area, filters = 1, repeats = channels).
    Valid: operands always ready (no memory stalls), array loaded and drained once per fold without overlap, at least
    two rows and two columns.
    Errors: none on the compute cycles of SCALE-Sim v3 (see tests).
    Source: see the module.

    >>> cost = systolic_cost(pixels=1024, taps=27, filters=16, rows=16, columns=16, dataflow="ws")
    >>> int(cost.compute_cycles), round(float(cost.utilization), 4)
    (2139, 0.8079)
    """
    flow = np.asarray(dataflow)
    unknown = sorted({str(name) for name in np.unique(flow)} - set(DATAFLOWS))
    if unknown:
        raise SpecError(f"dataflow {unknown[0]!r}: {nearest(unknown[0], DATAFLOWS)}")
    p, k, f, r, c = (np.asarray(x, dtype=np.int64) for x in (pixels, taps, filters, rows, columns))
    output_stationary = flow == "os"
    on_rows = np.where(output_stationary, p, k)
    on_columns = np.where(flow == "is", p, f)
    in_time = np.where(output_stationary, k, np.where(flow == "is", f, p))
    folds = -(-on_rows // r) * -(-on_columns // c)
    per_fold = in_time + r + c - 2 + np.where(output_stationary, 0, r)
    cycles = np.asarray(repeats) * (folds * per_fold - 1)
    macs = np.asarray(repeats) * p * k * f
    return SystolicCost(
        compute_cycles=cycles,
        utilization=macs / (cycles * r * c),
        mapping_efficiency=on_rows * on_columns / (folds * r * c),
        folds=folds,
    )
