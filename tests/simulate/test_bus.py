"""Ports, arbiters and streams: closed-form bursts give the ticks of simulated ones; conservation on random systems."""

from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinysim.simulate.layout import Layout
from tinysim.simulate.port import Master, Port
from tinysim.simulate.stream import Course, Stream
from tinysim.simulate.ticks import environment


@dataclass(frozen=True)
class Stretch:
    """Ticks held and bytes moved by port, ticks computed, and a pause afterwards."""

    uses: tuple[tuple[int, int, int], ...]
    compute: int
    burst_bytes: int
    pause: int

    @property
    def total(self) -> int:
        return sum(cycles for _, cycles, _ in self.uses) + self.compute


stretches = st.builds(
    Stretch,
    uses=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 60)), max_size=3).map(tuple),
    compute=st.sampled_from([0, 0, 1, 3, 17, 40]),
    burst_bytes=st.sampled_from([1, 2, 4, 16]),
    pause=st.sampled_from([0, 0, 1, 5]),
)
masters = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 12), st.lists(stretches, min_size=1, max_size=4)),
    min_size=1,
    max_size=4,
)


@dataclass
class Run:
    ends: list[tuple[int, int, int, int, int]]
    """master, start, end, work alone, ticks of it"""
    ports: list[Port]
    events: int
    now: int


def run(case, *, fixed: bool, every_burst: bool) -> Run:
    env, ends = environment(), []
    ports = [Port(env, f"p{k}", fixed=fixed, masters=len(case)) for k in range(3)]

    def process(master, start, work):
        if start:
            yield env.timeout(start)
        for stretch in work:
            uses = [(ports[p], cycles, n_bytes) for p, cycles, n_bytes in stretch.uses]
            layout = Layout(stretch.total, uses, burst_bytes=stretch.burst_bytes)
            stream, begin = Stream(master, layout), env.now
            if stream.total:
                ended = env.event()
                Course(env, ended.succeed, every_burst=every_burst).begin(stream)
                yield ended
            for port, held, n_bytes in stream.booked(0, stream.total):
                port.busy_cycles += held
                port.n_bytes += n_bytes
            ends.append((master.index, begin, env.now, stretch.total, stream.done))
            if stretch.pause:
                yield env.timeout(stretch.pause)

    for index, (rank, start, work) in enumerate(case):
        env.process(process(Master(index, f"m{index}", rank), start, work))
    events = 0
    while env.peek() < float("inf"):
        env.step()
        events += 1
    return Run(sorted(ends), ports, events, env.now)


@settings(max_examples=400, deadline=None)
@given(masters, st.booleans())
def test_attached_streams_take_the_ticks_of_simulated_bursts(case, fixed):
    fast, slow = run(case, fixed=fixed, every_burst=False), run(case, fixed=fixed, every_burst=True)
    assert fast.ends == slow.ends
    assert [(p.busy_cycles, p.n_bytes) for p in fast.ports] == [(p.busy_cycles, p.n_bytes) for p in slow.ports]


@settings(max_examples=150, deadline=None)
@given(masters, st.booleans(), st.booleans())
@example([(0, 0, [Stretch(((0, 0, 1),), 0, 1, 0)])], False, False)
def test_contention_only_adds_and_bytes_and_held_ticks_are_conserved(case, fixed, every_burst):
    result = run(case, fixed=fixed, every_burst=every_burst)
    assert all(end - begin >= alone == done for _, begin, end, alone, done in result.ends)
    for k, port in enumerate(result.ports):
        uses = [use for _, _, work in case for s in work for use in s.uses if use[0] == k and s.total]
        assert port.busy_cycles == sum(cycles for _, cycles, _ in uses) <= result.now
        assert port.n_bytes == sum(n_bytes for _, _, n_bytes in uses)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40)), min_size=1, max_size=4), st.booleans())
def test_a_port_conserves_work(blocks, fixed):
    """Masters that only hold one port, whatever the arbiter: it is busy whenever one is there."""
    case = [(0, start, [Stretch(((0, cycles, cycles),), 0, 4, 0)]) for start, cycles in blocks]
    ends = run(case, fixed=fixed, every_burst=True).ends
    free, expected = 0, 0
    for start, cycles in sorted(blocks):
        free = max(free, start) + cycles
        expected = free
    assert max(end for _, _, end, _, _ in ends) == expected


def test_without_rivals_a_stretch_is_one_event():
    alone = [(0, 0, [Stretch(((0, 4000, 16000), (1, 1000, 4000)), 5000, 16, 0)])]
    assert run(alone, fixed=False, every_burst=False).events <= 4
    assert run(alone, fixed=False, every_burst=True).events > 2000


@pytest.mark.parametrize(("fixed", "first"), [(True, 1), (False, 0)])
def test_the_arbiter_decides_who_ends_first(fixed, first):
    """Two masters of equal work: in turn, the one with the smaller index leads; fixed, the one of smaller rank."""
    case = [(rank, 0, [Stretch(((0, 40, 160),), 0, 16, 0)]) for rank in (1, 0)]
    ends = {master: end for master, _, end, _, _ in run(case, fixed=fixed, every_burst=False).ends}
    assert min(ends, key=ends.__getitem__) == first
    assert max(ends.values()) == 80


def test_fixed_priority_starves_and_turns_share():
    case = [(1, 0, [Stretch(((0, 40, 160),), 0, 16, 0)]), (0, 0, [Stretch(((0, 400, 1600),), 0, 16, 0)])]
    fixed = {m: end for m, _, end, _, _ in run(case, fixed=True, every_burst=False).ends}
    turns = {m: end for m, _, end, _, _ in run(case, fixed=False, every_burst=False).ends}
    assert fixed == {1: 400, 0: 440}
    assert turns == {0: 76, 1: 440}
