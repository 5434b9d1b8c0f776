"""`plan_arena`: the memory map of a network under a runtime's policy, as a frozen `ArenaPlan`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from tinysim.deploy.memory.buffers import Buffers, Ints, lifetimes, live_bytes, with_scratch
from tinysim.deploy.memory.greedy import best_fit, greedy_by_size, tflm_greedy
from tinysim.deploy.memory.in_place import tie_in_place
from tinysim.deploy.memory.optimum import Packing, optimum_plan
from tinysim.deploy.memory.scratch import scratch_bytes, x_cube_ai_scratch_bytes
from tinysim.deploy.memory.tail import tflm_tail
from tinysim.deploy.memory.tinyengine import tinyengine_static_bytes
from tinysim.errors import SpecError, nearest
from tinysim.network.graph import Network

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PLANNERS", "ArenaPlan", "MemoryPolicy", "plan_arena", "plan_buffers"]


def _with_liveness_bound(planner: Callable[[Buffers], Ints]) -> Callable[[Buffers], Packing]:
    def plan(buffers: Buffers) -> Packing:
        offset = planner(buffers)
        head = int((offset + buffers.size).max(initial=0))
        return Packing(offset, head, int(live_bytes(buffers).max(initial=0)))

    return plan


#: name -> planner: buffers to offsets and a proven bound
PLANNERS: dict[str, Callable[[Buffers], Packing]] = {
    "tflm-greedy": _with_liveness_bound(tflm_greedy),
    "greedy-by-size": _with_liveness_bound(greedy_by_size),
    "best-fit": _with_liveness_bound(best_fit),
    "optimum": optimum_plan,
    "near-optimum": partial(optimum_plan, repairs=24, node_limit=300),
}


@dataclass(frozen=True, slots=True)
class MemoryPolicy:
    """How a runtime lays out activations; the default is TFLM with CMSIS-NN on a Cortex-M4."""

    planner: str = "tflm-greedy"
    """a key of `PLANNERS`"""
    kernels: str = "cmsis-nn"
    """kernel library, whose scratch memory is planned too: a key of `tinysim.deploy.memory.scratch.SCRATCH`"""
    core: str = "cortex-m4"
    alignment: int = 16
    """bytes to which sizes are rounded up"""
    in_place: frozenset[str] = field(default_factory=frozenset)
    """keys of `IN_PLACE_RULES`: operators whose output may take its input's memory"""
    persistent: str = "tflm"
    """"tflm": interpreter structures share the arena; "tinyengine": static im2col buffers beside it; "none": compiled
    code, nothing persists but variables; "x-cube-ai": the largest scratch of a pointwise convolution has a place of
    its own"""
    ptr_bytes: int = 4


@dataclass(frozen=True, eq=False)
class ArenaPlan:
    """Where every buffer lies and what it sums to."""

    policy: MemoryPolicy
    buffers: Buffers
    packing: Packing
    tail_bytes: int
    """persistent part"""

    @property
    def offset(self) -> Ints:
        """First byte of each buffer, shape (n,)."""
        return self.packing.offset

    @property
    def head_bytes(self) -> int:
        """Bytes of the planned part: the highest end of a buffer."""
        return self.packing.head_bytes

    @property
    def peak_bytes(self) -> int:
        """Arena that must be provided: planned and persistent part."""
        return self.head_bytes + self.tail_bytes

    @cached_property
    def live_bytes(self) -> Ints:
        """Bytes alive in each step, shape (n_ops + 1,)."""
        return live_bytes(self.buffers)

    @property
    def lower_bound_bytes(self) -> int:
        """No plan of these buffers has a smaller head: the largest live set, or what an exhausted search proved."""
        return self.packing.bound_bytes

    @property
    def peak_op(self) -> int:
        """Index of the operator that the topmost buffer meets the most live bytes in: the one that makes the peak."""
        top = int(np.argmax(self.offset + self.buffers.size))
        first, last = int(self.buffers.first[top]), int(self.buffers.last[top])
        return max(0, first + int(np.argmax(self.live_bytes[first : last + 1])) - 1)

    def __repr__(self) -> str:
        return (
            f"ArenaPlan({self.peak_bytes:,} B = {self.head_bytes:,} planned + {self.tail_bytes:,} persistent, "
            f"{len(self.buffers)} buffers, peak at operator {self.peak_op}, bound {self.lower_bound_bytes:,} B)"
        )

    def to_dict(self) -> dict[str, int | float]:
        """Totals for JSON."""
        return {
            "head_bytes": self.head_bytes,
            "tail_bytes": self.tail_bytes,
            "peak_bytes": self.peak_bytes,
            "lower_bound_bytes": self.lower_bound_bytes,
            "gap": self.packing.gap,
            "peak_op": self.peak_op,
        }

    def to_frame(self) -> pd.DataFrame:
        """A row per buffer: name, tensor, size and offset, first and last step (operator i runs in step i + 1)."""
        import pandas as pd

        return pd.DataFrame(
            {
                "name": self.buffers.name,
                "tensor": self.buffers.tensor,
                "size_bytes": self.buffers.size,
                "offset_bytes": self.offset,
                "first_step": self.buffers.first,
                "last_step": self.buffers.last,
            }
        )


def plan_arena(network: Network, policy: MemoryPolicy | None = None) -> ArenaPlan:
    """Plan the arena of a network run layer by layer.

    Raises:
        SpecError: the policy names an unknown planner, kernel library, in-place rule or persistent part.
    """
    policy = policy or MemoryPolicy()
    return plan_buffers(network, lifetimes(network, alignment=policy.alignment), policy)


def plan_buffers(network: Network, buffers: Buffers, policy: MemoryPolicy) -> ArenaPlan:
    """Plan given lifetimes of a network's tensors: in-place ties and kernel scratch are added as the policy says.

    Raises:
        SpecError: see `plan_arena`.
    """
    if policy.planner not in PLANNERS:
        raise SpecError(f"memory planner {policy.planner!r} is unknown; {nearest(policy.planner, PLANNERS)}")
    if policy.in_place:
        buffers = tie_in_place(network, buffers, policy.in_place)
    scratch = scratch_bytes(network.table(), kernels=policy.kernels, core=policy.core)
    names = [op.name or f"operator {i} ({op.kind})" for i, op in enumerate(network.ops)]
    buffers = with_scratch(buffers, scratch, names, alignment=policy.alignment)
    n_scratch = int(np.count_nonzero(scratch))
    return ArenaPlan(policy, buffers, PLANNERS[policy.planner](buffers), _persistent(network, policy, n_scratch))


def _persistent(network: Network, policy: MemoryPolicy, n_scratch: int) -> int:
    if policy.persistent == "tflm":
        return tflm_tail(network, policy.kernels, ptr_bytes=policy.ptr_bytes, core=policy.core, n_scratch=n_scratch)
    variables = sum(t.n_bytes for t in network.tensors if t.is_variable)
    if policy.persistent == "tinyengine":
        return variables + tinyengine_static_bytes(network.table())
    if policy.persistent == "x-cube-ai":
        table = network.table()
        pointwise = table.kernel_h * table.kernel_w == 1
        return variables + int(x_cube_ai_scratch_bytes(table)[pointwise].max(initial=0))
    if policy.persistent == "none":
        return variables
    raise SpecError(f"persistent part {policy.persistent!r} is unknown; accepted: none, tflm, tinyengine, x-cube-ai")
