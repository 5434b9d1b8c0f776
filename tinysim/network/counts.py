"""Conventions of counting: today's counters disagree by a fifth on one network because they count different things."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import NetworkError, nearest
from tinysim.network.kinds import KINDS
from tinysim.network.table import LayerTable

__all__ = ["CONVENTIONS", "count_operations"]

#: name -> what counts
CONVENTIONS = {
    "conv-fc-macs": "multiply-accumulates of convolutions and fully connected layers (papers on vision networks)",
    "all-macs": "those, of recurrent layers and of products of two activations",
    "flops": "two per multiply-accumulate, one per bias, window element, elementwise result; softmax five per element "
    "(TensorFlow's profiler)",
}


def count_operations(table: LayerTable, count: str = "all-macs") -> NDArray[np.int64]:
    """Operations of each row by one of the `CONVENTIONS`, shape (n,).

    Padding taps count in all of them. "all-macs" is what `LayerTable.macs` and `Network.macs` give.

    Raises:
        NetworkError: no such convention.

    >>> sizes = {"in_h": 4, "in_w": 4, "in_c": 8, "out_h": 4, "out_w": 4, "out_c": 8}
    >>> t = LayerTable.from_columns({"kind": ["add"]} | sizes)
    >>> int(count_operations(t, "all-macs")[0]), int(count_operations(t, "flops")[0])
    (0, 128)
    """
    if count not in CONVENTIONS:
        raise NetworkError(f"count {count!r} is not known; {nearest(count, CONVENTIONS)}")
    if count == "all-macs":
        return table.macs
    if count == "conv-fc-macs":
        return np.where(table.is_family("conv") | table.is_kind("fully_connected"), table.macs, 0)
    per_output = np.array([kind.ops_per_output for kind in KINDS])[table.kind]
    outputs = table.out_elements
    window = np.where(table.is_family("pool", "reduce"), table.kernel_h * table.kernel_w, 0)
    softmax = np.where(table.is_family("softmax"), 5, 0)
    weighty = table.is_family("conv", "matmul", "recurrent") & ~table.is_kind("batch_matmul")
    biases = np.where(weighty, table.has_bias * outputs * table.gates, 0)
    # The sum of both products at each gate, and what joins gates and state; a GRU has a bias for either product.
    biases += np.where(table.is_kind("unidirectional_sequence_lstm"), outputs * (4 + 4), 0)
    biases += np.where(table.is_kind("gru"), outputs * (3 + 5 + 3 * table.has_bias), 0)
    biases += np.where(table.is_kind("unidirectional_sequence_rnn"), outputs, 0)
    total: NDArray[np.int64] = (2 * table.macs + biases + outputs * (per_output + window + softmax)).astype(np.int64)
    return total
