"""Sentences that say where the time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    return (
        f"{offload}Layer {top.index} ({top.name}) takes {top.cycles / estimate.cycles:.0%} of the cycles; "
        f"over the network {causes['compute'] / estimate.cycles:.0%} is {_CAUSES['compute']} and "
        f"{waits[wait] / estimate.cycles:.0%} {_CAUSES[wait]}, the largest stall." + _sparsity_sentence(estimate)
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
    """Where the cycles of one layer go, in a sentence."""
    if layer.cycles == 0:
        return f"Layer {layer.index} ({layer.name}) costs nothing: {estimate.runtime} folds it away."
    parts = {
        "compute": layer.compute_cycles,
        "weight_stall": layer.weight_stall_cycles,
        "fetch_stall": layer.fetch_stall_cycles,
        "data_stall": layer.data_stall_cycles,
        "overhead": layer.overhead_cycles,
    }
    shares = ", ".join(
        f"{cycles / layer.cycles:.0%} {_CAUSES[name]}"
        for name, cycles in sorted(parts.items(), key=lambda item: -item[1])
        if cycles
    )
    rate = f", {layer.cycles / layer.macs:.2f} cycles per MAC" if layer.macs else ""
    return f"Layer {layer.index} ({layer.name}): {layer.cycles:,} cycles{rate}: {shares}."
