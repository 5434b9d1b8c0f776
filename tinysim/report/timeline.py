"""A timeline as tables for a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from tinysim.errors import InputError
from tinysim.report.text import console, make_table, si
from tinysim.simulate.records import LAYER_KINDS
from tinysim.simulate.timeline import Timeline

__all__ = ["print_timeline", "save_gantt"]


def print_timeline(timeline: Timeline, *, layers: int = 40) -> None:
    """Print totals, what each resource and port did, the first layers, tasks with deadlines and FIFOs."""
    out = console()
    out.print(_totals(timeline))
    out.print(_resources(timeline))
    out.print(_layers(timeline, layers))
    if len(timeline.jobs) > 1:
        out.print(_tasks(timeline))
    if timeline.fifos:
        out.print(_fifos(timeline))


def save_gantt(timeline: Timeline, path: Path) -> None:
    """Write the Gantt picture; the ending of the name gives the format.

    Raises:
        InputError: the file cannot be written, or matplotlib cannot write this format.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1.5 + 0.4 * len(timeline.resources)), layout="constrained")
    timeline.plot(figure.add_subplot())
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written: {' '.join(str(error).split())}") from error


def _totals(timeline: Timeline) -> Table:
    table = make_table("", {"": "left", " ": "left"})
    table.show_header = False
    table.add_row("cycles", f"{timeline.cycles:,} at {si(timeline.clock_hz, 'Hz')}")
    table.add_row("latency", si(timeline.latency_s, "s"))
    table.add_row("energy", si(timeline.energy_j, "J"))
    table.add_row("waiting for ports", f"{timeline.waited_cycles():,} cycles")
    table.add_row("events", f"{timeline.events:,}")
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _resources(timeline: Timeline) -> Table:
    columns = {"who": "left", "busy cycles": "right", "share": "right", "waited": "right", "bytes": "right"}
    table = make_table("resources and ports", columns)
    for name in timeline.resources:
        busy, moved = timeline.busy_cycles(name), sum(s.n_bytes for s in timeline.spans if s.resource == name)
        share, waited = _share(busy, timeline.cycles), timeline.waited_cycles(name)
        table.add_row(name, f"{busy:,}", share, f"{waited:,}", f"{moved:,}")
    for port in timeline.ports:
        if port.busy_cycles or port.n_bytes:
            share = _share(port.busy_cycles, timeline.cycles)
            table.add_row(f"port {port.name}", f"{port.busy_cycles:,}", share, "", f"{port.n_bytes:,}")
    return table


def _layers(timeline: Timeline, layers: int) -> Table:
    """Layers of the jobs; what waited or was interrupted is one row, from its first tick to its last."""
    found: list[tuple[int, int, str, str, str, int]] = []
    for span in timeline.spans:
        if span.kind in LAYER_KINDS:
            here = span.start, span.end, span.job, span.name, span.resource, span.waited
            if found and found[-1][2:4] == here[2:4]:
                start, end, *names, waited = found.pop()
                on = here[4] if span.kind == "tile" else names[2]
                here = start, max(end, span.end), span.job, span.name, on, waited + span.waited
            found.append(here)
    columns = {"start": "right", "job": "left", "layer": "left", "on": "left", "cycles": "right", "waited": "right"}
    table = make_table("layers", columns)
    for start, end, job, name, on, waited in found[:layers]:
        begin = si(start / timeline.clock_hz, "s")
        table.add_row(begin, job[-24:], name[-32:], on, f"{end - start:,}", f"{waited:,}")
    if len(found) > layers:
        table.add_row("", "", f"and {len(found) - layers} more", "", "", "")
    return table


def _tasks(timeline: Timeline) -> Table:
    columns = {"task": "left", "released": "right", "ended": "right", "dropped": "right", "mean response": "right",
               "worst": "right", "missed": "right"}  # fmt: skip
    table = make_table("tasks and traffic", columns)
    for name in timeline.tasks:
        jobs = timeline.of_task(name)
        times = [job.response for job in jobs if job.response is not None]
        mean = si(sum(times) / len(times) / timeline.clock_hz, "s") if times else ""
        worst = si(max(times) / timeline.clock_hz, "s") if times else ""
        missed = f"{timeline.miss_rate(name):.1%}" if any(job.deadline is not None for job in jobs) else ""
        dropped = sum(job.dropped for job in jobs)
        table.add_row(name, f"{len(jobs):,}", f"{len(times):,}", f"{dropped:,}", mean, worst, missed)
    return table


def _fifos(timeline: Timeline) -> Table:
    columns = {"sensor": "left", "samples": "right", "taken": "right", "lost": "right", "peak level": "right"}
    table = make_table("FIFOs", columns)
    for fifo in timeline.fifos:
        table.add_row(fifo.sensor, f"{fifo.arrived:,}", f"{fifo.taken:,}", f"{fifo.lost:,}", f"{fifo.peak:,}")
    return table
