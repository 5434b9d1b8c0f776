"""A timeline as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tinysim.simulate.timeline import Timeline

__all__ = ["gantt"]

_COLOURS = {"layer": "C0", "tile": "C2", "transfer": "C1", "fetch": "C8", "interrupt": "C3", "driver": "C5",
            "switch": "C4", "wake": "C6", "idle": "0.85", "sleep": "0.93"}  # fmt: skip

#: Share of the width above which a bar has a white edge, which sets layers apart; below, its own colour makes it seen.
_EDGED = 3e-3


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
            colour = _COLOURS.get(kind, "C7")
            edges = ["white" if width > _EDGED * last * to_ms else colour for _, width in bars]
            ax.broken_barh(bars, (row - 0.4, 0.8), facecolor=colour, edgecolor=edges, linewidth=0.4)
    ax.set_yticks(range(len(rows)), rows)
    ax.invert_yaxis()
    ax.set_xlabel("time [ms]")
    handles = [Patch(color=_COLOURS.get(kind, "C7"), label=kind) for kind in kinds]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=8, frameon=False)
    return ax
