"""The network zoo as a table."""

from __future__ import annotations

from typing import Any

from tinysim.network.load import list_networks, load_network
from tinysim.report.text import console, make_table

__all__ = ["network_rows", "print_networks"]


def network_rows() -> list[dict[str, Any]]:
    """One row per network of the zoo: name, MACs, parameters, weight bytes, source."""
    rows = []
    for name in list_networks():
        network = load_network(name)
        rows.append(
            {
                "network": name,
                "macs": network.macs,
                "params": network.params,
                "weight_bytes": network.weight_bytes,
                "operators": len(network.ops),
                "source": network.source,
            }
        )
    return rows


def print_networks(rows: list[dict[str, Any]]) -> None:
    """Print the list of networks."""
    table = make_table(
        "", {"network": "left", "MACs": "right", "parameters": "right", "operators": "right", "source": "left"}
    )
    for row in rows:
        table.add_row(row["network"], f"{row['macs']:,}", f"{row['params']:,}", str(row["operators"]), row["source"])
    console().print(table)
