"""Operator orders of least peak: exact search over sets of finished operators, with a beam beyond a limit.

Source of the problem: Liberis and Lane, "Neural networks on microcontrollers: saving memory at inference via operator
reordering", arXiv 1910.05110; the search here is best-first and runs whole chains without branching.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinysim.deploy.memory.buffers import Ints
from tinysim.errors import InputError
from tinysim.network.graph import Network

__all__ = ["Order", "least_peak_order", "reordered"]


@dataclass(frozen=True, slots=True)
class Order:
    """An order of a network's operators and what it costs."""

    order: tuple[int, ...]
    """operator indices in the order of execution"""
    peak_bytes: int
    """largest live set"""
    bound_bytes: int
    """no order has a smaller one: proven"""

    @property
    def gap(self) -> float:
        """Share of the peak above the bound; 0 if the order is proven optimal."""
        return self.peak_bytes / self.bound_bytes - 1.0 if self.bound_bytes else 0.0


def reordered(network: Network, order: Sequence[int]) -> Network:
    """The network with its operators in another order.

    Raises:
        InputError: `order` is no permutation of the operators.
        NetworkError: an operator would run before its inputs exist.
    """
    if sorted(order) != list(range(len(network.ops))):
        raise InputError(f"{network.name}: an order must hold each operator 0..{len(network.ops) - 1} once")
    return replace(network, ops=tuple(network.ops[i] for i in order))


def least_peak_order(
    network: Network, *, scratch: Ints | None = None, node_limit: int = 50_000, beam: int = 200
) -> Order:
    """The order with the smallest largest live set.

    Best-first over sets of finished operators, by the peak so far. Two things keep the sets few and the search exact.
    Chains are cut only where stopping can pay (see `_segments`). From a set, segments that end with no more live bytes
    than they began and pass no higher than the peak so far run at once: moving them to the front never raises any later
    step. If `node_limit` sets are not enough, a beam of `beam` sets per length finishes the order, and
    the gap is against the proven bound.

    scratch [B]: kernel memory per operator, shape (n_ops,).
    """
    graph = _Graph(network, np.zeros(len(network.ops), dtype=np.int64) if scratch is None else scratch)
    found, bound = graph.best_first(node_limit)
    if found is None:
        found = graph.beam_search(beam, bound)
    order = tuple(op for segment in found.segments() for op in graph.segments[segment])
    return Order(order, found.peak, bound if bound < found.peak else found.peak)


@dataclass(frozen=True, slots=True)
class _State:
    done: int
    """finished segments, a bit each"""
    live: int
    peak: int
    last: tuple[int, ...]
    """segments that led here from `before`"""
    before: _State | None

    def segments(self) -> list[int]:
        """Segments in the order of execution."""
        steps: list[tuple[int, ...]] = []
        state: _State | None = self
        while state is not None:
            steps.append(state.last)
            state = state.before
        return [segment for step in reversed(steps) for segment in step]


