"""Fast memory that a compiled network takes: feature maps alive at each operator, and the weight buffers beside them.

Source: Vela 5.2, `scheduler.cpp` (live ranges by schedule step) and `tensor_allocator`; the bound that the compiler's
allocator reaches on every network tried is the largest sum of what lives at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tinysim.cost.accelerator.ethos.estimate import VelaEstimate, live_tensor_bytes, staging_bytes
from tinysim.cost.accelerator.ethos.ops import ELEMENTWISE, round_up

__all__ = ["live_bytes", "sram_used_bytes"]

Array = npt.NDArray[Any]


def live_bytes(result: VelaEstimate, reads: Sequence[Sequence[int]], *, layers: int, spilled: bool) -> Array:
    """Feature maps alive while each operator of the NPU runs [byte].

    A tensor lives from the pass that makes it to the last one that reads it; tensors between chained operators are
    never stored; an element-wise result is written over an input that ends there. reads: per layer, the layers whose
    output it reads, -1 for the network's input. spilled: whether the network's own input and output lie elsewhere.
    """
    ops = result.ops
    into, out = live_tensor_bytes(ops)
    steps = range(layers)
    last = np.searchsorted(ops.layer, np.arange(layers), side="right") - 1
    first = np.minimum(np.searchsorted(ops.layer, np.arange(layers)), last)
    joined = ops.chained[first]
    step = np.cumsum(~joined) - 1
    size = {-1: 0 if spilled else into[first[0]]} | {i: out[last[i]] for i in steps}
    size |= {i - 1: 0 for i in steps if joined[i]} | ({layers - 1: 0} if spilled else {})
    made = {-1: 0} | {i: step[i] for i in steps}
    until = {t: max([step[i] for i in steps if t in reads[i]], default=made[t]) for t in size}
    alive = np.array([sum(size[t] for t in size if made[t] <= s <= until[t]) for s in range(step[-1] + 1)])[step]
    element = ops.unit[last] == ELEMENTWISE
    for i in np.flatnonzero(element & ~joined & (np.arange(layers) < layers - 1)).tolist():
        alive[i] -= max([min(size[t], size[i]) for t in reads[i] if t in size and until[t] == step[i]], default=0)
    return np.asarray(alive[ops.layer])


def sram_used_bytes(result: VelaEstimate, reads: Sequence[Sequence[int]], *, layers: int, spilled: bool) -> int:
    """Fast memory that the network takes [byte]: the largest of feature maps, weight buffers and temporaries.

    Errors: equal to the compiler on most networks; a few hundred bytes of feature maps leave the choice of weight
    buffers to details that are not modelled (see tests).
    """
    if not layers:
        return 0
    alive = live_bytes(result, reads, layers=layers, spilled=spilled)
    return int(np.max(staging_bytes(alive, result.buffering) + _temporaries(result)))


def _temporaries(result: VelaEstimate) -> Array:
    """Values of 32 bit between the operators that one layer became (softmax): the two largest live at once [byte]."""
    ops = result.ops
    size = np.where(ops.ofm_bits == 32, round_up(ops.ofm_h * ops.ofm_w * ops.ofm_c * 4, 16), 0)
    size = np.where(np.append(ops.layer[1:] == ops.layer[:-1], False), size, 0)
    total = np.zeros(int(ops.layer.max()) + 1)
    for layer in np.unique(ops.layer[size > 0]):
        total[layer] = np.sort(size[ops.layer == layer])[-2:].sum()
    return total[ops.layer]
