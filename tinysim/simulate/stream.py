"""A master's way through a stretch of work, so that without rivals it needs one event, not thousands.

The position of every burst is a formula (`tinysim.simulate.layout`), so a stream that is attached to its ports finds
out what other masters did to it only when it is asked. Attached and burst by burst, it takes the same ticks (tested).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from tinysim.simulate.layout import Layout
from tinysim.simulate.port import Master, Port
from tinysim.simulate.ticks import Env, Events

__all__ = ["Pause", "Stream", "run_stream"]


class Stream:
    """Progress of a master through one stretch of work."""

    __slots__ = ("_chunk", "_edges", "attached", "blocked", "done", "layout", "master", "ports", "since", "total")

    def __init__(self, master: Master, layout: Layout) -> None:
        self.master, self.layout, self.ports, self.total = master, layout, layout.ports, layout.total
        self.done = 0
        """ticks of work done, as of `since`"""
        self.since = 0
        self.blocked: Port | None = None
        self.attached = False
        self._chunk, self._edges = 0, [0, 0]

    # ------------------------------------------------------------ where the bursts lie

    def _seek(self, position: int) -> list[int]:
        """Edges of the chunk around a position, which becomes the present chunk."""
        edges = self._edges
        if not edges[0] <= position < edges[-1]:
            self._chunk, edges = self.layout.chunk_at(position)
            self._edges = edges
        return edges

    def first_start(self, index: int) -> int | None:
        """Where the next burst begins, at or after the present position; None if none does."""
        if self.done >= self.total or not self.layout.parts[index]:
            return None
        edges = self._seek(self.done)
        if self.done <= edges[index] < edges[index + 1]:
            return edges[index]
        burst = self.layout.burst_after(index, self._chunk)
        return None if burst is None else burst[0]

    def step(self) -> tuple[int, int]:
        """What comes next, one part at a time: index of the part (the last one computes) and its ticks."""
        edges, done, index = self._seek(self.done), self.done, 0
        while edges[index + 1] <= done:
            index += 1
        return index, edges[index + 1] - done

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
        begin = self.first_start(index)
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
                begin = self.first_start(index)
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
        part = self.layout.parts[index]
        if position >= self.total:
            return part
        edges = self._seek(position)
        here = min(max(position - edges[index], 0), edges[index + 1] - edges[index])
        return self._chunk * part // self.layout.chunks + here

    def booked(self, since: int, upto: int) -> list[tuple[Port, int, int]]:
        """Port, ticks held and bytes moved between two positions."""
        return [
            (
                port,
                self.held_before(index, upto) - self.held_before(index, since),
                n_bytes * upto // self.total - n_bytes * since // self.total,
            )
            for index, (port, n_bytes) in enumerate(zip(self.ports, self.layout.n_bytes, strict=True))
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
