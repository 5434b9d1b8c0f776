"""A timeline as Chrome trace JSON, which ui.perfetto.dev and chrome://tracing open.

Format: "Trace Event Format", Google, section "JSON Object Format": complete events (``ph: X``) with `ts` and `dur` in
microseconds, metadata events (``ph: M``) that name processes and threads. Times are whole nanoseconds, so that spans
that touch do not overlap after rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinysim.errors import InputError

if TYPE_CHECKING:
    from tinysim.simulate.timeline import Timeline

__all__ = ["check_trace", "trace_document"]

_PARTS, _TASKS = 1, 2


def trace_document(timeline: Timeline) -> dict[str, Any]:
    """Tracks of the parts (what each did), and tracks of the tasks (jobs, with their layers inside)."""
    scale = 1e9 / timeline.clock_hz

    def complete(
        pid: int, tid: int, name: str, kind: str, start: int, end: int, args: dict[str, Any]
    ) -> dict[str, Any]:
        begin_ns, end_ns = round(start * scale), round(end * scale)
        return {"ph": "X", "pid": pid, "tid": tid, "name": name, "cat": kind, "ts": begin_ns / 1e3,
                "dur": (end_ns - begin_ns) / 1e3, "args": args}  # fmt: skip

    parts = {name: tid for tid, name in enumerate(timeline.resources, 1)}
    tasks = {name: tid for tid, name in enumerate(timeline.tasks, 1)}
    events = [_name("process_name", _PARTS, 0, "parts"), _name("process_name", _TASKS, 0, "tasks")]
    events += [_name("thread_name", _PARTS, tid, name) for name, tid in parts.items()]
    events += [_name("thread_name", _TASKS, tid, name) for name, tid in tasks.items()]
    inner: dict[tuple[str, str], list[int]] = {}
    for span in timeline.spans:
        args: dict[str, Any] = {"cycles": span.end - span.start, "bytes": span.n_bytes, "waited_cycles": span.waited}
        args |= {"energy_j": span.joules} if timeline.priced else {}
        args |= {"job": span.job} if span.job else {}
        events.append(complete(_PARTS, parts[span.resource], span.name, span.kind, span.start, span.end, args))
        if span.kind in ("layer", "tile"):
            seen = inner.setdefault((span.job, span.name), [span.start, span.end])
            seen[0], seen[1] = min(seen[0], span.start), max(seen[1], span.end)
    layers: dict[str, list[tuple[str, int, int]]] = {}
    for (job, name), (start, end) in inner.items():
        layers.setdefault(job, []).append((name, start, end))
    for record in timeline.jobs:
        if record.start is None:
            continue
        label, tid = f"{record.task}#{record.number}", tasks[record.task]
        end = timeline.cycles if record.end is None else record.end
        args = {
            "release_s": record.release / timeline.clock_hz,
            "waited_for_core_cycles": record.start - record.release,
        }
        args |= {"missed": end > record.deadline} if record.deadline is not None else {}
        events.append(complete(_TASKS, tid, label, "job", record.start, end, args))
        events += [complete(_TASKS, tid, name, "layer", first, last, {}) for name, first, last in layers.get(label, [])]
    return {"displayTimeUnit": "ns", "otherData": {"clock_hz": timeline.clock_hz}, "traceEvents": events}


def _name(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": pid, "tid": tid, "name": what, "args": {"name": name}}


def check_trace(document: dict[str, Any]) -> int:
    """Check a trace against the format; return the number of complete events.

    Every event has phase, process, thread and name; complete events have times that are not negative, and those of
    one thread nest.

    Raises:
        InputError: the first fault, with the position of its event.
    """
    events = document.get("traceEvents") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise InputError("trace: needs a list traceEvents")
    threads: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for position, event in enumerate(events):
        where = f"trace: traceEvents[{position}]"
        for key, kind in (("ph", str), ("name", str), ("pid", int), ("tid", int)):
            if not isinstance(event.get(key), kind):
                raise InputError(f"{where}: needs {key} of type {kind.__name__}, got {event.get(key)!r}")
        if event["ph"] == "M":
            if event["name"] not in ("process_name", "thread_name") or not isinstance(event["args"].get("name"), str):
                raise InputError(f"{where}: metadata needs args.name")
        elif event["ph"] == "X":
            times = event.get("ts"), event.get("dur")
            if not all(isinstance(time, (int, float)) and 0 <= time < float("inf") for time in times):
                raise InputError(f"{where}: needs ts and dur that are not negative, got {times}")
            begin, length = (round(float(time) * 1e3) for time in times)
            threads.setdefault((event["pid"], event["tid"]), []).append((begin, -length, position))
        else:
            raise InputError(f"{where}: unknown phase {event['ph']!r}; accepted: M, X")
    for spans in threads.values():
        ends: list[int] = []
        for begin, negative, position in sorted(spans):
            while ends and ends[-1] <= begin:
                ends.pop()
            if ends and begin - negative > ends[-1]:
                raise InputError(f"trace: traceEvents[{position}] leaves the span around it")
            ends.append(begin - negative)
    return sum(len(spans) for spans in threads.values())
