"""Networks as tables: the zoo, and one network layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.text import Text

from tinysim.deploy.memory import lifetimes, live_bytes
from tinysim.network.counts import CONVENTIONS, count_operations
from tinysim.network.graph import Network
from tinysim.network.load import list_networks, load_network
from tinysim.report.text import console, make_table

__all__ = ["network_document", "network_rows", "network_summary", "print_network", "print_networks"]

#: convention -> header of its column
_HEADERS = dict(zip(CONVENTIONS, ("conv+fc MACs", "MACs", "FLOPs"), strict=True))


def network_summary(network: Network, count: str = "all-macs") -> dict[str, Any]:
    """Totals of a network: MACs, operations by a convention of counting, parameters, bytes, source.

    `peak_activation_bytes` is the largest sum of activations that live at a time in the given order: no arena can be
    smaller, a runtime's is larger by scratch memory, alignment and its own structures.

    Raises:
        NetworkError: no such convention.
    """
    return {
        "network": network.name,
        "macs": network.macs,
        "count": count,
        "operations": int(count_operations(network.table(), count).sum()),
        "params": network.params,
        "weight_bytes": network.weight_bytes,
        "peak_activation_bytes": int(live_bytes(lifetimes(network, alignment=1)).max()),
        "operators": len(network.ops),
        "source": network.source,
    }


def network_rows(count: str = "all-macs") -> list[dict[str, Any]]:
    """One row per network of the zoo; see `network_summary`."""
    return [network_summary(load_network(name), count) for name in list_networks()]


def print_networks(rows: list[dict[str, Any]]) -> None:
    """Print the list of networks, a line for each; a terminal cuts the sources that are too long for it."""
    operations = _HEADERS[rows[0]["count"]] if rows else "MACs"
    numbers = dict.fromkeys((operations, "parameters", "peak activations"), "right")
    table = make_table("", {"network": "key"} | numbers | {"source": "left"})
    for row in rows:
        peak = f"{row['peak_activation_bytes']:,} B"
        source = Text(row["source"], no_wrap=True, overflow="ellipsis")
        table.add_row(row["network"], f"{row['operations']:,}", f"{row['params']:,}", peak, source)
    console().print(table)


def network_document(network: Network, count: str = "all-macs") -> dict[str, Any]:
    """Totals, inputs, outputs and layers of a network as plain data."""
    table = network.table()
    operations = count_operations(table, count)

    def value(t: int) -> dict[str, Any]:
        tensor = network.tensors[t]
        return {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype}

    layers = []
    for i, op in enumerate(network.ops):
        constants = [network.tensors[t] for t in set(op.inputs) if t >= 0 and network.tensors[t].is_constant]
        layers.append(
            {
                "index": i,
                "name": op.name,
                "kind": op.kind,
                "output_shape": list(network.tensors[op.outputs[0]].shape) if op.outputs else [],
                "macs": int(table.macs[i]),
                "operations": int(operations[i]),
                "constant_bytes": sum(t.n_bytes for t in constants),
                "activation_bits": int(table.activation_bits[i]),
                "weight_bits": int(table.weight_bits[i]),
                "weight_sparsity": float(table.weight_sparsity[i]),
            }
        )
    counts = {name: int(count_operations(table, name).sum()) for name in CONVENTIONS}
    return network_summary(network, count) | {
        "counts": counts,
        "live_macs": network.live.macs,
        "inputs": [value(t) for t in network.inputs],
        "outputs": [value(t) for t in network.outputs],
        "weight_sparsity": _mean_sparsity(network),
        "layers": layers,
    }


def _mean_sparsity(network: Network) -> float:
    """Fraction of zeros among all weights."""
    table = network.table()
    weights = table.weights
    return float(np.dot(weights, table.weight_sparsity) / max(1, int(weights.sum())))


def print_network(document: dict[str, Any]) -> None:
    """Print a network: totals, then a row per layer."""
    out = console()
    out.print(f"[bold]{document['network']}[/]: {document['source'] or 'no source given'}", highlight=False)
    totals = make_table("", {"": "left", " ": "left"})
    totals.show_header = False
    for what in ("inputs", "outputs"):
        for tensor in document[what]:
            shape = " x ".join(map(str, tensor["shape"]))
            totals.add_row(what[:-1], f"{tensor['name']}: {shape} {tensor['dtype']}")
    for name, n in document["counts"].items():
        totals.add_row(_HEADERS[name], f"{n:,}   ({CONVENTIONS[name]})")
    if document["live_macs"] != document["macs"]:
        totals.add_row("  live", f"{document['live_macs']:,} MACs without channels that never change the output")
    totals.add_row("parameters", f"{document['params']:,} in {document['weight_bytes']:,} B of constants")
    totals.add_row("peak activations", f"{document['peak_activation_bytes']:,} B live at a time")
    if document["weight_sparsity"]:
        totals.add_row("zero weights", f"{document['weight_sparsity']:.1%}")
    out.print(totals)
    head = {"#": "right", "layer": "left", "kind": "left", "output": "left", _HEADERS[document["count"]]: "right"}
    table = make_table("", head | {"constants": "right", "bits": "right"})
    for row in document["layers"]:
        shape = " x ".join(map(str, row["output_shape"]))
        sizes = f"{row['operations']:,}", f"{row['constant_bytes']:,} B"
        bits = f"{row['activation_bits']}/{row['weight_bits']}"
        table.add_row(str(row["index"]), row["name"], row["kind"], shape, *sizes, bits)
    out.print(table)
    out.print("bits: of activations / of weights", highlight=False)
