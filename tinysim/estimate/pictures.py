"""Estimates as pictures: what figures are worth, and why two estimates differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinysim.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tinysim.estimate.comparison import Comparison
    from tinysim.estimate.roofline import Roofline
    from tinysim.estimate.sensitivity import Sensitivity

__all__ = ["roofs", "tornado", "waterfall"]

#: Okabe-Ito: told apart by colour-blind readers too.
_BLUE, _ORANGE, _GREY = "#0072B2", "#E69F00", "#777777"


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise InputError("pictures need matplotlib: pip install 'tinysim[plot]'") from error
    _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def tornado(result: Sensitivity, ax: Axes | None = None, top: int = 12) -> Axes:
    """Bars of the figures that matter most: change of latency and of energy in per cent.

    Raises:
        InputError: matplotlib is not installed.
    """
    acting = [row for row in result.rows if row.latency_change or row.energy_change][:top]
    ax = _axes(ax, 8.5, 1.2 + 0.42 * len(acting))
    places = range(len(acting))
    ax.barh([i - 0.2 for i in places], [row.latency_change * 100 for row in acting], 0.38, color=_BLUE, label="latency")
    ax.barh(
        [i + 0.2 for i in places], [(row.energy_change or 0) * 100 for row in acting], 0.38, color=_ORANGE,
        label="energy",
    )  # fmt: skip
    ax.set_yticks(list(places), [f"{row.part}: {row.figure}" for row in acting])
    ax.invert_yaxis()
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_xlabel(f"change [%] for {result.step * 100:+.3g} % of the figure")
    ax.set_title(result.title, loc="right", fontsize="medium")
    ax.legend(frameon=False)
    return ax


def waterfall(result: Comparison, ax: Axes | None = None) -> Axes:
    """From one latency to the other, a bar per cause, in ms.

    Raises:
        InputError: matplotlib is not installed.
    """
    steps = [(words, seconds * 1e3) for words, seconds in result.said_causes if seconds]
    ax = _axes(ax, 8.5, 1.8 + 0.4 * len(steps))
    first, last = result.a.latency_s * 1e3, result.b.latency_s * 1e3
    ax.barh(0, first, color=_GREY)
    reached, labels = first, [result.a_label]
    for place, (words, change) in enumerate(steps, start=1):
        ax.barh(place, change, left=reached, color=_ORANGE if change > 0 else _BLUE)
        ax.plot([reached, reached], [place - 1, place], color="black", linewidth=0.6)
        ax.annotate(
            f"{change:+.3g}", (max(reached, reached + change), place), xytext=(4, 0), textcoords="offset points",
            va="center",
        )  # fmt: skip
        reached += change
        labels.append(words)
    ax.barh(len(steps) + 1, last, color=_GREY)
    ax.plot([last, last], [len(steps), len(steps) + 1], color="black", linewidth=0.6)
    for place, value in ((0, first), (len(steps) + 1, last)):
        ax.annotate(f"{value:.4g}", (value, place), xytext=(4, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(steps) + 2), [*labels, result.b_label])
    ax.margins(x=0.12)
    ax.set_xlim(left=0)
    ax.invert_yaxis()
    ax.set_xlabel("latency [ms]")
    return ax


def roofs(result: Roofline, ax: Axes | None = None) -> Axes:
    """Rate over operational intensity of each operator, a colour per memory, with the memories' and engines' roofs.

    Raises:
        InputError: matplotlib is not installed.
    """
    ax = _axes(ax, 8, 5)
    frame, top = result.frame, max(result.peak_macs_per_s.values())
    reached = frame.reached_macs_per_s.to_numpy()
    for colour, (name, rate) in enumerate(result.bandwidth_bytes_per_s.items()):
        moved = frame[f"{name}_bytes"].to_numpy(dtype=float)
        seen = moved > 0
        intensity = frame.macs.to_numpy(dtype=float)[seen] / moved[seen]
        ax.scatter(intensity, reached[seen], s=22, color=f"C{colour}", zorder=3)
        reach = np.array([intensity.min(initial=0.1) / 3, top / rate])
        ax.plot(reach, reach * rate, color=f"C{colour}", label=f"{name}: {rate / 1e6:,.0f} MB/s")
    right = ax.get_xlim()[1] * 3
    for engine, peak in result.peak_macs_per_s.items():
        left = peak / max(result.bandwidth_bytes_per_s.values(), default=peak)
        ax.plot([left, max(right, left * 10)], [peak, peak], color="black", lw=1.2)
        ax.annotate(f"{engine}: {peak / 1e6:,.0f} M MAC/s", (left, peak), xytext=(2, 4), textcoords="offset points")
    ax.set(xscale="log", yscale="log", xlabel="MAC per byte of the memory", ylabel="MAC/s", title=result.title)
    ax.grid(visible=True, which="major", alpha=0.3)
    ax.legend(loc="lower right", fontsize="small")
    return ax
