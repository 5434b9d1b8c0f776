"""Sentences that say where the time goes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tinysim.cost.timing import zero_wait_cycles

if TYPE_CHECKING:
    from tinysim.estimate.result import Estimate, LayerCost

__all__ = ["bottleneck_sentence", "layer_sentence"]

#: Share of zeros among the weights from which a network counts as pruned; int8 rounding alone makes a few percent.
_PRUNED = 0.2
_CAUSES = {
    "compute": "arithmetic and loop code",
    "weight_stall": "waiting for weights",
    "fetch_stall": "waiting for code",
    "data_stall": "waiting for activations",
    "overhead": "runtime overhead",
}


def bottleneck_sentence(estimate: Estimate) -> str:
    """The largest layer and the largest stall of a network, in a sentence."""
    if not estimate.layers or estimate.cycles == 0:
        return f"{estimate.network} runs no operator."
    top = max(estimate.layers, key=lambda row: row.cycles)
    causes = estimate.cycles_by_cause
    waits = {name: cycles for name, cycles in causes.items() if name != "compute"}
    wait = max(waits, key=lambda name: waits[name])
    there = estimate.accelerator
    offload = "" if there is None else f"{there['layers']} of {len(estimate.layers)} operators run on {there['name']}. "
    bounds = Counter(row.bound_by for row in estimate.layers if row.cycles)
    bound = ", ".join(f"{n} by {name}" for name, n in bounds.most_common())
    return (
        f"{offload}Layer {top.index} ({top.name}) takes {top.cycles / estimate.cycles:.0%} of the cycles; "
        f"over the network {causes['compute'] / estimate.cycles:.0%} is {_CAUSES['compute']} and "
        f"{waits[wait] / estimate.cycles:.0%} {_CAUSES[wait]}, the largest stall. "
        f"Layers are bound: {bound}." + _sparsity_sentence(estimate)
    )


def _sparsity_sentence(estimate: Estimate) -> str:
    """That zeros among the weights save no time, where there are more than rounding makes.

    No kernel library that is priced here skips zeros: measured, half the weights zero gain 1.00x (EdgeMark, L4R5).
    """
    table = estimate.costs.table
    zeros = float((table.weight_sparsity * table.weights).sum() / max(1, int(table.weights.sum())))
    if zeros < _PRUNED:
        return ""
    return f" {zeros:.0%} of the weights are zero; the kernels of {estimate.runtime} are dense, so this saves no time."


def layer_sentence(estimate: Estimate, layer: LayerCost) -> str:
    """Which resource bounds a layer, by how much, and what its instructions are, in a few sentences."""
    if layer.cycles == 0:
        return f"Layer {layer.index} ({layer.name}) costs nothing: {estimate.runtime} folds it away."
    parts = {
        "compute": layer.compute_cycles,
        "weight_stall": layer.weight_stall_cycles,
        "fetch_stall": layer.fetch_stall_cycles,
        "data_stall": layer.data_stall_cycles,
        "overhead": layer.overhead_cycles,
    }
    (first, most), *others = sorted(parts.items(), key=lambda item: -item[1])
    rate = f" ({layer.cycles / layer.macs:.2f} per MAC)" if layer.macs else ""
    said = (
        f"Layer {layer.index} ({layer.name}) is bound by {_BOUNDS.get(first, layer.engine)}: "
        f"{most / layer.cycles:.0%} of its {layer.cycles:,} cycles{rate} {_IS[first]}"
    )
    rest = [f"{_CAUSES[name]} {cycles / layer.cycles:.0%}" for name, cycles in others if cycles]
    if rest:
        times = most / others[0][1]
        said += f", {f'{times:.1f}' if times < 100 else 'over 100'} times the next cause; then come {', '.join(rest)}"
    return f"{said}.{_instructions(estimate, layer)}"


#: The resource behind each cause but `compute`, which is the layer's engine; and what a cause's cycles are.
_BOUNDS = {
    "weight_stall": "the memory of the weights",
    "fetch_stall": "the memory of the code",
    "data_stall": "the memory of the activations",
    "overhead": "the runtime",
}
_IS = {
    "compute": "are arithmetic and loop code",
    "weight_stall": "are spent waiting for weights",
    "fetch_stall": "are spent waiting for code",
    "data_stall": "are spent waiting for activations",
    "overhead": "are runtime overhead",
}


def _instructions(estimate: Estimate, layer: LayerCost) -> str:
    """What the core's own cycles are: data movement, multiplication, the rest; nothing for an accelerator."""
    counts, timing = estimate.costs.counts, estimate.deployment.target.timing
    total = float(zero_wait_cycles(counts, timing)[layer.index])
    if not total:
        return ""
    n = {name: float(getattr(counts, name)[layer.index]) for name in ("loads", "stores", "mac_instr", "mul_instr")}
    moved = n["loads"] * timing.load + n["stores"] * timing.store
    multiplied = n["mac_instr"] * timing.mac + n["mul_instr"] * timing.mul
    return (
        f" Of the core's own cycles {moved / total:.0%} are loads and stores, {multiplied / total:.0%} "
        f"multiplications, {1 - (moved + multiplied) / total:.0%} other instructions."
    )
