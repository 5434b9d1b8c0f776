"""A battery-free run as tables for a terminal, a picture, and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinysim.report.page import COLOURS, GREY, html_table, new_figure, save_png, styled, write_page
from tinysim.report.text import console, make_table, si
from tinysim.scenario.harvest import HarvestRun
from tinysim.scenario.life import DAY_S, in_days

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_harvest", "print_harvest", "write_harvest_page", "write_harvest_png"]

_HEAD = ["", "value"]


def print_harvest(run: HarvestRun) -> None:
    """Print what the node achieved, where the energy went, and the sentence."""
    out = console()
    out.print(f"[bold]{run.name}[/]", highlight=False)
    for title, rows in (("", _result_rows(run)), ("energy", _ledger_rows(run))):
        table = make_table(title, {"": "left", " ": "right"})
        table.show_header = False
        for row in rows:
            table.add_row(*row)
        out.print(table)
        out.print()
    out.print(run.answer(), highlight=False, soft_wrap=True)


def _result_rows(run: HarvestRun) -> list[list[str]]:
    r, kept = run.result, run.result.node.kept
    outages = r.outages_s()
    rows = [
        ["workload", kept.workload.name],
        ["policy", f"{kept.policy}, {len(kept.workload.tasks)} tasks"],
        ["one inference", f"{si(kept.time_s, 's')}, {si(kept.energy_j, 'J')} (commits {si(kept.commit_j, 'J')})"],
        ["completed", f"{r.completed:,} of {r.requests:,} ({r.completion_rate:.1%}), in time {r.in_time_rate:.1%}"],
        ["first result after", _span(r.first_result_s) if r.completed else "never"],
        ["forward progress", f"{r.forward_progress:.3%} of the time"],
        ["work done again", f"{r.redone_share:.2%}"],
        ["power failures", f"{r.failures:,}" + (f", {r.failed_saves:,} saves failed" if r.failed_saves else "")],
        ["time off", ", ".join(f"{q:.0%} below {_span(t)}" for q, t in outages.items())],
    ]
    stale = r.staleness_s()
    if r.hybrid is not None:
        first, last = r.hybrid.energy_j[[0, -1]] / r.hybrid.cell.capacity_j
        moved = f"took {si(r.hybrid.charged_j, 'J')}, gave {si(r.hybrid.given_j, 'J')}"
        rows.append(["cell behind the capacitor", f"{moved}, from {first:.1%} to {last:.1%} full"])
    return rows + ([["mean age of the result", _span(stale)]] if np.isfinite(stale) else [])


def _span(time_s: float) -> str:
    """Seconds up to an hour, then hours and days."""
    return si(time_s, "s", 3) if time_s < 3600.0 else in_days(time_s)


def _ledger_rows(run: HarvestRun) -> list[list[str]]:
    ledger = run.result.supply.ledger
    parts = {
        "harvested": ledger.harvested_j,
        "used by the load": ledger.used_j,
        "lost in converters": ledger.converter_loss_j,
        "leaked": ledger.leakage_j,
        "clipped (capacitor full)": ledger.clipped_j,
        "stored": ledger.stored_j,
    }
    whole = ledger.harvested_j or 1.0
    return [[name, f"{si(value, 'J')}  {value / whole:6.1%}"] for name, value in parts.items()]


# -- picture --------------------------------------------------------------------------------------------------------


def draw_harvest(run: HarvestRun) -> Figure:
    """Harvested power, capacitor voltage, completions, and where the energy went."""
    figure = new_figure(10.0, 7.5)
    with styled():
        grid = figure.add_gridspec(4, 1, height_ratios=[1.0, 1.0, 1.0, 0.55])
        power = figure.add_subplot(grid[0])
        volts = figure.add_subplot(grid[1], sharex=power)
        count = figure.add_subplot(grid[2], sharex=power)
        scale, unit = (DAY_S, "day") if run.result.duration_s > 2 * DAY_S else (3600.0, "hour")
        if run.result.duration_s < 2 * 3600.0:
            scale, unit = 1.0, "s"
        _draw_power(power, run, scale)
        _draw_voltage(volts, run, scale)
        _draw_count(count, run, scale, unit)
        _draw_ledger(figure.add_subplot(grid[3]), run)
        for axes in (power, volts):
            axes.tick_params(labelbottom=False)
    return figure


def write_harvest_png(run: HarvestRun, path: Path) -> None:
    """Write the picture."""
    save_png(draw_harvest(run), path)


def write_harvest_page(run: HarvestRun, path: Path) -> None:
    """Write the page."""
    tables = [("Result", html_table(_HEAD, _result_rows(run))), ("Energy", html_table(_HEAD, _ledger_rows(run)))]
    write_page(path, run.name, run.answer(), tables, draw_harvest(run))


_BINS = 600


def _envelope(
    time_s: NDArray[np.float64], values: NDArray[np.float64], end_s: float
) -> tuple[NDArray[np.float64], ...]:
    """(bin centres, smallest, largest) of values per bin of time; bins without a value keep the last one."""
    bins = np.minimum((time_s / end_s * _BINS).astype(int), _BINS - 1)
    low, high = np.full(_BINS, np.inf), np.full(_BINS, -np.inf)
    np.minimum.at(low, bins, values)
    np.maximum.at(high, bins, values)
    known = np.isfinite(low)
    held = np.maximum.accumulate(np.where(known, np.arange(_BINS), 0))
    return (np.arange(_BINS) + 0.5) / _BINS * end_s, low[held], high[held]


def _draw_power(axes: Axes, run: HarvestRun, scale: float) -> None:
    gross = run.feed.inputs if run.feed.gross is None else run.feed.gross
    start = run.feed.edges_s[0]
    time, low, high = _envelope(run.feed.edges_s[:-1] - start, gross, run.result.duration_s)
    axes.fill_between(time / scale, low * 1e6, high * 1e6, color=COLOURS[1], linewidth=0.5)
    axes.set(ylabel="harvest [µW]", ylim=(0, None))
    axes.set_title(run.name)


def _draw_voltage(axes: Axes, run: HarvestRun, scale: float) -> None:
    node, supply = run.result.node, run.result.supply
    time, low, high = _envelope(supply.time_s - supply.start_s[0], supply.voltage_v, run.result.duration_s)
    axes.fill_between(time / scale, low, high, color=COLOURS[0], alpha=0.8, linewidth=0.8)
    for level, name in ((node.on_v, "on"), (node.off_v, "off")):
        axes.axhline(level, color="#333333", linewidth=0.7, linestyle="--")
        axes.annotate(
            name, (1.0, level), xycoords=("axes fraction", "data"), xytext=(-20, 2), textcoords="offset points"
        )
    axes.set(ylabel="capacitor [V]", ylim=(0, None))
    hybrid = run.result.hybrid
    if hybrid is not None:
        filled = axes.twinx()
        when = (hybrid.time_s - supply.start_s[0]) / scale
        filled.plot(when, hybrid.energy_j / hybrid.cell.capacity_j * 100.0, color=COLOURS[3], linewidth=1.5)
        filled.set_ylabel("cell [%]", color=COLOURS[3])
        filled.set_ylim(0, 105)


def _draw_count(axes: Axes, run: HarvestRun, scale: float, unit: str) -> None:
    r = run.result
    end = r.duration_s
    done = np.concatenate(([0.0], r.done_s - r.supply.start_s[0], [end]))
    axes.step(done / scale, [*range(r.completed + 1), r.completed], where="post", color=COLOURS[2], label="completed")
    if r.node.request_s is not None:
        axes.plot([0, end / scale], [0, r.requests], color=GREY, linestyle="--", label="requested")
        axes.legend(loc="upper left")
    axes.set(ylabel="inferences", xlabel=f"time [{unit}]", xlim=(0, end / scale), ylim=(0, None))


def _draw_ledger(axes: Axes, run: HarvestRun) -> None:
    ledger = run.result.supply.ledger
    parts = [
        ("used", ledger.used_j, COLOURS[2]),
        ("converters", ledger.converter_loss_j, COLOURS[3]),
        ("leaked", ledger.leakage_j, COLOURS[4]),
        ("clipped", ledger.clipped_j, COLOURS[5]),
        ("stored", max(ledger.stored_j, 0.0), GREY),
    ]
    whole, left = sum(value for _, value, _ in parts) or 1.0, 0.0
    for name, value, colour in parts:
        label = f"{name}  {value / whole:.1%}"
        axes.barh(0, value / whole, left=left, color=colour, label=label, edgecolor="white")
        left += value / whole
    spent = f", and {si(-ledger.stored_j, 'J', 3)} out of storage," if ledger.stored_j < -1e-3 * whole else ""
    axes.set(xlim=(0, 1), yticks=[], xticks=[], title=f"Where {si(ledger.harvested_j, 'J', 3)}{spent} went")
    axes.spines[:].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=5, handlelength=1.0)
