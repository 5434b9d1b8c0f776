"""What an `Estimate` is made of: memory use, intervals, costs of operators."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Interval", "LayerCost", "MemoryUse"]


@dataclass(frozen=True)
class MemoryUse:
    """Bytes of SRAM and flash."""

    sram_peak_bytes: int
    """arena: planned and persistent part"""
    arena_planned_bytes: int
    """activations and scratch buffers, as the planner lays them"""
    arena_persistent_bytes: int
    """interpreter structures, per-channel parameters, variables"""
    flash_bytes: int | None
    """model and code; None if the code size is unknown"""
    model_bytes: int
    """the model as the runtime stores it"""
    weights_bytes: int
    """constants alone"""
    code_bytes: int | None
    """runtime and kernels"""
    arena_in: dict[str, int]
    """bytes of the arena by memory"""
    weights_in: tuple[str, ...]
    """memories that hold the weights"""


@dataclass(frozen=True)
class Interval:
    """Bounds that hold the truth with probability `level`; (low, high)."""

    level: float
    latency_s: tuple[float, float]
    energy_j: tuple[float, float] | None
    basis: str
    """Whose residuals it was made from."""


@dataclass(frozen=True)
class LayerCost:
    """Cost of one operator."""

    index: int
    name: str
    kind: str
    engine: str
    macs: int
    instructions: int
    cycles: int
    compute_cycles: int
    weight_stall_cycles: int
    fetch_stall_cycles: int
    data_stall_cycles: int
    overhead_cycles: int
    latency_s: float
    energy_j: float | None
    sram_read_bytes: int
    sram_write_bytes: int
    flash_read_bytes: int
    bound_by: str
    """what takes most of its cycles: compute, weights, code, activations or overhead"""
    bound_share: float
    """part of its cycles that this takes [1]; 0 for a layer that costs nothing"""
