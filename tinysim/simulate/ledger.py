"""Who is in the system: jobs and blocks from release to end."""

from __future__ import annotations

from tinysim.simulate.records import JobRecord
from tinysim.simulate.ticks import Env

__all__ = ["Entry", "Ledger"]


class Entry:
    """A job or block that was released and has not ended."""

    __slots__ = ("deadline", "ends", "number", "release", "start", "task")

    def __init__(self, task: str, number: int, release: int, deadline: int | None, ends: bool) -> None:
        self.task, self.number, self.release, self.deadline, self.ends = task, number, release, deadline, ends
        self.start: int | None = None

    @property
    def label(self) -> str:
        """Name of the job, e.g. ``kws#0``."""
        return f"{self.task}#{self.number}"

    def record(self, end: int | None = None, *, dropped: bool = False) -> JobRecord:
        """The entry as it is written down."""
        return JobRecord(self.task, self.number, self.release, self.start, end, self.deadline, dropped)


class Ledger:
    """Entries, and the integral of their number over time."""

    def __init__(self, env: Env, left: int) -> None:
        """`left`: jobs whose end the run waits for."""
        self.env, self.left = env, left
        self.records: list[JobRecord] = []
        self._present: dict[Entry, None] = {}
        self._pending: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._area = self._since = 0

    def open(self, task: str, *, backlog: int, deadline: int | None = None, ends: bool = False) -> Entry | None:
        """Let one in `deadline` ticks before it is due; None if it is dropped: one runs and `backlog` wait."""
        number = self._numbers.get(task, 0)
        self._numbers[task] = number + 1
        now = self.env.now
        entry = Entry(task, number, now, None if deadline is None else now + deadline, ends)
        pending = self._pending.get(task, 0)
        if pending > backlog:
            self.records.append(entry.record(dropped=True))
            self.left -= ends
            return None
        self._integrate()
        self._present[entry] = None
        self._pending[task] = pending + 1
        return entry

    def close(self, entry: Entry) -> None:
        """It has ended."""
        self._integrate()
        del self._present[entry]
        self._pending[entry.task] -= 1
        self.left -= entry.ends
        self.records.append(entry.record(self.env.now))

    def _integrate(self) -> None:
        self._area += len(self._present) * (self.env.now - self._since)
        self._since = self.env.now

    def mean(self) -> float:
        """Mean number in the system so far."""
        self._integrate()
        return self._area / self.env.now if self.env.now else 0.0

    def present(self) -> list[JobRecord]:
        """What has not ended."""
        return [entry.record() for entry in self._present]
