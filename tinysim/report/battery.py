"""A battery life as tables for a terminal, a picture, and a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinysim.report.page import COLOURS, GREY, html_table, new_figure, save_png, styled, write_page
from tinysim.report.text import console, make_table, si
from tinysim.scenario.life import DAY_S, BatteryLife, in_days
from tinysim.scenario.timeline import Stretch, timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_battery", "print_battery", "write_battery_page", "write_battery_png"]


def print_battery(life: BatteryLife, *, level: float = 0.9) -> None:
    """Print lifetime, consumers, what it depends on, and the sentence."""
    out = console()
    low, high = life.sample.interval(level)
    battery = life.plan.battery
    totals = make_table("", {"": "left", " ": "left"})
    totals.show_header = False
    totals.add_row("lifetime", f"{in_days(life.lifetime_s)}   {level:.0%} interval {in_days(low)} to {in_days(high)}")
    note = "" if life.run.cause else f"   (closed form; events were stepped for {in_days(life.run.time_s)})"
    totals.add_row("ends for want of", (life.cause or "nothing") + note)
    totals.add_row("mean current", f"{si(life.mean.cell_a, 'A')} from the cell")
    totals.add_row("mean power", f"{si(life.mean.power_w, 'W')} at the rail of {battery.rail_v:g} V")
    totals.add_row("awake", f"{life.mean.busy:.3%} of the time")
    for name, share in life.miss_share.items():
        totals.add_row(f"late: {name}", f"{share:.3%} of {life.run.events[name]:,} events")
    out.print(f"[bold]{life.plan.name}[/]", highlight=False)
    out.print(totals)
    out.print()
    out.print(_table("consumers", _CONSUMERS, _consumer_rows(life)))
    out.print()
    out.print(_table("what the lifetime depends on", _BARS, _bar_rows(life)))
    out.print()
    out.print(life.answer(level), highlight=False, soft_wrap=True)


_CONSUMERS = ["consumer", "mean current", "energy per day", "share"]
_BARS = ["input", "range", "lifetime low", "lifetime high"]


def _table(title: str, head: list[str], rows: list[list[str]]) -> Any:
    table = make_table(title, {name: "right" if n else "left" for n, name in enumerate(head)})
    for row in rows:
        table.add_row(*row)
    return table


def _consumer_rows(life: BatteryLife) -> list[list[str]]:
    rail, shares = life.plan.battery.rail_v, life.shares()
    means = life.mean.current_a
    order = sorted(shares, key=lambda name: -shares[name])
    return [
        [
            name,
            si(means[name], "A", 3) if name in means else "",
            si(means[name] * rail * DAY_S, "J", 3) if name in means else "",
            f"{shares[name]:.1%}",
        ]
        for name in order
    ]


def _bar_rows(life: BatteryLife) -> list[list[str]]:
    return [
        [
            bar.name,
            f"±{bar.half_width:.0%}" + ("" if bar.stated else " (not stated)"),
            in_days(min(bar.low_s, bar.high_s)),
            in_days(max(bar.low_s, bar.high_s)),
        ]
        for bar in life.bars[:8]
    ]


# -- picture --------------------------------------------------------------------------------------------------------


def draw_battery(life: BatteryLife, *, span_s: float | None = None) -> Figure:
    """Breakdown, state timeline, tornado and lifetimes.

    span_s: length of the timeline from power-on; by default it shows the first event on the longest path.
    """
    figure = new_figure(10.0, 7.5)
    with styled():
        grid = figure.add_gridspec(3, 2, height_ratios=[0.5, 1.2, 1.4], width_ratios=[1.3, 1.0])
        _draw_shares(figure.add_subplot(grid[0, :]), life)
        _draw_timeline(figure.add_subplot(grid[1, :]), life, span_s)
        _draw_tornado(figure.add_subplot(grid[2, 0]), life)
        _draw_sample(figure.add_subplot(grid[2, 1]), life)
    return figure


def write_battery_png(life: BatteryLife, path: Path) -> None:
    """Write the picture."""
    save_png(draw_battery(life), path)


def write_battery_page(life: BatteryLife, path: Path, *, level: float = 0.9) -> None:
    """Write the page."""
    tables = [
        ("Consumers", html_table(_CONSUMERS, _consumer_rows(life))),
        ("What the lifetime depends on", html_table(_BARS, _bar_rows(life))),
    ]
    write_page(path, life.plan.name, life.answer(level), tables, draw_battery(life))


def _draw_shares(axes: Axes, life: BatteryLife) -> None:
    shares = sorted(life.shares().items(), key=lambda item: -item[1])
    shown = [item for item in shares if item[1] >= 0.01][:7]
    rest = 1.0 - sum(share for _, share in shown)
    if rest > 5e-4:
        shown.append((f"{len(shares) - len(shown)} others", rest))
    left = 0.0
    for n, (name, share) in enumerate(shown):
        colour = GREY if name.endswith(" others") else COLOURS[n % len(COLOURS)]
        axes.barh(0, share, left=left, color=colour, label=f"{name}  {share:.1%}", edgecolor="white")
        left += share
    axes.set(xlim=(0, 1), yticks=[], xticks=[], title=f"Where the charge goes: {_micro(life.mean.cell_a)} on average")
    axes.spines[:].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=4, handlelength=1.0)


def _micro(current_a: float) -> str:
    return si(current_a, "A", 3).replace("uA", "µA")


def _draw_timeline(axes: Axes, life: BatteryLife, span_s: float | None) -> None:
    shown, start = _scene(life, span_s)
    states = list(dict.fromkeys(s.state for s in shown if s.state != "sleep"))
    colour = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(states)} | {"sleep": GREY}
    scale, unit = (1e3, "ms") if shown[-1].end_s - start < 1.0 else (1.0, "s")
    floor = max(min(s.current_a for s in shown) * 0.5, 1e-9)
    seen: set[str] = set()
    for stretch in shown:
        x = ((stretch.start_s - start) * scale, (stretch.end_s - start) * scale)
        label = "" if stretch.state in seen else stretch.state
        seen.add(stretch.state)
        axes.fill_between(x, floor, stretch.current_a, color=colour[stretch.state], label=label, linewidth=0)
    axes.plot(*_outline(shown, start, scale), color="#333333", linewidth=0.6)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: _micro(value))
    axes.yaxis.set_minor_formatter(lambda _value, _: "")
    axes.set(xlim=(0, (shown[-1].end_s - start) * scale), ylim=(floor, None), xlabel=f"time [{unit}]")
    axes.set_title("States and current at the rail")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.0, fontsize=8)


def _outline(stretches: list[Stretch], start_s: float, scale: float) -> tuple[list[float], list[float]]:
    times = [(t - start_s) * scale for s in stretches for t in (s.start_s, s.end_s)]
    return times, [s.current_a for s in stretches for _ in (0, 1)]


def _scene(life: BatteryLife, span_s: float | None) -> tuple[list[Stretch], float]:
    """The stretches around the longest time awake among the first few thousand events, and their start."""
    plan = life.plan
    film = timeline(plan, span_s or 3000.0 / sum(a.arrivals.rate_hz for a in plan.activities), seed=life.sample.seed)
    film = [replace(s, state=s.state.split(":")[0]) for s in film]
    if span_s is not None:
        return film, 0.0
    begin, best = 0.0, (0.0, 0.0)
    for stretch in film:
        if stretch.state == "sleep":
            begin = stretch.end_s
        elif stretch.end_s - begin > best[1] - best[0]:
            best = (begin, stretch.end_s)
    margin = 0.35 * (best[1] - best[0])
    start, end = max(best[0] - margin, 0.0), best[1] + margin
    inside = [s for s in film if s.end_s > start and s.start_s < end]
    return [replace(s, start_s=max(s.start_s, start), end_s=min(s.end_s, end)) for s in inside], start


def _draw_tornado(axes: Axes, life: BatteryLife) -> None:
    bars = list(life.bars[:7])[::-1]
    base = life.mean.lifetime().time_s
    unit, name = (DAY_S, "days") if base < 730 * DAY_S else (365.25 * DAY_S, "years")
    for n, bar in enumerate(bars):
        for end, colour in ((bar.low_s, COLOURS[5]), (bar.high_s, COLOURS[0])):
            axes.barh(n, (end - base) / unit, left=base / unit, color=colour, alpha=1.0 if bar.stated else 0.45)
    axes.axvline(base / unit, color="#333333", linewidth=0.8)
    labels = [f"{bar.name} ±{bar.half_width:.0%}{'' if bar.stated else '*'}" for bar in bars]
    axes.set_yticks(range(len(bars)), labels)
    starred = "" if all(bar.stated for bar in bars) else "    * range not stated, taken as ±10 %"
    axes.set(xlabel=f"lifetime [{name}]{starred}")
    axes.set_title("What it depends on (light blue: input low)")


def _draw_sample(axes: Axes, life: BatteryLife) -> None:
    base = life.sample.median_s
    unit, name = (DAY_S, "days") if base < 730 * DAY_S else (365.25 * DAY_S, "years")
    axes.hist(life.sample.sample_s / unit, bins=24, color=COLOURS[0], alpha=0.8)
    low, high = life.sample.interval(0.9)
    axes.axvspan(low / unit, high / unit, color=COLOURS[5], alpha=0.2)
    axes.set(xlabel=f"lifetime [{name}]", yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_title(f"{len(life.sample.sample_s)} draws, 90 % shaded")
