"""The cheapest assignment of operators to engines: dynamic programming over the operators in execution order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysim.errors import UnsupportedOperator

__all__ = ["Flow", "Overlap", "best_partition", "crossings", "overlap", "partition_cycles"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Flow:
    """How activations flow between n operators, and what it costs that they change the engine."""

    reads: tuple[tuple[int, ...], ...]
    """per operator: the operators whose output it reads"""
    border_cycles: tuple[float, ...]
    """per operator: cycles of handing its output from one engine to another, once per engine"""


class _State(NamedTuple):
    engine: int
    """of the operator before"""
    used: int
    """bit mask of the engines used so far"""
    where: tuple[int, ...]
    """per live tensor: bit mask of the engines that have it"""


def best_partition(cycles: Floats, flow: Flow, *, start_cycles: Sequence[float], once_cycles: Sequence[float]) -> Ints:
    """Engine of each operator such that the total of `partition_cycles` is smallest.

    cycles: [engine, operator] cycles of each operator, infinite where the engine cannot run it. start_cycles: per
    engine, of each run of operators on it. once_cycles: per engine, of its first use (may be negative).

    The state after an operator is its engine, the engines used, and which engines have each tensor that is still
    needed. States that cost more than the cheapest one by all that it could have to catch up on are dropped: that loses
    no optimum. Ties go to the lower engine number at the last operator.

    Raises:
        UnsupportedOperator: no engine runs some operator.

    >>> flow = Flow(reads=((), (0,), (1,)), border_cycles=(10.0, 10.0, 0.0))
    >>> costs = np.array([[50.0, 5.0, 50.0], [1.0, 9.0, 1.0]])
    >>> best_partition(costs, flow, start_cycles=(0, 3), once_cycles=(0, 0)).tolist()
    [1, 1, 1]
    """
    engines, n = cycles.shape
    nowhere = np.flatnonzero(~np.isfinite(cycles).any(axis=0))
    if len(nowhere):
        raise UnsupportedOperator(f"no engine runs operator {nowhere[0]}")
    last_use = list(range(n))
    for op, sources in enumerate(flow.reads):
        for source in sources:
            last_use[source] = op
    table, opening = cycles.tolist(), max(start_cycles) + sum(abs(x) for x in once_cycles)
    live: list[int] = []
    states: dict[_State, float] = {_State(0, 1, ()): 0.0}
    history: list[dict[_State, tuple[_State, int]]] = []
    for op in range(n):
        places = {source: live.index(source) for source in set(flow.reads[op])}
        kept = [i for i, source in enumerate(live) if last_use[source] > op]
        remembered = last_use[op] > op
        following: dict[_State, float] = {}
        parents: dict[_State, tuple[_State, int]] = {}
        for state, cost in states.items():
            for engine in range(engines):
                total = cost + table[engine][op]
                if total == float("inf"):
                    continue
                bit = 1 << engine
                total += start_cycles[engine] if state.engine != engine else 0.0
                total += once_cycles[engine] if not state.used & bit else 0.0
                where = list(state.where)
                for source, place in places.items():
                    if not where[place] & bit:
                        total += flow.border_cycles[source]
                        where[place] |= bit
                after = _State(engine, state.used | bit, (*(where[i] for i in kept), *((bit,) if remembered else ())))
                if total < following.get(after, float("inf")):
                    following[after] = total
                    parents[after] = (state, engine)
        live = [live[i] for i in kept] + ([op] if remembered else [])
        bound = min(following.values()) + opening + engines * sum(flow.border_cycles[source] for source in live)
        states = {state: cost for state, cost in following.items() if cost <= bound}
        history.append(parents)
    chosen = np.zeros(n, dtype=np.int64)
    state = min(states, key=lambda s: (states[s], s.engine)) if n else _State(0, 1, ())
    for op in range(n - 1, -1, -1):
        state, chosen[op] = history[op][state]
    return chosen


def crossings(engine: Ints, flow: Flow) -> Floats:
    """Border cycles that each operator pays for its inputs, shape (n,): the first of an engine to read a tensor."""
    paid = np.zeros(len(engine))
    has: set[tuple[int, int]] = set()
    for op, sources in enumerate(flow.reads):
        here = int(engine[op])
        for source in set(sources):
            if engine[source] != here and (source, here) not in has:
                has.add((source, here))
                paid[op] += flow.border_cycles[source]
    return paid


def partition_cycles(
    engine: Ints, cycles: Floats, flow: Flow, *, start_cycles: Sequence[float], once_cycles: Sequence[float]
) -> float:
    """Total cycles of an assignment.

    N = sum of the operators + starts of each run of operators on an engine + borders + first uses

    The core (engine 0) runs before the first operator, so that its first run needs no start.
    """
    before = np.concatenate([[0], engine[:-1]]) if len(engine) else engine
    starts = np.asarray(start_cycles, dtype=float)[engine][engine != before].sum()
    first = sum(once_cycles[e] for e in set(engine.tolist()) - {0})
    own = cycles[engine, np.arange(len(engine))].sum()
    return float(own + starts + crossings(engine, flow).sum() + first)


class Overlap(NamedTuple):
    """What is gained where the core does not wait for the accelerator."""

    latency_cycles: float
    """one inference, independent branches side by side [cycle]"""
    interval_cycles: float
    """from one inference to the next, when the engines work on different ones: those of the busier engine [cycle]"""


def overlap(engine: Ints, cycles: Floats, reads: Sequence[Sequence[int]]) -> Overlap:
    """Latency and interval if every engine starts an operator as soon as it is free and its inputs are there.

    finish(op) = max(finish of the engine's operator before, finish of its inputs) + cycles(op)

    engine, cycles: per operator in execution order, shape (n,); cycles in one clock. reads: per operator, the operators
    whose output it reads. Never above the sum of all cycles, never below the busier engine or the longest path.

    >>> overlap(np.array([0, 1, 0]), np.array([5.0, 7.0, 2.0]), [(), (), (0, 1)])
    Overlap(latency_cycles=9.0, interval_cycles=7.0)
    """
    free: dict[int, float] = {}
    finish: list[float] = []
    for here, own, sources in zip(engine.tolist(), cycles.tolist(), reads, strict=True):
        begin = max([free.get(here, 0.0), *(finish[source] for source in sources)])
        finish.append(begin + own)
        free[here] = finish[-1]
    busy = np.bincount(engine, weights=cycles) if len(engine) else np.zeros(1)
    return Overlap(max(finish, default=0.0), float(busy.max()))
