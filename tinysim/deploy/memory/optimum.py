"""The smallest arena for given lifetimes: heuristics, then branch and bound with a proven bound; CP-SAT as an extra."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinysim.deploy.memory.buffers import Buffers, Ints, live_bytes
from tinysim.deploy.memory.greedy import Rectangle, groups, place, spread
from tinysim.errors import InfeasibleError

__all__ = ["Packing", "cp_sat_plan", "optimum_plan"]


@dataclass(frozen=True, eq=False)
class Packing:
    """Offsets and what is known about their optimum."""

    offset: Ints
    """first byte of each buffer, shape (n,)"""
    head_bytes: int
    bound_bytes: int
    """no plan is smaller: proven"""

    @property
    def proven(self) -> bool:
        """Whether the plan is optimal for certain."""
        return self.head_bytes == self.bound_bytes

    @property
    def gap(self) -> float:
        """Share of the head above the bound."""
        return self.head_bytes / self.bound_bytes - 1.0 if self.bound_bytes else 0.0


def optimum_plan(buffers: Buffers, *, repairs: int = 60, node_limit: int = 20_000) -> Packing:
    """The smallest head for these lifetimes, proven if the search ends within `node_limit` nodes.

    1. Greedy placement in four orders. 2. Up to `repairs` times, the buffers at the top of the arena move forward in
    the order. 3. Branch and bound over placements in the order of offsets on the skyline: any plan, pushed down, is
    such a sequence, so an exhausted search is a proof. Each step of 2 and 3 ends as soon as the liveness bound is met.

    >>> optimum_plan(Buffers.of([64, 128, 64], [0, 1, 2], [1, 2, 3])).head_bytes
    192
    """
    grouped = groups(buffers)
    live = live_bytes(buffers)
    bound = int(live.max(initial=0))
    best = _heuristics(grouped, live.tolist(), bound, repairs)
    if _top(best, grouped) > bound:
        search = _Search(grouped, node_limit)
        found = search.below(_top(best, grouped))
        while found is not None:
            best = found
            found = search.below(_top(best, grouped)) if _top(best, grouped) > bound else None
        if not search.exceeded:
            bound = _top(best, grouped)
    return Packing(spread(buffers, best), _top(best, grouped), bound)


def _top(offsets: list[int], grouped: list[list[Rectangle]]) -> int:
    return max((o + size for o, members in zip(offsets, grouped, strict=True) for size, _, _ in members), default=0)


def _heuristics(grouped: list[list[Rectangle]], live: list[int], bound: int, repairs: int) -> list[int]:
    """Best of the greedy plans; each order is repaired by moving the topmost groups forward."""
    size = [max(s for s, _, _ in members) for members in grouped]
    best: list[int] = []
    best_top = -1
    for order in _orders(grouped, size, live):
        for _ in range(max(1, repairs // _N_ORDERS)):
            offsets = place(order, grouped)
            top = _top(offsets, grouped)
            if best_top < 0 or top < best_top:
                best, best_top = offsets, top
            if best_top == bound:
                return best
            blamed = [i for i in order if offsets[i] + size[i] > bound]
            moved = blamed + [i for i in order if offsets[i] + size[i] <= bound]
            if moved == order:
                break
            order = moved
    return best


_N_ORDERS = 4


def _orders(grouped: list[list[Rectangle]], size: list[int], live: list[int]) -> Iterator[list[int]]:
    """Orders to place groups in: by size, by the crowd around them, by area, by age. The first is often enough."""
    n = range(len(grouped))
    yield sorted(n, key=lambda i: (-size[i], -i))
    crowd = [max(max(live[first : last + 1]) for _, first, last in members) for members in grouped]
    yield sorted(n, key=lambda i: (-crowd[i], -size[i], i))
    area = [sum(s * (last - first + 1) for s, first, last in members) for members in grouped]
    yield sorted(n, key=lambda i: (-area[i], i))
    since = [min(first for _, first, _ in members) for members in grouped]
    yield sorted(n, key=lambda i: (since[i], -size[i]))


class _Search:
    """Depth-first search for a plan below a capacity."""

    def __init__(self, grouped: list[list[Rectangle]], node_limit: int) -> None:
        self.grouped = grouped
        self.nodes = node_limit
        self.steps = 1 + max((last for members in grouped for _, _, last in members), default=0)
        self.load = [0] * self.steps
        for members in grouped:
            for size, first, last in members:
                for t in range(first, last + 1):
                    self.load[t] += size

    @property
    def exceeded(self) -> bool:
        """Whether the node limit ended the search, so that it proves nothing."""
        return self.nodes < 0

    def below(self, capacity: int) -> list[int] | None:
        """Offsets of a plan smaller than `capacity`, or None if there is none (or the nodes ran out)."""
        slack = [capacity - 1 - load for load in self.load]
        if min(slack) < 0:
            return None
        offsets = [-1] * len(self.grouped)
        return offsets if self._descend(offsets, [0] * self.steps, slack, self.load[:], 0) else None

    def _descend(self, offsets: list[int], sky: list[int], slack: list[int], left: list[int], floor: int) -> bool:
        """Place one more group at or above `floor`; `left` are the bytes still to place per step."""
        self.nodes -= 1
        if self.exceeded:
            return False
        choices = []
        for i, members in enumerate(self.grouped):
            if offsets[i] < 0:
                offset = max(max(sky[first : last + 1]) for _, first, last in members)
                choices.append((max(offset, floor), -max(size for size, _, _ in members), i))
        if not choices:
            return True
        choices.sort()
        # whatever lies lowest now has to end below every later start, so the first choices decide
        for offset, _, i in choices:
            placed = self._placed(offset, self.grouped[i], sky, slack, left)
            if placed is not None:
                offsets[i] = offset
                if self._descend(offsets, *placed, offset):
                    return True
                offsets[i] = -1
                if self.exceeded:
                    return False
        return False

    @staticmethod
    def _placed(
        offset: int, members: list[Rectangle], sky: list[int], slack: list[int], left: list[int]
    ) -> tuple[list[int], list[int], list[int]] | None:
        """Skyline, slack and rest after placing, or None if some step cannot hold its rest any more."""
        sky, slack, left = sky[:], slack[:], left[:]
        for size, first, last in members:
            for t in range(first, last + 1):
                slack[t] -= offset - sky[t]
                if slack[t] < 0:
                    return None
                sky[t] = offset + size
                left[t] -= size
        for t, height in enumerate(sky):
            # later groups start at this offset or above: what lies below it is lost
            if height < offset and left[t]:
                slack[t] -= offset - height
                if slack[t] < 0:
                    return None
                sky[t] = offset
        return sky, slack, left


def cp_sat_plan(buffers: Buffers, *, time_limit_s: float = 10.0) -> Packing:
    """The same optimum by OR-Tools CP-SAT (extra `optimum`): one no-overlap-2D constraint over time and address.

    Raises:
        InfeasibleError: no plan found within `time_limit_s`.
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    total = int(buffers.size.sum())
    head = model.new_int_var(0, total, "head")
    offsets = [model.new_int_var(0, total, f"offset {i}") for i in range(len(buffers))]
    times, spaces = [], []
    for i, offset in enumerate(offsets):
        first, last, size = (int(column[i]) for column in (buffers.first, buffers.last, buffers.size))
        times.append(model.new_fixed_size_interval_var(first, last + 1 - first, f"time {i}"))
        spaces.append(model.new_fixed_size_interval_var(offset, size, f"space {i}"))
        model.add(offset + size <= head)
        if buffers.root[i] != i:
            model.add(offset == offsets[int(buffers.root[i])])
    model.add_no_overlap_2d(times, spaces)
    model.add(head >= int(live_bytes(buffers).max(initial=0)))
    model.minimize(head)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = time_limit_s
    solver.parameters.num_workers = 1
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise InfeasibleError(f"CP-SAT found no plan of {len(buffers)} buffers within {time_limit_s} s")
    values = np.array([solver.value(offset) for offset in offsets], dtype=np.int64)
    return Packing(values, int(solver.objective_value), int(np.ceil(solver.best_objective_bound - 1e-6)))
