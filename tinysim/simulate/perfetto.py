"""A timeline as Chrome trace JSON, which ui.perfetto.dev and chrome://tracing open.

Format: "Trace Event Format", Google, section "JSON Object Format": complete events (``ph: X``) with `ts` and `dur` in
microseconds, metadata events (``ph: M``) that name processes and threads. Times are whole nanoseconds, so that spans
that touch do not overlap after rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinysim.errors import InputError
from tinysim.simulate.records import LAYER_KINDS

if TYPE_CHECKING:
    from tinysim.simulate.timeline import Timeline

__all__ = ["check_trace", "trace_document"]

_PARTS, _TASKS = 1, 2
_METADATA = {"process_name": ("name", str), "thread_name": ("name", str), "thread_sort_index": ("sort_index", int)}


def trace_document(timeline: Timeline) -> dict[str, Any]:
    """Tracks of the parts (what each did), and tracks of the tasks (jobs, with their layers inside).

    Jobs of one task that are under way at the same time (one on the accelerator, the next on the core) lie on tracks
    of their own, since the slices of a track must nest.
    """
    scale = 1e9 / timeline.clock_hz

    def complete(
        pid: int, tid: int, name: str, kind: str, start: int, end: int, args: dict[str, Any]
    ) -> dict[str, Any]:
        begin_ns, end_ns = round(start * scale), round(end * scale)
        return {"ph": "X", "pid": pid, "tid": tid, "name": name, "cat": kind, "ts": begin_ns / 1e3,
                "dur": (end_ns - begin_ns) / 1e3, "args": args}  # fmt: skip

    parts = {name: tid for tid, name in enumerate(timeline.resources, 1)}
    found: list[dict[str, Any]] = []
    layers: dict[str, list[tuple[str, int, int]]] = {}
    for span in timeline.spans:
        args: dict[str, Any] = {"cycles": span.end - span.start, "bytes": span.n_bytes, "waited_cycles": span.waited}
        args |= {"energy_j": span.joules} if timeline.priced else {}
        args |= {"job": span.job} if span.job else {}
        found.append(complete(_PARTS, parts[span.resource], span.name, span.kind, span.start, span.end, args))
        if span.kind in LAYER_KINDS:  # a layer may come in pieces, and its data meanwhile
            seen = layers.setdefault(span.job, [])
            begun = seen.pop() if seen and seen[-1][0] == span.name else (span.name, span.start, span.end)
            seen.append((span.name, begun[1], max(begun[2], span.end)))
    lanes: dict[str, list[int]] = {}
    tracks: dict[str, int] = {}
    for record in sorted((job for job in timeline.jobs if job.start is not None), key=lambda job: job.start or 0):
        start, end = record.start or 0, timeline.cycles if record.end is None else record.end
        busy = lanes.setdefault(record.task, [])
        lane = next((lane for lane, until in enumerate(busy) if until <= start), len(busy))
        busy[lane : lane + 1] = [end]
        tid = tracks.setdefault(record.task if not lane else f"{record.task} ({lane + 1})", len(tracks) + 1)
        label = f"{record.task}#{record.number}"
        args = {
            "release_s": record.release / timeline.clock_hz,
            "waited_for_core_cycles": start - record.release,
        }
        args |= {"missed": end > record.deadline} if record.deadline is not None else {}
        found.append(complete(_TASKS, tid, label, "job", start, end, args))
        found += [complete(_TASKS, tid, name, "layer", first, last, {}) for name, first, last in layers.get(label, [])]
    names = [_name("process_name", _PARTS, 0, "parts"), _name("process_name", _TASKS, 0, "tasks")]
    names += [_name("thread_name", _PARTS, tid, name) for name, tid in parts.items()]
    names += [_name("thread_name", _TASKS, tid, name) for name, tid in tracks.items()]
    names += [_sort(_PARTS, tid) for tid in parts.values()] + [_sort(_TASKS, tid) for tid in tracks.values()]
    return {
        "displayTimeUnit": "ns",
        "otherData": {"clock_hz": timeline.clock_hz, "cycles": timeline.cycles},
        "traceEvents": names + found,
    }


def _name(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return _metadata(what, pid, tid, {"name": name})


def _sort(pid: int, tid: int) -> dict[str, Any]:
    return _metadata("thread_sort_index", pid, tid, {"sort_index": tid})


def _metadata(what: str, pid: int, tid: int, args: dict[str, Any]) -> dict[str, Any]:
    """As Chrome writes it: strict readers want a category and a time here too."""
    return {"ph": "M", "pid": pid, "tid": tid, "ts": 0, "cat": "__metadata", "name": what, "args": args}


def check_trace(document: dict[str, Any]) -> int:
    """Check a trace against the format; return the number of complete events.

    Every event has phase, process, thread and name; complete events have times that are not negative, those of one
    thread nest, and every thread that has some is named.

    Raises:
        InputError: the first fault, with the position of its event.
    """
    events = document.get("traceEvents") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise InputError("trace: needs a list traceEvents")
    if document.get("displayTimeUnit", "ms") not in ("ms", "ns"):
        raise InputError(f"trace: displayTimeUnit is ms or ns, not {document['displayTimeUnit']!r}")
    threads: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    named: set[tuple[int, int]] = set()
    for position, event in enumerate(events):
        where = f"trace: traceEvents[{position}]"
        for key, kind in (("ph", str), ("name", str), ("pid", int), ("tid", int)):
            if not isinstance(event.get(key), kind):
                raise InputError(f"{where}: needs {key} of type {kind.__name__}, got {event.get(key)!r}")
        if not isinstance(event.get("args", {}), dict) or not isinstance(event.get("cat", ""), str):
            raise InputError(f"{where}: args must be an object and cat a text")
        track = event["pid"], event["tid"]
        if event["ph"] == "M":
            wanted = _METADATA.get(event["name"])
            if wanted is None or not isinstance(event["args"].get(wanted[0]), wanted[1]):
                raise InputError(f"{where}: metadata needs args.{'name' if wanted is None else wanted[0]}")
            if event["name"] == "thread_name":
                named.add(track)
        elif event["ph"] == "X":
            times = event.get("ts"), event.get("dur")
            if not all(isinstance(time, (int, float)) and 0 <= time < float("inf") for time in times):
                raise InputError(f"{where}: needs ts and dur that are not negative, got {times}")
            begin, length = (round(float(time) * 1e3) for time in times)
            threads.setdefault(track, []).append((begin, -length, position))
        else:
            raise InputError(f"{where}: unknown phase {event['ph']!r}; accepted: M, X")
    for track, spans in threads.items():
        if track not in named:
            raise InputError(f"trace: thread {track[1]} of process {track[0]} has no thread_name")
        ends: list[int] = []
        for begin, negative, position in sorted(spans):
            while ends and ends[-1] <= begin:
                ends.pop()
            if ends and begin - negative > ends[-1]:
                raise InputError(f"trace: traceEvents[{position}] leaves the span around it")
            ends.append(begin - negative)
    return sum(len(spans) for spans in threads.values())
