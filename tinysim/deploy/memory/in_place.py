"""In-place operators: outputs that take the memory of an input instead of their own.

The output's buffer is tied to the input's: it starts at the same address, and in the step of the operator only the
input's bytes count. A depthwise convolution needs a copy of one channel besides (kernel scratch of the runtime), pools
and element-wise operators write behind what they read.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinysim.deploy.memory.buffers import Buffers
from tinysim.deploy.memory.by_rows import overwrites_by_rows, row_extent_bytes
from tinysim.deploy.memory.conv_pool import fuse_conv_pool
from tinysim.errors import SpecError, nearest
from tinysim.network.graph import Network, Op
from tinysim.network.kinds import FAMILY

__all__ = ["IN_PLACE_RULES", "tie_in_place"]

#: rule -> what it lets share memory
IN_PLACE_RULES = {
    "view": "reshape, squeeze, expand_dims: the same bytes, also while others read the input",
    "elementwise": "element-wise operators and softmax over a dying input of the output's size",
    "depthwise": "depthwise convolutions over their dying input, if the output is no larger",
    "pool": "pools and global means over their dying input",
    "pad": "pads over their dying input",
    "rows": "convolutions over their dying input, row by row, those of k x k only with a stride",
    "rows-stride-1": "k x k convolutions without a stride, row by row, too",
    "conv-pool": "integer convolutions run with the strided pool behind them, window by window",
    "conv-pool-float": "float convolutions too",
}
#: rules under which the output may be larger than its input. It begins before it, so that it is not tied to its
#: address: in the step only what it needs beyond the input counts
_GROWING = frozenset({"pad", "rows"})
_RULE_OF_FAMILY = {"view": "view", "elementwise": "elementwise", "softmax": "elementwise", "pool": "pool"}


def _rule(op: Op) -> str | None:
    if op.kind == "depthwise_conv2d":
        return "depthwise"
    if op.kind in {"mean", "pad"}:
        return "pool" if op.kind == "mean" else "pad"
    return _RULE_OF_FAMILY.get(FAMILY[op.kind])


def tie_in_place(network: Network, buffers: Buffers, rules: frozenset[str]) -> Buffers:
    """The buffers of `lifetimes(network)` with in-place outputs tied to their inputs.

    An input can be overwritten if nothing reads it later and it is no output of the network. An output that needs no
    time of its own (the last step's) vanishes into its input.

    Raises:
        SpecError: an unknown rule.
    """
    for unknown in rules - IN_PLACE_RULES.keys():
        raise SpecError(f"in-place rule {unknown!r} is unknown; {nearest(unknown, IN_PLACE_RULES)}")
    fused: frozenset[int] = frozenset()
    if "conv-pool" in rules:
        buffers, fused = fuse_conv_pool(network, buffers, floats="conv-pool-float" in rules)
    holder = {t: row for row, t in enumerate(buffers.tensor.tolist())}
    size, first, last, root = (c.tolist() for c in (buffers.size, buffers.first, buffers.last, buffers.root))
    extents = _row_extents(network, rules)
    gone: set[int] = set()
    ahead: dict[int, int] = {}
    for step, op in enumerate(network.ops, start=1):
        rule = "rows" if extents[step - 1] else _rule(op)
        if rule not in rules or len(op.outputs) != 1 or step - 1 in fused:
            continue
        out = holder[op.outputs[0]]
        for t in op.inputs:
            row = holder.get(t, -1)
            dies = row >= 0 and last[row] == step and t not in network.outputs
            span = extents[step - 1] or size[out]
            if row < 0 or not (dies or rule == "view"):
                continue
            if size[row] >= span:
                root[out], first[out] = root[row], max(first[out], last[row] + 1)
                if first[out] > last[out]:
                    gone.add(out)
                    holder[op.outputs[0]] = row
                break
            if rule in _GROWING and span < size[row] + size[out] and last[out] > step:
                first[out], ahead[step] = step + 1, span - size[row]
                break
    tied = replace(buffers, first=np.array(first), last=np.maximum(last, first), root=np.array(root))
    kept = tied
    if gone:
        kept = tied.rows(np.array([row for row in range(len(buffers)) if row not in gone], dtype=np.int64))
    return kept.extended(_rows_ahead(network, ahead)) if ahead else kept


def _row_extents(network: Network, rules: frozenset[str]) -> list[int]:
    """Bytes that input and output of each operator span if it overwrites by rows; 0 if it does not."""
    if "rows" not in rules:
        return [0] * len(network.ops)
    table = network.table()
    by_rows = overwrites_by_rows(table, stride_1="rows-stride-1" in rules)
    extents: list[int] = np.where(by_rows, row_extent_bytes(table), 0).tolist()
    return extents


def _rows_ahead(network: Network, ahead: dict[int, int]) -> Buffers:
    """What an output needs beyond its input while it overwrites it, as buffers of one step."""
    step = np.array(list(ahead), dtype=np.int64)
    none = np.full(len(step), -1)
    names = tuple(f"rows ahead of {network.tensors[network.ops[s - 1].outputs[0]].name or s - 1}" for s in ahead)
    return Buffers(np.array(list(ahead.values()), dtype=np.int64), step, step, none, names, np.arange(len(step)))
