"""In-place operators: outputs that take the memory of an input instead of their own.

The output's buffer is tied to the input's: it starts at the same address, and in the step of the operator only the
input's bytes count. A depthwise convolution needs a copy of one channel besides (kernel scratch of the runtime), pools
and element-wise operators write behind what they read.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinysim.deploy.memory.buffers import Buffers
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
}
_RULE_OF_FAMILY = {"view": "view", "elementwise": "elementwise", "softmax": "elementwise", "pool": "pool"}


def _rule(op: Op) -> str | None:
    if op.kind == "depthwise_conv2d":
        return "depthwise"
    if op.kind == "mean":
        return "pool"
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
    holder = {t: row for row, t in enumerate(buffers.tensor.tolist())}
    size, first, last, root = (c.tolist() for c in (buffers.size, buffers.first, buffers.last, buffers.root))
    gone: set[int] = set()
    for step, op in enumerate(network.ops, start=1):
        rule = _rule(op)
        if rule not in rules or len(op.outputs) != 1:
            continue
        out = holder[op.outputs[0]]
        for t in op.inputs:
            row = holder.get(t, -1)
            dies = row >= 0 and last[row] == step and t not in network.outputs
            if row >= 0 and size[row] >= size[out] and (dies or rule == "view"):
                root[out], first[out] = root[row], max(first[out], last[row] + 1)
                if first[out] > last[out]:
                    gone.add(out)
                    holder[op.outputs[0]] = row
                break
    tied = replace(buffers, first=np.array(first), last=np.maximum(last, first), root=np.array(root))
    return tied.rows(np.array([row for row in range(len(buffers)) if row not in gone], dtype=np.int64))
