"""A stretch of work and its bursts in closed form, so that a master without rivals needs one event, not thousands.

The work of W ticks is cut into n equal chunks. In each, the ports are held one after the other, then the master
computes; each part is spread evenly: chunk k has floor((k + 1) T / n) - floor(k T / n) of a part of T ticks. So the
position of every burst is a formula, and a stream that is attached to its ports finds out what other masters did to it
only when it is asked. `attach` and burst-by-burst progress give the same ticks (tested).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import simpy

from tinysim.simulate.port import Master, Port
from tinysim.simulate.ticks import Env, Events

__all__ = ["Pause", "Stream", "run_stream"]


class Stream:
    """Progress of a master through one stretch of work."""

    __slots__ = (
        "_chunk", "_here", "attached", "blocked", "chunks", "done", "master", "n_bytes", "parts", "ports", "since", "total",
    )  # fmt: skip

    def __init__(self, master: Master, total: int, uses: Sequence[tuple[Port, int, int]], *, burst_bytes: int) -> None:
        """`uses`: port, ticks held and bytes moved; bursts move `burst_bytes` each."""
        merged: dict[Port, list[int]] = {}
        for port, cycles, n_bytes in uses:
            entry = merged.setdefault(port, [0, 0])
            entry[0] += cycles
            entry[1] += n_bytes
        self.master, self.total = master, total
        self.ports = tuple(merged)
        self.n_bytes = tuple(n_bytes for _, n_bytes in merged.values())
        held = [cycles for cycles, _ in merged.values()]
        self.parts = (*held, total - sum(held))
        bursts = [-(-min(n_bytes, cycles * burst_bytes) // burst_bytes) for cycles, n_bytes in merged.values()]
        self.chunks = max([1, *bursts])
        self._chunk, self._here = 0, [0, 0]
        self.done = 0
        """ticks of work done, as of `since`"""
        self.since = 0
        self.blocked: Port | None = None
        self.attached = False

    # ------------------------------------------------------------ where the bursts lie

    def _edges(self, chunk: int) -> list[int]:
        """Where the parts of a chunk begin, and where it ends."""
        n, begin, shares = self.chunks, 0, []
        for part in self.parts:
            before = chunk * part // n
            begin += before
            shares.append((chunk + 1) * part // n - before)
        edges = [begin]
        for share in shares:
            begin += share
            edges.append(begin)
        return edges

    def _seek(self, position: int) -> list[int]:
        """Edges of the chunk around a position, which becomes the present chunk."""
        edges = self._here
        if not edges[0] <= position < edges[-1]:
            self._chunk = position * self.chunks // self.total
            edges = self._edges(self._chunk)
            while edges[-1] <= position:
                self._chunk += 1
                edges = self._edges(self._chunk)
            self._here = edges
        return edges

    def burst_at(self, index: int, position: int) -> tuple[int, int] | None:
        """The burst on a port that is under way at `position`, or the next one; None if none is left."""
        part, n = self.parts[index], self.chunks
        if position >= self.total or not part:
            return None
        edges = self._seek(position)
        if edges[index + 1] > position and edges[index + 1] > edges[index]:
            return edges[index], edges[index + 1]
        given = (self._chunk + 1) * part // n
        if given >= part:
            return None
        edges = self._edges(-(-(given + 1) * n // part) - 1)
        return edges[index], edges[index + 1]

    def first_start(self, index: int, position: int) -> int | None:
        """Where the first burst begins at or after `position`; None if none does."""
        burst = self.burst_at(index, position)
        if burst is not None and burst[0] < position:
            burst = self.burst_at(index, burst[1])
        return None if burst is None else burst[0]

    def step(self) -> tuple[int, int]:
        """What comes next, one part at a time: index of the part (the last one computes) and its ticks."""
        edges = self._seek(self.done)
        index = next(index for index in range(len(self.parts)) if edges[index + 1] > self.done)
        return index, edges[index + 1] - self.done

    # ------------------------------------------------------------ progress while attached

    def attach(self, now: int) -> bool:
        """Use all ports without events; False if another stream does so on one of them."""
        for port in self.ports:
            if port.stream is not None:
                return False
        self.since, self.attached = now, True
        for index, port in enumerate(self.ports):
            port.attach(self, index)
        return True

    def arrival(self, index: int, now: int) -> float:
        """Earliest tick at which the stream can want a port that it does not use now."""
        begin = self.first_start(index, self.done)
        return float("inf") if begin is None else now + begin - self.done

    def detach(self) -> None:
        """Leave the ports."""
        for port in self.ports:
            port.detach(self)
        self.attached = False

    def advance(self, now: int) -> None:
        """Bring `done` up to date: on, up to the first burst for which the port is held by another."""
        if self.blocked is not None:
            return
        reach = min(self.done + now - self.since, self.total)
        stop: Port | None = None
        for index, port in enumerate(self.ports):
            if port.held_until > self.since:
                begin = self.first_start(index, self.done)
                if begin is not None and begin < reach and self.since + begin - self.done < port.held_until:
                    reach, stop = begin, port
        self.done, self.since, self.blocked = reach, now, stop

    def burst_here(self, port: Port) -> tuple[int, int] | None:
        """The burst on `port` that is under way or wanted now; `done` is up to date."""
        if self.blocked is not None and self.blocked is not port:
            return None
        if self.done >= self.total:
            return None
        edges = self._seek(self.done)
        begin, end = edges[port.index], edges[port.index + 1]
        return (begin, end) if begin <= self.done < end else None

    def block(self, port: Port) -> None:
        """Another master got the port that this stream wants."""
        self.blocked = port

    def resume(self, now: int) -> None:
        """The port is this stream's."""
        self.blocked, self.since = None, now

    def earliest(self, position: int, now: int) -> int:
        """A tick before which `position` cannot be reached; exact if nobody interferes."""
        return (now if self.blocked is None else self.blocked.held_until) + position - self.done

    def boundary(self) -> int:
        """Where the burst under way or wanted ends; the position itself between bursts."""
        for port in self.ports:
            burst = self.burst_here(port)
            if burst is not None:
                return burst[1]
        return self.done

    # ------------------------------------------------------------ accounts

    def held_before(self, index: int, position: int) -> int:
        """Ticks that a port was held before `position`."""
        if position >= self.total:
            return self.parts[index]
        edges = self._seek(position)
        here = min(max(position - edges[index], 0), edges[index + 1] - edges[index])
        return self._chunk * self.parts[index] // self.chunks + here

    def booked(self, since: int, upto: int) -> list[tuple[Port, int, int]]:
        """Port, ticks held and bytes moved between two positions."""
        return [
            (
                port,
                self.held_before(index, upto) - self.held_before(index, since),
                n_bytes * upto // self.total - n_bytes * since // self.total,
            )
            for index, (port, n_bytes) in enumerate(zip(self.ports, self.n_bytes, strict=True))
            if upto > since
        ]


