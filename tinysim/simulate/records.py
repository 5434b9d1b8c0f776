"""What a run leaves behind: spans of work on tracks, jobs, ports and FIFOs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from tinysim.simulate.port import Port
from tinysim.simulate.stream import Stream

__all__ = [
    "LAYER_KINDS",
    "FifoRecord",
    "JobRecord",
    "JobRow",
    "PortRecord",
    "Row",
    "Span",
    "Track",
    "jobs_of",
    "spans_of",
]

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


#: A `Span` and a `JobRecord` as they are written down while a run goes on.
Row = tuple[str, str, str, str, int, int, int, int, float]
JobRow = tuple[str, int, int, int | None, int | None, int | None, bool]


def spans_of(flat: Sequence[Any]) -> list[Span]:
    """Spans from their fields, one after the other."""
    return list(map(_new_span, zip(*[iter(flat)] * len(Span._fields), strict=True)))


def jobs_of(flat: Sequence[Any]) -> list[JobRecord]:
    """Jobs from their fields, one after the other."""
    return list(map(_new_job, zip(*[iter(flat)] * len(JobRecord._fields), strict=True)))


#: `_make` of the two without a frame of Python for each.
_new_span: Callable[[tuple[Any, ...]], Span] = partial(tuple.__new__, Span)
_new_job: Callable[[tuple[Any, ...]], JobRecord] = partial(tuple.__new__, JobRecord)

_NOTHING: list[tuple[Port, int, int]] = []


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
        "rows",
        "start",
        "stream",
        "watts",
    )

    def __init__(self, resource: str, clock_hz: float, rows: list[Any]) -> None:
        """`rows`: where spans are written down, field after field (tuples would keep the garbage collector busy)."""
        self.resource, self.clock_hz, self.rows = resource, clock_hz, rows
        self.open = False

    def begin(
        self, now: int, name: str, kind: str, job: str = "", stream: Stream | None = None, watts: float = 0.0,
        joules: float = 0.0,
    ) -> None:  # fmt: skip
        """Something starts that draws `watts`, and `joules` in proportion to the stream's progress."""
        self.open, self.start, self.name, self.kind, self.job = True, now, name, kind, job
        self.stream, self.watts, self.joules = stream, watts, joules
        self.done = 0 if stream is None else stream.done

    def peek(self, now: int) -> tuple[Row, list[tuple[Port, int, int]]]:
        """The open span as if it ended now, and what it did to the ports."""
        stream, start = self.stream, self.start
        elapsed = now - start
        joules = elapsed / self.clock_hz * self.watts
        moved, waited, booked = 0, 0, _NOTHING
        if stream is not None:
            if stream.attached:
                stream.advance(now)
            begun, done = self.done, stream.done
            waited = elapsed - done + begun
            if stream.ports:
                if not begun and done == stream.total:
                    booked, moved = stream.layout.booked, stream.layout.moved
                else:
                    booked = stream.booked(begun, done)
                    moved = sum([n_bytes for _, _, n_bytes in booked])
            if self.joules:
                joules += self.joules * (done - begun) / stream.total
        return (self.resource, self.name, self.kind, self.job, start, now, moved, waited, joules), booked

    def end(self, now: int) -> None:
        """It ends; nothing is left of what took no time."""
        self.open = False
        start, stream = self.start, self.stream
        if now == start:
            return
        if stream is None:  # idle, asleep, changing tasks
            joules = (now - start) / self.clock_hz * self.watts
            self.rows += (self.resource, self.name, self.kind, self.job, start, now, 0, 0, joules)
            return
        if stream.attached or self.done or self.joules or stream.done < stream.total:
            row, booked = self.peek(now)
        else:  # the whole of a stretch of work
            elapsed, layout = now - start, stream.layout
            joules, booked = elapsed / self.clock_hz * self.watts, layout.booked
            waited = elapsed - stream.total
            row = (self.resource, self.name, self.kind, self.job, start, now, layout.moved, waited, joules)
        for port, held, n_bytes in booked:
            port.busy_cycles += held
            port.n_bytes += n_bytes
        self.rows += row
