"""A master's way through a stretch of work, so that without rivals it needs one event, not thousands.

The position of every burst is a formula (`tinysim.simulate.layout`), so a stream that is attached to its ports finds
out what other masters did to it only when it is asked. Attached and burst by burst, it takes the same ticks (tested).
"""

from __future__ import annotations

from collections.abc import Callable

from tinysim.simulate.layout import Layout
from tinysim.simulate.port import Master, Port
from tinysim.simulate.ticks import After, Env, Timer

__all__ = ["Course", "Stream"]


_NO_EDGES = [0, 0]


class Stream:
    """Progress of a master through one stretch of work."""

    __slots__ = ("_chunk", "_edges", "attached", "blocked", "done", "layout", "master", "ports", "since", "total")

    def __init__(self, master: Master, layout: Layout) -> None:
        self.master = master
        self.renew(layout)

    def renew(self, layout: Layout) -> Stream:
        """Begin another stretch of work, when this one is done with."""
        self.layout, self.ports, self.total = layout, layout.ports, layout.total
        self.done = 0
        """ticks of work done, as of `since`"""
        self.since = 0
        self.blocked: Port | None = None
        self.attached = False
        self._chunk, self._edges = 0, _NO_EDGES
        return self

    # ------------------------------------------------------------ where the bursts lie

    def _seek(self, position: int) -> list[int]:
        """Edges of the chunk around a position, which becomes the present chunk."""
        edges = self._edges
        if not edges[0] <= position < edges[-1]:
            if position == edges[-1] and position:  # on into the next chunk
                while edges[-1] <= position:
                    self._chunk += 1
                    edges = self.layout.edges(self._chunk)
            else:
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
        edges, done, index = self._edges, self.done, 0
        if not edges[0] <= done < edges[-1]:
            edges = self._seek(done)
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

    def advance(self, now: int) -> None:
        """Bring `done` up to date: on, up to the first burst for which the port is held by another."""
        if self.blocked is not None:
            return
        reach = self.done + now - self.since
        if reach > self.total:
            reach = self.total
        stop: Port | None = None
        for index, port in enumerate(self.ports):
            if port.held_until > self.since:
                begin = self.first_start(index)
                if begin is not None and begin < reach and self.since + begin - self.done < port.held_until:
                    reach, stop = begin, port
        self.done, self.since, self.blocked = reach, now, stop

    def burst_here(self, port: Port, index: int) -> tuple[int, int] | None:
        """The burst on `port`, the stream's of this index, that is under way or wanted now; `done` is up to date."""
        if self.blocked is not None and self.blocked is not port:
            return None
        if self.done >= self.total:
            return None
        edges = self._seek(self.done)
        begin, end = edges[index], edges[index + 1]
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
        for index, port in enumerate(self.ports):
            burst = self.burst_here(port, index)
            if burst is not None:
                return burst[1]
        return self.done

    # ------------------------------------------------------------ accounts

    def held_before(self, index: int, position: int) -> int:
        """Ticks that a port was held before `position`."""
        part = self.layout.parts[index]
        if position >= self.total:
            return part
        edges = self._edges if self._edges[0] <= position < self._edges[-1] else self._seek(position)
        here = min(max(position - edges[index], 0), edges[index + 1] - edges[index])
        return self._chunk * part // self.layout.chunks + here

    def booked(self, since: int, upto: int) -> list[tuple[Port, int, int]]:
        """Port, ticks held and bytes moved between two positions; nothing where no time passes."""
        if not since and 0 < upto == self.total:
            return self.layout.booked
        return [
            (
                port,
                self.held_before(index, upto) - self.held_before(index, since),
                n_bytes * upto // self.total - n_bytes * since // self.total,
            )
            for index, (port, n_bytes) in enumerate(zip(self.ports, self.layout.n_bytes, strict=True))
            if upto > since
        ]


class Course:
    """Takes a master through streams, one after the other: to the end of each, or to where `stop` ends it.

    Attached (one event, and one more each time that others delayed it) if the ports have no attached stream yet, else
    burst by burst. `every_burst` never attaches. Where there is no other master at all (`alone`), ports need not even
    be attached to. `ended` is called at the end, never from within `begin`.
    """

    __slots__ = (
        "_arrival", "_burst_cycles", "_goal", "_started", "_stopping", "_timer", "alone", "ended", "env", "every_burst",
        "stream",
    )  # fmt: skip

    def __init__(self, env: Env, ended: Callable[[], None], *, every_burst: bool, alone: bool = False) -> None:
        self.env, self.ended, self.every_burst, self.alone = env, ended, every_burst, alone and not every_burst
        self.stream: Stream
        self._stopping = False
        self._timer: After | Timer | None = None
        """the event that is waited for; another one that comes is ignored"""
        self._arrival = Timer(env, self._arrive)
        self._goal = self._started = self._burst_cycles = 0

    def begin(self, stream: Stream) -> None:
        """Take up a stream that has work left."""
        self.stream, self._goal, self._stopping = stream, stream.total, False
        now = self.env.tick
        if self.alone:
            stream.since, stream.attached, self._timer = now, True, self._arrival
            self._arrival.start(stream.total - stream.done)
        else:
            self._go(now)

    def stop(self) -> None:
        """End at once where the stream computes, else at the end of the burst that is under way or wanted."""
        if self._stopping:
            return
        self._stopping = True
        stream, now = self.stream, self.env.tick
        if stream.attached:
            stream.advance(now)
            self._goal = stream.boundary()
            self._arrival = Timer(self.env, self._arrive)  # the old one is still to come
            self._glide(now)
        elif self._timer is not None:
            stream.done += now - self._started
            self._timer = None
            self.ended()

    def _go(self, now: int) -> None:
        stream = self.stream
        if not self.every_burst and stream.attach(now):
            self._timer = self._arrival
            self._arrival.start(stream.earliest(self._goal, now) - now)
            return
        index, cycles = stream.step()
        if index < len(stream.ports):
            self._timer, self._burst_cycles = None, cycles
            stream.ports[index].request(stream.master, cycles, self._burst)
        else:
            self._started = now
            self._timer = After(self.env, cycles, self._computed)

    def _arrive(self, event: Timer) -> None:
        if event is not self._timer:
            return
        now, stream = self.env.tick, self.stream
        if self.alone:  # nobody can have delayed it
            stream.done, stream.since, stream.attached, self._timer = self._goal, now, False, None
            self.ended()
        else:
            stream.advance(now)
            self._glide(now)

    def _glide(self, now: int) -> None:
        stream = self.stream
        if stream.done < self._goal:  # others delayed it
            self._timer = self._arrival
            self._arrival.start(stream.earliest(self._goal, now) - now)
            return
        self._timer = None
        if not self.alone:
            for port in stream.ports:
                port.detach(stream)
        stream.attached = False
        self.ended()

    def _computed(self, event: After) -> None:
        if event is self._timer:
            self._go_on(self.env.tick - self._started)

    def _burst(self, _: object) -> None:
        self._go_on(self._burst_cycles)

    def _go_on(self, cycles: int) -> None:
        stream = self.stream
        stream.done += cycles
        if self._stopping or stream.done >= stream.total:
            self._timer = None
            self.ended()
        else:
            self._go(self.env.tick)
