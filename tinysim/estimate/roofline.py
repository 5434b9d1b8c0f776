"""The roofline of an estimate: each operator between the core's arithmetic and the memories that feed it.

Operational intensity is multiply-accumulates per byte that passes a memory's port, behind its cache. The roof of an
operator is the lowest of its engine's peak and, for each memory, bandwidth times intensity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tinysim.cost.roofline import attainable, line_bandwidth, peak_macs_per_cycle
from tinysim.deploy.target import is_timed
from tinysim.deploy.traffic import OUTSIDE, traffic_frame

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from tinysim.deploy.deployment import Deployment
    from tinysim.device.spec import Memory
    from tinysim.estimate.result import Estimate

__all__ = ["Roofline", "roofline"]


@dataclass(frozen=True, eq=False)
class Roofline:
    """Operators of an estimate under their roofs."""

    title: str
    frame: pd.DataFrame
    """a row per operator with multiply-accumulates"""
    peak_macs_per_s: dict[str, float]
    """by engine"""
    bandwidth_bytes_per_s: dict[str, float]
    """by memory"""
    gaps: tuple[str, ...] = ()
    """memories whose bandwidth is unknown"""

    def to_frame(self) -> pd.DataFrame:
        """A row per operator.

        Columns: name, kind, engine, macs, bytes, intensity_macs_per_byte (all memories), `<memory>_bytes`,
        compute_roof_macs_per_s, memory_roof_macs_per_s, bound (compute or a memory), roof_macs_per_s,
        reached_macs_per_s, efficiency [1].
        """
        return self.frame

    def plot(self, ax: Axes | None = None) -> Axes:
        """Rate over intensity, both logarithmic: a dot per operator and memory, lines for the roofs.

        Needs matplotlib (extra ``plot``).
        """
        from tinysim.estimate.pictures import roofs

        return roofs(self, ax)

    def __repr__(self) -> str:
        bound = self.frame.bound.value_counts()
        said = ", ".join(f"{count} by {name}" for name, count in bound.items())
        return f"Roofline({self.title}: {len(self.frame)} operators, bound {said})"


def roofline(estimate: Estimate) -> Roofline:
    """Roofs and rates of the operators with multiply-accumulates.

    Memories of unknown bandwidth give no roof and are named in `gaps`. A rate above a roof means that the kernels do
    better than one access after the other (prefetch, write buffers).
    """
    import pandas as pd

    deployment = estimate.deployment
    moved = traffic_frame(deployment)
    moved = moved[moved.layer >= 0]
    inside = moved.assign(memory=np.where(moved.source.isin(set(deployment.engines)), moved.sink, moved.source))
    by_memory = inside[inside.memory != OUTSIDE].pivot_table(
        index="layer", columns="memory", values="moved_bytes", aggfunc="sum", fill_value=0.0
    )
    by_memory = by_memory.reindex(range(len(deployment.network.ops)), fill_value=0.0)
    bandwidth, gaps = _bandwidths(deployment, list(by_memory.columns))
    peaks = _peaks(deployment)
    layers = estimate.to_frame()
    macs = layers.macs.to_numpy(dtype=np.float64)
    peak = np.array([peaks[f"{e} at {b} bit"] for e, b in _engines(deployment)])
    roofs = {name: attainable(macs, by_memory[name], peak=np.inf, bandwidth=rate) for name, rate in bandwidth.items()}
    bounds = np.array([peak, *roofs.values()])
    total = by_memory.sum(axis=1).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        reached = np.where(layers.latency_s > 0, macs / layers.latency_s, 0.0)
        intensity = np.where(total > 0, macs / total, np.inf)
    frame = pd.DataFrame(
        {
            "name": layers.name.to_numpy(),
            "kind": layers.kind.to_numpy(),
            "engine": layers.engine.to_numpy(),
            "macs": layers.macs.to_numpy(),
            "bytes": total,
            "intensity_macs_per_byte": intensity,
            **{f"{name}_bytes": by_memory[name].to_numpy() for name in by_memory.columns},
            "compute_roof_macs_per_s": peak,
            "memory_roof_macs_per_s": bounds[1:].min(axis=0) if roofs else np.inf,
            "bound": np.array(["compute", *roofs])[bounds.argmin(axis=0)],
            "roof_macs_per_s": bounds.min(axis=0),
            "reached_macs_per_s": reached,
        },
        index=pd.Index(layers.index, name="index"),
    )[macs > 0]
    frame = frame.assign(efficiency=frame.reached_macs_per_s / frame.roof_macs_per_s)
    title = f"{estimate.network} on {estimate.device} with {estimate.runtime}"
    used = {f"{e} at {b} bit" for (e, b), m in zip(_engines(deployment), macs, strict=True) if m}
    return Roofline(title, frame, {n: p for n, p in peaks.items() if n in used}, bandwidth, gaps)


def _engines(deployment: Deployment) -> list[tuple[str, int]]:
    """Engine and width of the activations of each operator."""
    return list(zip(deployment.engines, deployment.table.activation_bits.tolist(), strict=True))


def _peaks(deployment: Deployment) -> dict[str, float]:
    """Multiply-accumulates per second of each engine at each width that occurs."""
    target, offload = deployment.target, deployment.offload
    peaks = {}
    for engine, bits in set(_engines(deployment)):
        if offload is not None and engine == offload.name:
            spec = offload.engine.spec
            rate = max(e.macs_per_cycle for e in spec.engines) * offload.engine.clock_hz
        else:
            rate = float(peak_macs_per_cycle(target.core.vector, bits)) * target.clock_hz
        peaks[f"{engine} at {bits} bit"] = rate
    return peaks


def _bandwidths(deployment: Deployment, names: list[str]) -> tuple[dict[str, float], tuple[str, ...]]:
    board = {m.name: m for m in deployment.target.device.memories}
    spec = None if deployment.offload is None else deployment.offload.engine.spec
    own = {} if spec is None else {m.name: m.bandwidth_bytes_per_s for m in spec.memories if m.width.known}
    found = {name: own.get(name) or (_bandwidth(board[name], deployment) if name in board else None) for name in names}
    gaps = tuple(f"bandwidth of {name} is unknown: no roof" for name, rate in found.items() if rate is None)
    return {name: rate for name, rate in found.items() if rate is not None}, gaps


def _bandwidth(memory: Memory, deployment: Deployment) -> float | None:
    """Bytes per second that the core sees; None if unknown."""
    if memory.bandwidth is not None and memory.bandwidth.known:
        return memory.bandwidth.si
    if not is_timed(memory):
        return None
    target = deployment.target
    return line_bandwidth(
        line_bytes=memory.line_bytes,
        # an external memory's latency is that of a whole line
        bus_bytes=memory.line_bytes if memory.external else memory.bus_bytes,
        wait_cycles=memory.wait_cycles(target.clock_hz, target.device.voltage_range),
        clock_hz=target.clock_hz,
    )
