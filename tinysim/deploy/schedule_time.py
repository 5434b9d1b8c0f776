"""Time that a schedule of parts takes more than layer by layer: repeated work, calls, and copies of parts."""

from __future__ import annotations

import numpy as np

from tinysim.deploy.costs import LayerCosts, layer_costs
from tinysim.deploy.memory import MemorySchedule
from tinysim.deploy.target import Target
from tinysim.network.table import LayerTable

__all__ = ["copy_time_s", "schedule_extra_s"]


def schedule_extra_s(schedule: MemorySchedule, costs: LayerCosts, target: Target) -> float:
    """Time that a schedule takes more than the network layer by layer [s].

    t = sum over operators of (work (outputs - 1) + overhead (runs - 1)) + time of the copies, where outputs is the
    computed share of an operator's output, halos included, runs how often its kernel is called, work and overhead its
    time layer by layer.

    costs: of the network's operators on the target, shape (n,). 0 for schedules that repeat nothing.
    """
    if not schedule.runs:
        return 0.0
    overhead_s = costs.cycles.overhead / target.clock_hz
    repeated = (costs.latency_s - overhead_s) @ (np.asarray(schedule.outputs) - 1.0)
    called = overhead_s @ (np.asarray(schedule.runs) - 1.0)
    return float(repeated + called) + copy_time_s(schedule.copied_bytes, target)


def copy_time_s(n_bytes: int, target: Target) -> float:
    """Time to copy bytes between tensors [s], counted as the kernel library's slice: a load and a store of each word.

    n_bytes [B]. Valid: rows of a tile that are longer than a few words; both ends where the target keeps activations.
    """
    if not n_bytes:
        return 0.0
    sizes = {side: [1] for side in ("in_h", "in_w", "out_h", "out_w")}
    costs = layer_costs(
        LayerTable.from_columns({"kind": ["slice"], "in_c": [n_bytes], "out_c": [n_bytes], **sizes}), target
    )
    return float((costs.cycles.total - costs.cycles.overhead)[0] / target.clock_hz)