class Pause:
    """How a scheduler stops a stream: at once where it computes, at the end of a burst otherwise."""

    __slots__ = ("asked", "open")

    def __init__(self) -> None:
        self.asked = False
        """the stream shall stop at the next boundary"""
        self.open = False
        """an interrupt may be thrown"""


def run_stream(
    env: Env, stream: Stream, pause: Pause | None = None, *, every_burst: bool = False
) -> Generator[simpy.Event, Any, bool]:
    """Run a stream to its end, or to where `pause` stops it; say whether it ended.

    Attached (one event, and one more each time that others delayed it) if its ports have no attached stream yet, else
    burst by burst. `every_burst` never attaches.
    """
    while stream.done < stream.total:
        if pause is not None and pause.asked:
            return False
        if not every_burst and stream.attach(env.now):
            yield from _glide(env, stream, pause)
        else:
            index, cycles = stream.step()
            if index < len(stream.ports):
                yield stream.ports[index].request(stream.master, cycles)
                stream.done += cycles
            else:
                started = env.now
                yield from _sleep(env, cycles, pause)
                stream.done += env.now - started
    return True


def _glide(env: Env, stream: Stream, pause: Pause | None) -> Events:
    goal, stopping = stream.total, False
    while stream.done < goal:
        yield from _sleep(env, stream.earliest(goal, env.now) - env.now, pause)
        stream.advance(env.now)
        if pause is not None and pause.asked and not stopping:
            goal, stopping = stream.boundary(), True
    stream.detach()


def _sleep(env: Env, ticks: int, pause: Pause | None) -> Events:
    if pause is None:
        yield env.timeout(ticks)
        return
    pause.open = True
    try:
        yield env.timeout(ticks)
    except simpy.Interrupt:
        pause.asked = True
    finally:
        pause.open = False
