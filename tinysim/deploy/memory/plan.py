"""`plan_arena`: the memory map of a network under a runtime's policy, as a frozen `ArenaPlan`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tinysim.deploy.memory.buffers import Buffers, Ints, lifetimes, live_bytes, with_scratch
from tinysim.deploy.memory.greedy import tflm_greedy
from tinysim.deploy.memory.scratch import scratch_bytes
from tinysim.deploy.memory.tail import tflm_tail
from tinysim.errors import SpecError, nearest
from tinysim.network.graph import Network

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PLANNERS", "ArenaPlan", "MemoryPolicy", "plan_arena"]

#: name -> offsets [B] of buffers
PLANNERS: dict[str, Callable[[Buffers], Ints]] = {"tflm-greedy": tflm_greedy}


@dataclass(frozen=True, slots=True)
class MemoryPolicy:
    """How a runtime lays out activations; the default is TFLM with CMSIS-NN on a Cortex-M4."""

    planner: str = "tflm-greedy"
    """a key of `PLANNERS`"""
    kernels: str = "cmsis-nn"
    """kernel library, whose scratch memory is planned too: "cmsis-nn", "tflm-reference" or "none\""""
    core: str = "cortex-m4"
    alignment: int = 16
    """bytes to which sizes are rounded up"""
    in_place: frozenset[str] = field(default_factory=frozenset)
    """operator families whose output may take its dying input's memory: "view\""""
    persistent: str = "tflm"
    """"tflm": interpreter structures share the arena; "none": compiled code, nothing persists but variables"""
    ptr_bytes: int = 4


@dataclass(frozen=True, eq=False)
class ArenaPlan:
    """Where every buffer lies and what it sums to."""

    policy: MemoryPolicy
    buffers: Buffers
    offset: Ints
    """first byte of each buffer, shape (n,)"""
    tail_bytes: int
    """persistent part"""

    @cached_property
    def head_bytes(self) -> int:
        """Bytes of the planned part: the highest end of a buffer."""
        return int((self.offset + self.buffers.size).max()) if len(self.buffers) else 0

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
        """No plan of these buffers has a smaller head: the largest live set."""
        return int(self.live_bytes.max(initial=0))

    @property
    def gap(self) -> float:
        """Share of the head above the lower bound, 0 for a plan proven optimal by it."""
        return self.head_bytes / self.lower_bound_bytes - 1.0 if self.lower_bound_bytes else 0.0

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
    """Plan the arena of a network.

    Raises:
        SpecError: the policy names an unknown planner, kernel library or persistent part.
    """
    policy = policy or MemoryPolicy()
    if policy.planner not in PLANNERS:
        raise SpecError(f"memory planner {policy.planner!r} is unknown; {nearest(policy.planner, PLANNERS)}")
    buffers = planned_buffers(network, policy)
    offset = PLANNERS[policy.planner](buffers)
    return ArenaPlan(policy, buffers, offset, _persistent(network, policy, buffers))


def planned_buffers(network: Network, policy: MemoryPolicy) -> Buffers:
    """Tensors and kernel scratch memory that the policy's planner places."""
    buffers = lifetimes(network, alignment=policy.alignment, alias_views="view" in policy.in_place)
    scratch = scratch_bytes(network.table(), kernels=policy.kernels, core=policy.core)
    names = [op.name or f"operator {i} ({op.kind})" for i, op in enumerate(network.ops)]
    return with_scratch(buffers, scratch, names, alignment=policy.alignment)


def _persistent(network: Network, policy: MemoryPolicy, buffers: Buffers) -> int:
    if policy.persistent == "tflm":
        n_scratch = int((buffers.tensor < 0).sum())
        return tflm_tail(network, policy.kernels, ptr_bytes=policy.ptr_bytes, core=policy.core, n_scratch=n_scratch)
    if policy.persistent == "none":
        return sum(t.n_bytes for t in network.tensors if t.is_variable)
    raise SpecError(f"persistent part {policy.persistent!r} is unknown; accepted: none, tflm")
