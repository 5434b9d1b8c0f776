"""Who is in the system: jobs and blocks from release to end."""

from __future__ import annotations

from itertools import chain
from typing import Any

from tinysim.simulate.records import JobRow
from tinysim.simulate.ticks import Env

__all__ = ["Client", "Entry", "Ledger"]


class Client:
    """A task or traffic whose jobs are counted."""

    __slots__ = ("backlog", "deadline", "name", "numbers", "pending")

    def __init__(self, name: str, backlog: int, deadline: int | None) -> None:
        """`deadline`: ticks from the release; None for none."""
        self.name, self.backlog, self.deadline = name, backlog, deadline
        self.numbers = self.pending = 0


class Entry:
    """A job or block that was released and has not ended."""

    __slots__ = ("client", "ends", "label", "number", "release", "start")

    def __init__(self, client: Client, number: int, release: int, ends: bool) -> None:
        self.client, self.number, self.release, self.ends = client, number, release, ends
        self.label = f"{client.name}#{number}"
        """name of the job, e.g. ``kws#0``"""
        self.start: int | None = None

    def row(self, end: int | None = None, *, dropped: bool = False) -> JobRow:
        """The entry as it is written down."""
        client, release = self.client, self.release
        due = None if client.deadline is None else release + client.deadline
        return (client.name, self.number, release, self.start, end, due, dropped)


class Ledger:
    """Entries, and the integral of their number over time."""

    __slots__ = ("_area", "_clients", "_present", "_since", "env", "left", "rows")

    def __init__(self, env: Env, left: int) -> None:
        """`left`: jobs whose end the run waits for."""
        self.env, self.left = env, left
        self.rows: list[Any] = []
        """fields of ended jobs, one after the other"""
        self._present: dict[Entry, None] = {}
        self._clients: dict[str, Client] = {}
        self._area = self._since = 0

    def client(self, name: str, *, backlog: int, deadline: int | None = None) -> Client:
        """The task or traffic of a name, whose jobs may be released from several sides."""
        return self._clients.setdefault(name, Client(name, backlog, deadline))

    def open(self, client: Client, *, ends: bool = False) -> Entry | None:
        """Let one in; None if it is dropped: one runs and `backlog` wait."""
        now, number = self.env.tick, client.numbers
        client.numbers = number + 1
        entry = Entry(client, number, now, ends)
        if client.pending > client.backlog:
            self.rows += entry.row(dropped=True)
            self.left -= ends
            return None
        self._area += len(self._present) * (now - self._since)
        self._since = now
        self._present[entry] = None
        client.pending += 1
        return entry

    def close(self, entry: Entry) -> None:
        """It has ended."""
        now = self.env.tick
        self._area += len(self._present) * (now - self._since)
        self._since = now
        del self._present[entry]
        entry.client.pending -= 1
        self.left -= entry.ends
        self.rows += entry.row(now)

    def mean(self) -> float:
        """Mean number in the system so far."""
        now = self.env.tick
        return (self._area + len(self._present) * (now - self._since)) / now if now else 0.0

    def fields(self) -> list[Any]:
        """Fields of all jobs, also of those that have not ended."""
        return [*self.rows, *chain.from_iterable(entry.row() for entry in self._present)]
