"""Partial execution along channels: a wide tensor between two convolutions exists one group of channels at a time.

Source of the idea: Liberis and Lane, "Pex", arXiv 2211.17246. No product is computed twice; the second convolution
sums its groups into 32-bit accumulators, which take the place of its output until the last group.
"""

from __future__ import annotations

import numpy as np

from tinysim.deploy.memory.buffers import Buffers, aligned, lifetimes
from tinysim.network.graph import Network
from tinysim.network.kinds import FAMILY

__all__ = ["ACCUMULATOR_BYTES", "channel_buffers", "channel_segments"]

#: a partial sum
ACCUMULATOR_BYTES = 4


def channel_segments(network: Network) -> list[tuple[int, int]]:
    """Pairs (first, last) of dense convolutions with only per-channel operators, each read once, between them."""
    readers: dict[int, list[int]] = {}
    for i, op in enumerate(network.ops):
        for t in op.inputs:
            readers.setdefault(t, []).append(i)
    segments = []
    for first, op in enumerate(network.ops):
        if op.kind != "conv2d":
            continue
        at = first
        while True:
            out = network.ops[at].outputs[0]
            following = readers.get(out, [])
            if len(following) != 1 or out in network.outputs:
                break
            at = following[0]
            if network.ops[at].kind == "conv2d":
                segments.append((first, at))
                break
            if not _per_channel(network, at):
                break
    return segments


def _per_channel(network: Network, i: int) -> bool:
    op = network.ops[i]
    alone = sum(1 for t in op.inputs if t >= 0 and not network.tensors[t].is_constant) == 1
    return alone and (op.kind in {"depthwise_conv2d", "pad"} or FAMILY[op.kind] in {"pool", "elementwise"})


def channel_buffers(network: Network, first: int, last: int, groups: int, *, alignment: int = 16) -> Buffers:
    """Lifetimes with operators first..last in groups of channels.

    Tensors between them hold ceil(C / groups) channels; the input stays until the last group; the output is
    accumulated, 4 bytes per element, from the first group on and then shrinks in place.
    """
    buffers = lifetimes(network, alignment=alignment)
    inner = {t for op in network.ops[first:last] for t in op.outputs}
    read = {t for t in network.ops[first].inputs if t >= 0}
    out = network.ops[last].outputs[0]
    size, since, until = buffers.size.copy(), buffers.first.copy(), buffers.last.copy()
    for row, t in enumerate(buffers.tensor.tolist()):
        if t in inner:
            tensor = network.tensors[t]
            group = -(-tensor.shape[-1] // groups)
            size[row] = aligned(np.array(tensor.n_bytes // tensor.shape[-1] * group), alignment)
            since[row], until[row] = first + 1, last + 1
        elif t in read:
            until[row] = max(until[row], last + 1)
    row = int(np.flatnonzero(buffers.tensor == out)[0])
    since[row] = last + 2
    until[row] = max(until[row], since[row])
    partial = Buffers(size, since, until, buffers.tensor, buffers.name, buffers.root)
    sums = Buffers(
        aligned(np.array([ACCUMULATOR_BYTES * network.tensors[out].elements]), alignment),
        np.array([first + 1]),
        np.array([last + 1]),
        np.array([-1]),
        (f"sums of {buffers.name[row]}",),
        np.array([row - len(buffers)]),
    )
    return partial.extended(sums)
