"""What a measured row is made of: counted cycles by family and cause, with every parameter at one.

A prediction is the sum of features times coefficients, so a fit needs nothing else of a row.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinysim.cost.latency import StackFactors
from tinysim.deploy.costs import layer_costs
from tinysim.deploy.deployment import runtime_network
from tinysim.deploy.target import Target, resolve_target
from tinysim.device.effects import FEATURES
from tinysim.network.load import load_network

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["build_target", "features", "row_features"]

Floats = NDArray[np.float64]

#: Cycles of one operator's and one inference's overhead at coefficient one.
_OVERHEAD_CYCLES = (300.0, 1000.0)


def build_target(target: Target, build: str) -> Target:
    """A target under another build of its runtime: compiler level (``-Os``, ``-O3+dcheck``), FPU off (``nofpu``).

    Builds that change what cannot be counted (max-performance, min-ram) return the target as it is.
    """
    words = build.split()
    runtime = target.runtime
    for level in (word for word in words if word.startswith("-O")):
        runtime = runtime.model_copy(update={"opt": level})
    return replace(target, runtime=runtime, fpu=target.fpu and "nofpu" not in words)


def features(network: str, target: Target) -> Floats:
    """Features of one inference on a target, shape (len(FEATURES),) [cycle]."""
    plain = replace(
        target,
        factors=StackFactors(),
        weights=replace(target.weights, exposure=1.0),
        code=replace(target.code, exposure=1.0),
        activations=replace(target.activations, exposure=1.0),
    )
    net = runtime_network(load_network(network), target.runtime)
    table = net.table()
    costs = layer_costs(table, plain)
    cycles = costs.cycles
    pointwise = table.is_kind("conv2d") & (table.kernel_h == 1) & (table.kernel_w == 1)
    conv = table.is_kind("conv2d", "transpose_conv") & ~pointwise
    depthwise = table.is_kind("depthwise_conv2d")
    matmul = table.is_family("matmul", "recurrent")
    other = ~(pointwise | conv | depthwise | matmul)
    return np.array(
        [
            *(cycles.compute[mask].sum() for mask in (conv, pointwise, depthwise, matmul, other)),
            cycles.weight_stall.sum(),
            cycles.fetch_stall.sum(),
            cycles.data_stall.sum(),
            _OVERHEAD_CYCLES[0] * len(table),
            _OVERHEAD_CYCLES[1],
        ]
    )


@lru_cache(maxsize=4096)
def _features(network: str, device: str, runtime: str, build: str, clock_hz: float | None) -> tuple[float, ...]:
    target = build_target(resolve_target(device, runtime, clock_hz=clock_hz), build)
    return tuple(features(network, target).tolist())


def row_features(rows: pd.DataFrame) -> Floats:
    """Features of every row, shape (n, len(FEATURES)) [cycle]."""
    clock = [None if mhz is None or mhz != mhz else float(mhz) * 1e6 for mhz in rows["clock_mhz"]]
    keys = zip(rows["network"], rows["device"], rows["runtime"], rows["build"], clock, strict=True)
    return np.array([_features(*key) for key in keys]).reshape(-1, len(FEATURES))
