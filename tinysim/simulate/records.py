"""What a run leaves behind: spans of work on tracks, jobs, ports and FIFOs."""

from __future__ import annotations

from typing import NamedTuple

from tinysim.simulate.port import Port
from tinysim.simulate.stream import Stream

__all__ = ["LAYER_KINDS", "FifoRecord", "JobRecord", "PortRecord", "Span", "Track"]

#: Kinds of spans that belong to a layer of a job: on a core, on an accelerator's array, and its data.
LAYER_KINDS = ("layer", "tile", "fetch")


class Span(NamedTuple):
    """A stretch of time on one resource. The spans of a core cover its whole time."""

    resource: str
    name: str
    kind: str
    """layer, interrupt, driver, switch, wake, idle, sleep, transfer, tile, fetch"""
    job: str
    """job it belongs to, e.g. ``kws#0``; empty if none"""
    start: int
    """tick"""
    end: int
    """tick"""
    n_bytes: int
    """bytes over all ports"""
    waited: int
    """ticks spent waiting for ports"""
    joules: float


class JobRecord(NamedTuple):
    """One release of a task, or one block of DMA traffic."""

    task: str
    number: int
    release: int
    start: int | None
    end: int | None
    """None if it was not finished"""
    deadline: int | None
    """tick by which it should have ended"""
    dropped: bool

    @property
    def response(self) -> int | None:
        """Ticks from release to end."""
        return None if self.end is None else self.end - self.release


class PortRecord(NamedTuple):
    """Use of one port."""

    name: str
    busy_cycles: int
    n_bytes: int


class FifoRecord(NamedTuple):
    """A sensor's FIFO."""

    sensor: str
    arrived: int
    taken: int
    lost: int
    peak: int
    """highest level; under a FIFO of at least this many samples nothing is lost"""


class Track:
    """The spans of one resource, one at a time."""

    __slots__ = (
        "clock_hz",
        "done",
        "job",
        "joules",
        "kind",
        "name",
        "open",
        "resource",
        "spans",
        "start",
        "stream",
        "watts",
    )

    def __init__(self, resource: str, clock_hz: float, spans: list[Span]) -> None:
        self.resource, self.clock_hz, self.spans = resource, clock_hz, spans
        self.open = False

    def begin(
        self, now: int, name: str, kind: str, *, job: str = "", stream: Stream | None = None, watts: float = 0.0,
        joules: float = 0.0,
    ) -> None:  # fmt: skip
        """Something starts that draws `watts`, and `joules` in proportion to the stream's progress."""
        self.open, self.start, self.name, self.kind, self.job = True, now, name, kind, job
        self.stream, self.watts, self.joules = stream, watts, joules
        self.done = 0 if stream is None else stream.done

    def peek(self, now: int) -> tuple[Span, list[tuple[Port, int, int]]]:
        """The open span as if it ended now, and what it did to the ports."""
        stream, start = self.stream, self.start
        elapsed = now - start
        joules = elapsed / self.clock_hz * self.watts
        moved, waited, booked = 0, 0, []
        if stream is not None:
            if stream.attached:
                stream.advance(now)
            done = stream.done - self.done
            waited = elapsed - done
            if stream.ports:
                booked = stream.booked(self.done, stream.done)
                moved = sum(n_bytes for _, _, n_bytes in booked)
            if self.joules:
                joules += self.joules * done / stream.total
        return Span(self.resource, self.name, self.kind, self.job, start, now, moved, waited, joules), booked

    def end(self, now: int) -> None:
        """It ends; nothing is left of what took no time."""
        self.open = False
        if now > self.start:
            span, booked = self.peek(now)
            for port, held, n_bytes in booked:
                port.busy_cycles += held
                port.n_bytes += n_bytes
            self.spans.append(span)
