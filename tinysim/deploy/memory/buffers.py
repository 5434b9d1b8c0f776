"""`Buffers`: what a planner places: sizes and lifetimes as columns, and how a network gives them.

Time is counted in *steps*: step 0 is before the first operator, operator i runs in step i + 1, so that a network input
lives from step 0 and a network output until step `n_ops`. This is the numbering of TFLM's allocator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysim.errors import InputError
from tinysim.network.graph import Network

__all__ = ["Buffers", "Ints", "aligned", "lifetime_steps", "lifetimes", "live_bytes", "with_scratch"]

Ints = NDArray[np.int64]


def aligned(n_bytes: Ints, alignment: int) -> Ints:
    """Bytes rounded up to a multiple of `alignment`.

    >>> aligned(np.array([1, 16, 17]), 16).tolist()
    [16, 16, 32]
    """
    return -(-n_bytes // alignment) * alignment


@dataclass(frozen=True, eq=False)
class Buffers:
    """Buffers to place, as arrays of shape (n,)."""

    size: Ints
    """bytes, already rounded up to the alignment"""
    first: Ints
    """first step in which the bytes must hold"""
    last: Ints
    """last step in which the bytes must hold"""
    tensor: Ints
    """index of the tensor held, -1 for scratch memory"""
    name: tuple[str, ...]
    root: Ints
    """buffers of one root share their first address: the root is the index of the first of them (itself if alone)"""

    def __post_init__(self) -> None:
        n = len(self.name)
        if any(a.shape != (n,) for a in (self.size, self.first, self.last, self.tensor, self.root)):
            raise InputError(f"buffers: columns of unequal length; expected {n} values each")
        if n and ((self.size < 0).any() or (self.first > self.last).any() or (self.first < 0).any()):
            bad = int(np.flatnonzero((self.size < 0) | (self.first > self.last) | (self.first < 0))[0])
            raise InputError(
                f"buffer {bad} ({self.name[bad]}): size {self.size[bad]}, steps {self.first[bad]}..{self.last[bad]}; "
                "sizes are >= 0 and steps rise from 0"
            )

    @classmethod
    def of(cls, size: ArrayLike, first: ArrayLike, last: ArrayLike) -> Buffers:
        """Buffers from columns alone.

        >>> Buffers.of([64, 32], [0, 1], [1, 2]).n_steps
        3
        """
        sizes, since, until = (np.asarray(column, dtype=np.int64) for column in (size, first, last))
        names = tuple(f"buffer {i}" for i in range(len(sizes)))
        return cls(sizes, since, until, np.full(len(sizes), -1), names, np.arange(len(sizes)))

    def __len__(self) -> int:
        return len(self.name)

    @property
    def n_steps(self) -> int:
        """Steps of the schedule, the one before the first operator included."""
        return int(self.last.max()) + 1 if len(self) else 1

    def rows(self, keep: Ints) -> Buffers:
        """The buffers at the given positions; their roots must be among them."""
        position = np.full(len(self), -1)
        position[keep] = np.arange(len(keep))
        names = tuple(self.name[i] for i in keep)
        root = position[self.root[keep]]
        return Buffers(self.size[keep], self.first[keep], self.last[keep], self.tensor[keep], names, root)

    def extended(self, other: Buffers) -> Buffers:
        """These buffers and then the others."""
        return Buffers(
            np.concatenate([self.size, other.size]),
            np.concatenate([self.first, other.first]),
            np.concatenate([self.last, other.last]),
            np.concatenate([self.tensor, other.tensor]),
            self.name + other.name,
            np.concatenate([self.root, other.root + len(self)]),
        )


def lifetimes(network: Network, *, alignment: int = 16) -> Buffers:
    """One buffer per activation tensor, in the order of the tensors.

    A tensor lives from the operator that writes it (network inputs: step 0) to the last one that reads it (network
    outputs: the last step); a tensor nobody reads lives in the step that writes it. Variables are not here: they
    persist.

    alignment [B]: sizes are rounded up to it.
    """
    first, last = lifetime_steps(network)
    tensors = [network.tensors[t] for t in first]
    return Buffers(
        aligned(np.array([t.n_bytes for t in tensors], dtype=np.int64), alignment),
        np.array(list(first.values()), dtype=np.int64),
        np.array([last[t] for t in first], dtype=np.int64),
        np.array(list(first), dtype=np.int64),
        tuple(t.name or f"tensor {i}" for t, i in zip(tensors, first, strict=True)),
        np.arange(len(first)),
    )


def lifetime_steps(network: Network) -> tuple[dict[int, int], dict[int, int]]:
    """First and last step of every activation tensor, in the order of the tensors; see `lifetimes`."""
    tensors, steps = network.tensors, len(network.ops)
    first = dict.fromkeys(network.inputs, 0)
    last = dict(first)
    for step, op in enumerate(network.ops, start=1):
        for t in op.inputs:
            last[t] = step
        for t in op.outputs:
            last[t] = step
            first.setdefault(t, step)
    last.update(dict.fromkeys(network.outputs, steps))
    kept = sorted(t for t in first if t >= 0 and not (tensors[t].is_constant or tensors[t].is_variable))
    return {t: first[t] for t in kept}, last


def live_bytes(buffers: Buffers) -> Ints:
    """Bytes alive in each step, shape (n_steps,): their maximum bounds every plan from below.

    L_t = sum of size_i over first_i <= t <= last_i

    >>> live_bytes(Buffers.of([64, 32], [0, 1], [1, 2])).tolist()
    [64, 96, 32]
    """
    change = np.zeros(buffers.n_steps + 1, dtype=np.int64)
    np.add.at(change, buffers.first, buffers.size)
    np.add.at(change, buffers.last + 1, -buffers.size)
    return np.cumsum(change)[:-1]


def with_scratch(buffers: Buffers, scratch: Ints, names: list[str], *, alignment: int) -> Buffers:
    """Add kernel scratch memory, which lives for the step of its operator; zeros are no buffers.

    scratch [B]: shape (n_ops, k), in the order in which the kernel asks; names: one per operator.
    """
    op, _ = np.nonzero(scratch)
    size = aligned(scratch[scratch > 0].astype(np.int64), alignment)
    labels = tuple(f"scratch of {names[i]}" for i in op)
    return buffers.extended(Buffers(size, op + 1, op + 1, np.full(len(op), -1), labels, np.arange(len(op))))
