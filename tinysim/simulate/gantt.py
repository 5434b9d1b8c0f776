"""A timeline as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tinysim.simulate.timeline import Timeline

__all__ = ["gantt"]

_COLOURS = {"layer": "C0", "tile": "C2", "transfer": "C1", "interrupt": "C3", "switch": "C4", "wake": "C4",
            "idle": "0.85", "sleep": "0.93"}  # fmt: skip


def gantt(timeline: Timeline, ax: Axes | None = None, *, until_s: float | None = None) -> Axes:
    """Draw a row per resource, a bar per span, coloured by kind; times in ms."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    rows = timeline.resources
    if ax is None:
        _, ax = plt.subplots(figsize=(10, 1 + 0.5 * len(rows)), layout="constrained")
    last = timeline.cycles if until_s is None else until_s * timeline.clock_hz
    to_ms = 1e3 / timeline.clock_hz
    shown = [span for span in timeline.spans if span.start < last]
    kinds = list(dict.fromkeys(span.kind for span in shown))
    for kind in kinds:
        for row, name in enumerate(rows):
            bars = [
                (span.start * to_ms, (min(span.end, last) - span.start) * to_ms)
                for span in shown
                if span.kind == kind and span.resource == name
            ]
            ax.broken_barh(bars, (row - 0.4, 0.8), color=_COLOURS[kind])
    ax.set_yticks(range(len(rows)), rows)
    ax.invert_yaxis()
    ax.set_xlabel("time [ms]")
    handles = [Patch(color=_COLOURS[kind], label=kind) for kind in kinds]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=8, frameon=False)
    return ax
