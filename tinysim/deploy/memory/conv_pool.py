"""Convolutions fused with the pool behind them: of the convolution's output only a pool's window of rows exists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinysim.deploy.memory.buffers import Buffers
from tinysim.network.graph import Network
from tinysim.network.kinds import FAMILY

__all__ = ["fuse_conv_pool"]

_ACTIVATIONS = frozenset({"relu", "relu6", "leaky_relu"})


def fuse_conv_pool(network: Network, buffers: Buffers, *, floats: bool) -> tuple[Buffers, frozenset[int]]:
    """Buffers with each convolution and strided pool run as one, and the operators that take part.

    Convolution (and a ReLU) and pool run together: the convolution's input and the pool's output live during both, and
    between them kernel_h rows of the convolution's output.

    buffers: of `lifetimes(network)`. floats: float networks too.
    """
    table = network.table()
    if not (table.is_family("pool") & (table.stride_h > 1)).any():
        return buffers, frozenset()
    made = {op.outputs[0]: i for i, op in enumerate(network.ops) if op.outputs}
    reads = [t for op in network.ops for t in set(op.inputs)]
    holder = {t: row for row, t in enumerate(buffers.tensor.tolist())}
    size, first, last = buffers.size.copy(), buffers.first.copy(), buffers.last.copy()
    fused: set[int] = set()
    for i, op in enumerate(network.ops):
        if FAMILY[op.kind] != "pool" or table.stride_h[i] < 2:
            continue
        between = [op.inputs[0]]
        while (maker := made.get(between[-1])) is not None and network.ops[maker].kind in _ACTIVATIONS:
            between.append(network.ops[maker].inputs[0])
        alone = all(reads.count(t) == 1 and t not in network.outputs for t in between)
        integer = network.tensors[between[-1]].bits < 32
        if maker is None or network.ops[maker].kind != "conv2d" or not alone or not (floats or integer):
            continue
        rows = [holder[t] for t in between]
        size[rows] = size[rows] * table.kernel_h[i] // table.in_h[i]
        size[rows[:-1]] = 0
        first[holder[op.outputs[0]]] = first[rows] = maker + 1
        last[rows] = i + 1
        source = holder[network.ops[maker].inputs[0]]
        last[source] = max(last[source], i + 1)
        fused |= {maker, *(made[t] for t in between), i}
    kept = np.flatnonzero(size > 0)
    return replace(buffers, size=size, first=first, last=last).rows(kept), frozenset(fused)
