"""What an inference is made of: counted cycles by family of kernel and by cause, with every fitted coefficient at one.

A prediction is the sum of features times coefficients, so a fit and an interval need nothing else of a network.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.latency import KERNELS, StackFactors, kernel_codes, per_output_cycles
from tinysim.deploy.costs import layer_costs
from tinysim.deploy.layout import Layout
from tinysim.deploy.target import Target
from tinysim.device.effects import FEATURES, INFERENCE_OVERHEAD_CYCLES, OP_OVERHEAD_CYCLES
from tinysim.network.table import LayerTable

__all__ = ["inference_features"]

Floats = NDArray[np.float64]


def inference_features(
    table: LayerTable, target: Target, priced: NDArray[np.bool_], layout: Layout | None = None
) -> Floats:
    """Features of one inference of a network on a target, shape (len(FEATURES),) [cycle].

    table: n layers of one network. priced: mask of the layers that run. layout: which memories hold them; those of the
    target's placement if None.

    Raises:
        UnsupportedOperator: a kind that the kernel library cannot price.
    """
    plain = replace(
        target,
        factors=StackFactors(),
        weights=replace(target.weights, exposure=1.0),
        code=replace(target.code, exposure=1.0),
        activations=replace(target.activations, exposure=1.0),
    )
    cycles = layer_costs(table, plain, priced, layout=layout).cycles
    outputs = per_output_cycles(table, cycles.compute)
    work = cycles.compute - outputs
    by_kernel = np.bincount(kernel_codes(table), weights=work, minlength=len(KERNELS))
    sums = dict(zip(KERNELS, by_kernel.tolist(), strict=True)) | {
        "per_output": outputs.sum(),
        "weights_stall": cycles.weight_stall.sum(),
        "code_stall": cycles.fetch_stall.sum(),
        "activations_stall": cycles.data_stall.sum(),
        "op_overhead": OP_OVERHEAD_CYCLES * priced.sum(),
        "inference_overhead": INFERENCE_OVERHEAD_CYCLES,
    }
    return np.array([sums[name] for name in FEATURES])