class _Graph:
    """Segments of operators as bits, with what each operator allocates and which tensors it may free."""

    def __init__(self, network: Network, scratch: Ints) -> None:
        kept = set(network.activations())
        size = {t: network.tensors[t].n_bytes for t in kept}
        n = len(network.ops)
        maker = {t: i for i, op in enumerate(network.ops) for t in op.outputs}
        inputs = [kept.intersection(op.inputs) for op in network.ops]
        before = [{maker[t] for t in op.inputs if t in maker} for op in network.ops]
        after: list[set[int]] = [set() for _ in range(n)]
        for i, makers in enumerate(before):
            for m in makers:
                after[m].add(i)
        outputs = set(network.outputs)
        self.makes = [sum(size[t] for t in kept.intersection(op.outputs)) for op in network.ops]
        self.over = [made + int(extra) for made, extra in zip(self.makes, scratch, strict=True)]
        links = [  # the operator that continues operator i's chain: it reads what i makes and nothing else
            next(iter(after[i]))
            if len(after[i]) == 1 and inputs[next(iter(after[i]))] <= set(op.outputs) - outputs
            else -1
            for i, op in enumerate(network.ops)
        ]
        heads = set(range(n)) - set(links)
        self.segments = []
        for i in sorted(heads):
            chain = [i]
            while links[chain[-1]] >= 0:
                chain.append(links[chain[-1]])
            freed = sum(size[t] for t in inputs[i])
            self.segments += _segments(chain, freed, [self.over[c] for c in chain], [self.makes[c] for c in chain])
        home = {op: s for s, ops in enumerate(self.segments) for op in ops}
        self.n = len(self.segments)
        self.needs = [0] * self.n
        for i, makers in enumerate(before):
            for m in makers:
                self.needs[home[i]] |= (1 << home[m]) & ~(1 << home[i])
        self.follows = [[b for b in range(self.n) if self.needs[b] >> a & 1] for a in range(self.n)]
        readers = {t: [i for i in range(n) if t in inputs[i]] for t in kept}
        self.frees = []
        for i, op in enumerate(network.ops):
            dying = [t for t in kept.intersection((*op.inputs, *op.outputs)) if t not in outputs]
            # a tensor read in this segment too dies with the segment's last reader of it
            last = [t for t in dying if not any(home[r] == home[i] and r > i for r in readers[t])]
            self.frees.append([(sum({1 << home[r] for r in readers[t]}), size[t]) for t in last])
        self.start = sum(size[t] for t in set(network.inputs) & kept if readers[t] or t in outputs)
        whole = sum(size[t] for t in set(network.inputs) & kept)
        self.floor = max([whole, *(sum(size[t] for t in inputs[i]) + self.over[i] for i in range(n))])

    def best_first(self, node_limit: int) -> tuple[_State | None, int]:
        """The optimal final state, or None after `node_limit` sets; and a proven lower bound of the peak."""
        full = (1 << self.n) - 1
        first = self._run_free_chains(_State(0, self.start, self.floor, (), None))
        heap = [(first.peak, -first.done.bit_count(), 0, first)]
        seen: set[int] = set()
        count = 0
        while heap:
            peak, _, _, state = heapq.heappop(heap)
            if state.done == full:
                return state, peak
            if state.done in seen:
                continue
            seen.add(state.done)
            if len(seen) > node_limit:
                return None, peak
            for successor in self._successors(state):
                if successor.done not in seen:
                    count += 1
                    heapq.heappush(heap, (successor.peak, -successor.done.bit_count(), count, successor))
        return None, self.floor

    def beam_search(self, width: int, bound: int) -> _State:
        """A good final state: the `width` best sets of each round, by peak and then live bytes."""
        front = [self._run_free_chains(_State(0, self.start, max(self.floor, bound), (), None))]
        full = (1 << self.n) - 1
        while front[0].done != full:
            best: dict[int, _State] = {}
            for state in front:
                for successor in self._successors(state) if state.done != full else (state,):
                    known = best.get(successor.done)
                    if known is None or successor.peak < known.peak:
                        best[successor.done] = successor
            front = sorted(best.values(), key=lambda s: (s.peak, s.live, -s.done.bit_count()))[:width]
            # finished states wait for shorter ones; the best one goes first
            front.sort(key=lambda s: s.done == full)
        return min(front, key=lambda s: s.peak)

    def _successors(self, state: _State) -> Iterator[_State]:
        for i in self._ready(state.done):
            live, high = self._step(i, state.done, state.live)
            after = _State(state.done | 1 << i, live, max(state.peak, high), (i,), state)
            yield self._run_free_chains(after)

    def _ready(self, done: int) -> Iterator[int]:
        for i in range(self.n):
            if not done >> i & 1 and self.needs[i] & ~done == 0:
                yield i

    def _step(self, segment: int, done: int, live: int) -> tuple[int, int]:
        """Live bytes after a segment, and the most during it."""
        done |= 1 << segment
        high = live
        for op in self.segments[segment]:
            high = max(high, live + self.over[op])
            live += self.makes[op] - sum(size for readers, size in self.frees[op] if readers & ~done == 0)
        return live, high

    def _run_free_chains(self, state: _State) -> _State:
        """Run every chain that costs nothing: within the peak so far and ending with no more live bytes."""
        done, live, ran = state.done, state.live, []
        again = True
        while again:
            again = False
            for i in self._ready(done):
                chain, after, ahead, ends = [i], done, live, -1
                while True:
                    ahead, high = self._step(chain[-1], after, ahead)
                    after |= 1 << chain[-1]
                    if high > state.peak:
                        break
                    if ahead <= live:
                        ends = len(chain)
                        break
                    following = self.follows[chain[-1]]
                    if len(following) != 1 or self.needs[following[0]] & ~after:
                        break
                    chain.append(following[0])
                if ends > 0:
                    done, live, again = after, ahead, True
                    ran += chain
                    break
        return _State(done, live, state.peak, state.last + tuple(ran), state.before)


def _segments(chain: list[int], freed: int, over: list[int], made: list[int]) -> list[list[int]]:
    """Cut a chain where stopping can pay.

    After k operators of a chain the last one's output alone is alive: r_k bytes, at most `freed` for k = 0. Stopping
    after k is useless if an earlier stop j holds less, no stop between holds less than it, and a later operator needs
    at least as much as all from j on: those can wait for it. It is useless, too, if an operator up to k needs at least
    as much as all until a later stop that holds no more than any between: they can run right behind it.
    """
    n = len(chain)
    rest = [freed, *made]  # bytes held when k operators have run
    need = [r + o for r, o in zip(rest, over, strict=False)]
    surely = [over[0], *need[1:]]  # the first operator's input may stay alive for others
    cuts = []
    for k in range(1, n):
        waits = any(
            rest[j] < rest[k]
            and all(rest[j] <= rest[i] for i in range(j, m))
            and all(need[i] <= need[m - 1] for i in range(j, m))
            for j in range(k)
            for m in range(k + 1, n + 1)
        )
        runs_on = any(
            all(rest[stop] <= rest[i] for i in range(m, stop)) and all(need[i] <= surely[m - 1] for i in range(m, stop))
            for m in range(1, k + 1)
            for stop in range(k + 1, n + 1)
        )
        if not waits and not runs_on:
            cuts.append(k)
    return [chain[a:b] for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
