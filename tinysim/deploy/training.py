"""What a training step touches: trained parameters, the reach of gradients, and how long every tensor must live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysim.network.graph import Network, Op
from tinysim.network.kinds import FAMILY

__all__ = ["Reach", "reach_of", "training_peak_bytes"]

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: Operators whose gradient needs a bit per output (which elements passed) ...
_MASKED = frozenset({"relu", "relu6", "relu_n1_to_1", "leaky_relu", "prelu", "max_pool2d", "maximum", "minimum", "abs"})
#: ... none of their tensors ...
_LINEAR = frozenset({"add", "sub", "mean", "sum", "avg_pool2d", "quantize", "dequantize", "cast", "neg"})
#: ... or their inputs; all others need their output.
_OF_INPUTS = frozenset({"mul", "div", "batch_matmul", "batch_norm", "layer_norm", "square", "pow"})


@dataclass(frozen=True, eq=False)
class Reach:
    """Per operator, shape (n,)."""

    weights: Mask
    """its weights are trained"""
    biases: Mask
    """its biases are trained"""
    inputs: Mask
    """the gradient of its inputs is needed, for something before it is trained"""

    @property
    def outputs(self) -> Mask:
        """Whether the gradient of its output is needed."""
        return self.weights | self.biases | self.inputs


def reach_of(network: Network, weights: Mask, biases: Mask) -> Reach:
    """How far back gradients must flow to what is trained."""
    maker = {t: i for i, op in enumerate(network.ops) for t in op.outputs}
    upstream = np.zeros(len(network.ops), dtype=bool)
    for i, op in enumerate(network.ops):
        sources = [maker[t] for t in op.inputs if t in maker]
        upstream[i] = any(weights[s] or biases[s] or upstream[s] for s in sources)
    return Reach(weights, biases, upstream)


def _kept(network: Network, op: Op, reach: Reach, position: int) -> tuple[tuple[int, ...], bool]:
    """Tensors that an operator's gradient needs whole, and whether it needs a bit per output element."""
    inputs = tuple(t for t in op.inputs if t >= 0 and not network.tensors[t].is_constant)
    whole = inputs if reach.weights[position] else ()
    if not reach.outputs[position]:
        return whole, False
    masked = op.attrs.get("activation", "none") not in ("none", None)
    if FAMILY[op.kind] in ("conv", "matmul", "move", "view") and op.kind != "batch_matmul":
        return whole, masked
    if op.kind in _MASKED or op.kind in _LINEAR:
        return whole, masked or op.kind in _MASKED
    return whole + (inputs if op.kind in _OF_INPUTS or FAMILY[op.kind] == "recurrent" else op.outputs), masked


def training_peak_bytes(network: Network, reach: Reach, *, bits: int) -> int:
    """Most bytes of activations and gradients alive at once.

    Operator i runs in step i forward and in step 2 n - 1 - i backward. An activation lives until its last reader, or
    until the backward step that needs it; a gradient from the backward step of the last reader of its tensor to that
    of its maker. bits: width of activations and gradients [bit].
    Source: Y. Lin et al., "On-device training under 256KB memory", NeurIPS 2022, sec. 3, without their reordering.
    """
    n = len(network.ops)
    change = np.zeros(2 * n + 1)

    def alive(first: int, last: int, size_bits: float) -> None:
        change[first] += np.ceil(size_bits / 8)
        change[last + 1] -= np.ceil(size_bits / 8)

    activations = set(network.activations())
    made = dict.fromkeys(network.inputs, 0)
    until: dict[int, int] = {}
    readers: dict[int, int] = {}
    for i, op in enumerate(network.ops):
        back = 2 * n - 1 - i
        whole, masked = _kept(network, op, reach, i)
        made |= dict.fromkeys(op.outputs, i)
        for t in op.inputs:
            until[t] = max(until.get(t, 0), i)
            readers[t] = i
        for t in whole:
            until[t] = max(until.get(t, 0), back)
        if masked:
            alive(i, back, sum(network.tensors[t].elements for t in op.outputs))
    for t in activations:
        start = made[t]
        end = n - 1 if t in network.outputs else start
        alive(start, max(until.get(t, start), end), network.tensors[t].elements * bits)
    for i, op in enumerate(network.ops):
        if reach.outputs[i]:
            for t in op.outputs:
                last_reader = readers.get(t)
                first = n if last_reader is None or t in network.outputs else 2 * n - 1 - last_reader
                alive(first, 2 * n - 1 - i, network.tensors[t].elements * bits)
    return int(np.cumsum(change).max(initial=0))
