"""What is odd about measured rows: contradictions, copies, workloads and clocks that cannot be right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinysim.calibrate.layers import is_layer, layer_table
from tinysim.cost.timing import zero_wait_cycles
from tinysim.deploy.costs import layer_costs
from tinysim.deploy.target import Target
from tinysim.device.effects import NOISE_LN
from tinysim.network.graph import Network
from tinysim.network.load import load_network

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["clock_suspicions", "row_suspicions", "table_suspicions"]

#: Two teams on one board and stack agree within 2.4 %; twice that is a contradiction.
_AGREE = 1.05
#: A factor that all rows of a board share, beyond which a clock is suspected, and how well they must share it [ln].
_COMMON_LN, _SHARED_LN = 0.25, 0.08
#: Counted kernels execute what they execute: fewer cycles than this share of it cannot be.
_LEAST_SHARE = 0.75


def table_suspicions(table: pd.DataFrame) -> list[str]:
    """Rows of one cell that differ, copies of a row, and one figure that several cells share."""
    found: list[str] = []
    cell: list[Any] = ["network", "device", "runtime", "build", "clock_mhz"]
    for _, group in table.groupby(cell, dropna=False, sort=False):
        low, high = group["latency_ms"].min(), group["latency_ms"].max()
        names = " and ".join(group["id"].astype(str))
        if high > _AGREE * low:
            found.append(f"{names} measure one thing and differ by {high / low - 1:.0%}")
        if group["latency_ms"].duplicated().any():
            found.append(f"{names} repeat one figure; it counts once")
    first = table.drop_duplicates([*cell, "latency_ms"])
    for latency, group in first.groupby("latency_ms", sort=False):
        if len(group) < 2 or float(str(latency)) == round(float(str(latency))):
            continue  # round figures may well agree
        names = " and ".join(group["id"].astype(str))
        if len(set(group["network"])) > 1:
            found.append(f"{names} are different networks with one figure, {latency} ms: is one a copy?")
        else:
            found.append(f"{names} share the figure {latency} ms: were all of them measured, or was one carried over?")
    return found


def clock_suspicions(targets: Sequence[Target], off: NDArray[np.float64], expected: NDArray[np.float64]) -> list[str]:
    """Boards all of whose rows are off by one factor, as they are where the clock is another one.

    off: ln(measured / predicted) cycles before the rows were fitted; expected: its standard deviation; shape (n,).
    """
    found = []
    for name in dict.fromkeys(target.device.name for target in targets):
        own = np.array([target.device.name == name for target in targets])
        common, spread = float(np.median(off[own])), float(np.ptp(off[own]))
        surprising = abs(common) > max(_COMMON_LN, 2 * float(np.median(expected[own])))
        if own.sum() < 3 or spread > _SHARED_LN or not surprising:
            continue
        clock_mhz = next(target.clock_hz for target in targets if target.device.name == name) / 1e6
        found.append(
            f"{name}: all {own.sum()} rows take {math.exp(common):.2f} times the predicted cycles, within "
            f"{math.expm1(spread):.0%} of each other: is the clock {clock_mhz / math.exp(common):.3g} MHz instead of "
            f"{clock_mhz:g} MHz?"
        )
    return found


def row_suspicions(name: str, network: str, target: Target, off: float, cycles: float) -> list[str]:
    """What is odd about one row: another workload, fewer cycles than its kernels take, or far from the other rows.

    network: as the row names it. off: ln(measured / predicted) after the fit; cycles: measured.
    """
    layers = layer_table(network) if is_layer(network) else load_network(network).table()
    counts = layer_costs(layers, target).counts
    ideal = float(zero_wait_cycles(counts, target.timing).sum())
    if target.runtime.counted and cycles < _LEAST_SHARE * ideal:
        said = f"{cycles:.3g} cycles are fewer than the {ideal:.3g} that the kernels of {target.runtime.name} execute"
    elif abs(off) > 4 * NOISE_LN:
        said = f"{math.expm1(off):+.0%} from what the other rows and the structure allow"
    else:
        return []
    other = None if is_layer(network) else _other_workload(load_network(network), target)
    if other is not None and abs(off - other[1]) < abs(off) / 2:
        return [f"{name}: {said}; {other[0]} would explain it"]
    return [f"{name}: {said}; check workload, clock and build"]


def _other_workload(network: Network, target: Target) -> tuple[str, float] | None:
    """(words, ln of its multiply-accumulates over those taken) of the network with or without its dead channels."""
    published = network.metadata.get("live")
    live = load_network(published) if published else network.live
    ratio = math.log(live.macs / network.macs) if network.macs and live.macs else 0.0
    if abs(ratio) < NOISE_LN:
        return None
    if target.runtime.removes_dead_channels:
        return f"a model whose channels are not dead (this stack removes them, {math.expm1(ratio):+.0%} work)", -ratio
    return f"removal of its dead channels ({math.expm1(ratio):+.0%} work)", ratio
