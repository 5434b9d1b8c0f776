"""`Timeline`: who did what, when, with how many bytes and joules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from tinysim.errors import InputError, nearest
from tinysim.simulate.records import FifoRecord, JobRecord, PortRecord, Span, jobs_of, spans_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["Timeline"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Timeline:
    """Result of a simulation. A tick is one cycle of `clock_hz`."""

    clock_hz: float
    cycles: int
    """ticks from the start to the end: those of the inference, if that is all that ran"""
    span_fields: Sequence[Any]
    """fields of all spans, one after the other: `spans` makes them when it is asked"""
    job_fields: Sequence[Any]
    """likewise for `jobs`"""
    ports: tuple[PortRecord, ...]
    fifos: tuple[FifoRecord, ...]
    mean_jobs: float
    """jobs and blocks in the system, mean over time"""
    events: int
    """events that the run took"""
    priced: bool
    """whether the power of a core is known"""

    @property
    def latency_s(self) -> float:
        """Time from the start to the end [s]."""
        return self.cycles / self.clock_hz

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """Spans by start; those of one core cover its whole time."""
        return tuple(sorted(spans_of(self.span_fields), key=itemgetter(4, 0, 5)))

    @cached_property
    def jobs(self) -> tuple[JobRecord, ...]:
        """Releases of tasks and blocks of DMA traffic, by release."""
        return tuple(sorted(jobs_of(self.job_fields), key=itemgetter(2, 0, 1)))

    @cached_property
    def energy_j(self) -> float | None:
        """Energy of all spans [J]; None if the power of a core is unknown."""
        return float(sum(span.joules for span in self.spans)) if self.priced else None

    @cached_property
    def resources(self) -> tuple[str, ...]:
        """Who did something, in order of first appearance."""
        return tuple(dict.fromkeys(span.resource for span in self.spans))

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Tasks and traffic that were released."""
        return tuple(dict.fromkeys(job.task for job in self.jobs))

    def busy_cycles(self, resource: str) -> int:
        """Ticks in which a resource neither idled nor slept."""
        return sum(s.end - s.start for s in self.spans if s.resource == resource and s.kind not in ("idle", "sleep"))

    def waited_cycles(self, resource: str | None = None) -> int:
        """Ticks that a resource (all of them if None) spent waiting for ports."""
        return sum(s.waited for s in self.spans if resource in (None, s.resource))

    def of_task(self, task: str) -> tuple[JobRecord, ...]:
        """Jobs of a task.

        Raises:
            InputError: nothing of this name was released.
        """
        if task not in self.tasks:
            raise InputError(f"no task {task!r} was released; {nearest(task, self.tasks)}")
        return tuple(job for job in self.jobs if job.task == task)

    def miss_rate(self, task: str) -> float:
        """Share of a task's jobs that ended late, were dropped, or are overdue; of those whose deadline is past.

        Raises:
            InputError: nothing of this name was released.
        """
        due = [
            j for j in self.of_task(task) if j.deadline is not None and (j.dropped or j.end or j.deadline < self.cycles)
        ]
        missed = [j for j in due if j.end is None or (j.deadline is not None and j.end > j.deadline)]
        return len(missed) / len(due) if due else 0.0

    def to_frame(self) -> pd.DataFrame:
        """A row per span; units in the column names, ticks as cycles."""
        import pandas as pd

        frame = pd.DataFrame(self.spans, columns=list(Span._fields)).rename(
            columns={"start": "start_cycles", "end": "end_cycles", "waited": "waited_cycles", "joules": "energy_j"}
        )
        frame.insert(4, "start_s", frame["start_cycles"] / self.clock_hz)
        frame.insert(5, "duration_s", (frame["end_cycles"] - frame["start_cycles"]) / self.clock_hz)
        return frame if self.priced else frame.assign(energy_j=float("nan"))

    def jobs_frame(self) -> pd.DataFrame:
        """A row per job; times in seconds."""
        import pandas as pd

        def seconds(tick: int | None) -> float:
            return float("nan") if tick is None else tick / self.clock_hz

        rows = [
            (j.task, j.number, seconds(j.release), seconds(j.start), seconds(j.end), seconds(j.response),
             seconds(j.deadline), j.dropped)
            for j in self.jobs
        ]  # fmt: skip
        names = ["task", "number", "release_s", "start_s", "end_s", "response_s", "deadline_s", "dropped"]
        return pd.DataFrame(rows, columns=names)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data: the document that ``tinysim simulate --json`` prints."""
        joules = self.priced
        return {
            "clock_hz": self.clock_hz,
            "cycles": self.cycles,
            "latency_s": self.latency_s,
            "energy_j": self.energy_j,
            "waited_cycles": {name: self.waited_cycles(name) for name in self.resources},
            "busy_cycles": {name: self.busy_cycles(name) for name in self.resources},
            "miss_rate": {n: self.miss_rate(n) for n in self.tasks if any(j.deadline for j in self.of_task(n))},
            "ports": [port._asdict() for port in self.ports],
            "fifos": [fifo._asdict() for fifo in self.fifos],
            "jobs": [job._asdict() for job in self.jobs],
            "spans": [span._asdict() | ({} if joules else {"joules": None}) for span in self.spans],
        }

    def to_perfetto(self) -> dict[str, Any]:
        """Chrome trace JSON as plain data; opens in ui.perfetto.dev (see `tinysim.simulate.perfetto`)."""
        from tinysim.simulate.perfetto import trace_document

        return trace_document(self)

    def plot(self, ax: Axes | None = None, *, until_s: float | None = None) -> Axes:
        """Gantt picture: a row per resource. Needs matplotlib (extra ``plot``)."""
        from tinysim.simulate.gantt import gantt

        return gantt(self, ax, until_s=until_s)

    def __repr__(self) -> str:
        energy = "" if self.energy_j is None else f", {self.energy_j * 1e3:.4g} mJ"
        return (
            f"Timeline({self.latency_s * 1e3:.4g} ms, {self.cycles:,} cycles{energy}, {len(self.jobs)} jobs, "
            f"{len(self.spans)} spans on {len(self.resources)} resources)"
        )
