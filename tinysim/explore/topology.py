"""`Topology`: what networks share that differ in sizes only: lifetimes, code, most of the arena's tail."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinysim.deploy.deployment import Deployment
from tinysim.deploy.memory import MemoryPolicy, tflm_tail
from tinysim.deploy.policy import arena_policy
from tinysim.network.table import Ints

__all__ = ["Topology"]

#: runtimes whose linked code depends on sizes, see `deploy.flash.linked_code_bytes`
_CODE_BY_CHANNELS = ("x-cube-ai", "st-edge-ai")


@dataclass(frozen=True, eq=False)
class Topology:
    """A chain with second operands, on a target."""

    example: Deployment
    """one network of this topology, placed"""
    prepared_bytes: int
    """see `RowCosts.prepared_bytes`: of that network"""
    flash_bytes: int
    """see `RowCosts.flash_bytes`: of that network"""
    first: Ints
    """first step of the network input and of each row's output, shape (n_rows + 1,)"""
    last: Ints
    policy: MemoryPolicy
    _tails: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, example: Deployment, skip: Ints, *, prepared_bytes: int, flash_bytes: int) -> Topology:
        """The topology of a placed chain; skip: rows back to each second operand, 0 for none."""
        steps = np.arange(1, len(skip) + 1)
        first = np.append(0, steps)
        last = np.append(steps, len(skip))
        wide = np.flatnonzero(skip)
        np.maximum.at(last, wide + 1 - skip[wide], wide + 1)
        return cls(example, prepared_bytes, flash_bytes, first, last, arena_policy(example.target))

    @property
    def is_columnar(self) -> bool:
        """Whether columns say all: one core, TFLM's planner without shared buffers, code that sizes don't change."""
        p, runtime = self.policy, self.example.target.runtime
        plain = p.planner == "tflm-greedy" and not p.in_place and p.persistent in {"tflm", "none"}
        return plain and self.example.offload is None and not runtime.name.startswith(_CODE_BY_CHANNELS)

    def tail_bytes(self, n_scratch: Ints, prepared_bytes: Ints) -> Ints:
        """Persistent part of the arena [B] of networks with these scratch buffers and prepared arrays, shape (n,).

        The arrays lie between parts that don't depend on sizes, all aligned alike, so the tail of one network shifts.
        """
        if self.policy.persistent == "none":
            return np.zeros(len(n_scratch), dtype=np.int64)
        counts = np.bincount(n_scratch)
        tails = np.array([self._tail(n) if present else 0 for n, present in enumerate(counts.tolist())])
        return np.asarray(tails[n_scratch] + prepared_bytes - self.prepared_bytes)

    def _tail(self, n_scratch: int) -> int:
        if n_scratch not in self._tails:
            p, network = self.policy, self.example.network
            self._tails[n_scratch] = tflm_tail(
                network, p.kernels, ptr_bytes=p.ptr_bytes, core=p.core, n_scratch=n_scratch
            )
        return self._tails[n_scratch]
