"""Two estimates side by side, and what figures are worth, as tables for a terminal."""

from __future__ import annotations

from tinysim.estimate.comparison import CAUSES, Comparison
from tinysim.estimate.sensitivity import Sensitivity
from tinysim.report.text import console, make_table, si, size

__all__ = ["print_comparison", "print_sensitivity"]

#: Least change that gets a row.
_LEAST = 1e-5
#: Units that take no prefix.
_PLAIN = ("1", "cycle")


def print_comparison(result: Comparison) -> None:
    """Print totals, causes and layers of two estimates."""
    out = console()
    a, b = result.a, result.b
    for label, e in (("A", a), ("B", b)):
        said = f"[bold]{e.network}[/] on [bold]{e.device}[/] with [bold]{e.runtime}[/] at {si(e.clock_hz, 'Hz')}"
        out.print(f"{label}: {said}", highlight=False)
    out.print()
    totals = make_table("", {"": "left", "A": "right", "B": "right", "B - A": "right", "B / A": "right"})
    for name, before, after, unit in (
        ("latency", a.latency_s, b.latency_s, "s"),
        ("energy", a.energy_j, b.energy_j, "J"),
        ("cycles", float(a.cycles), float(b.cycles), ""),
    ):
        known = before is not None and after is not None
        difference = _signed(after - before, unit) if before is not None and after is not None else "unknown"
        ratio = f"{after / before:.3g}" if known and before and after is not None else ""
        totals.add_row(name, si(before, unit), si(after, unit), difference, ratio)
    totals.add_row("SRAM arena", *(size(e.memory.sram_peak_bytes) for e in (a, b)))
    totals.add_row("flash", *(size(e.memory.flash_bytes) for e in (a, b)))
    out.print(totals)
    out.print()
    causes = make_table("", {"cause of the difference": "left", "latency": "right", "part": "right"})
    for cause, seconds in sorted(result.causes_s.items(), key=lambda item: -abs(item[1])):
        if seconds:
            part = f"{seconds / result.difference_s:.1%}" if result.difference_s else ""
            causes.add_row(CAUSES[cause], _signed(seconds, "s"), part)
    out.print(causes)
    if result.causes_j is not None and result.difference_j:
        joules = ", ".join(f"{_signed(value, 'J')} by {name}" for name, value in result.causes_j.items())
        out.print(f"energy: {_signed(result.difference_j, 'J')}: {joules}", highlight=False)
    out.print()
    _print_layers(result)
    out.print()
    out.print(result.explain(), highlight=False)


def _print_layers(result: Comparison) -> None:
    """A row per layer, with the causes that matter anywhere."""
    seen = [cause for cause in CAUSES if any(abs(row.causes_s[cause]) > 0 for row in result.layers)]
    columns = {"A": "left", "B": "left", "kind": "left", "t(A)": "right", "t(B)": "right", "B - A": "right"}
    table = make_table("", columns | {cause.replace("_", " "): "right" for cause in seen})
    for row in result.layers:
        sides = ((row.index_a, row.name_a), (row.index_b, row.name_b))
        names = ["" if name is None else f"{at} {name[-24:]}" for at, name in sides]
        times = (si(row.latency_a_s, "s", 3), si(row.latency_b_s, "s", 3), _signed(row.difference_s, "s"))
        table.add_row(*names, row.kind, *times, *(_signed(row.causes_s[cause], "s") for cause in seen))
    console().print(table)


def print_sensitivity(result: Sensitivity) -> None:
    """Print what a change of each figure does; figures without effect in one line."""
    out = console()
    columns = {"figure": "left", "value": "right", "latency": "right", "energy": "right", "note": "left"}
    table = make_table(f"each figure {result.step * 100:+.4g} %, one at a time: {result.title}", columns)
    silent = []
    for row in result.rows:
        if max(abs(row.latency_change), abs(row.energy_change or 0.0)) < _LEAST:
            silent.append(f"{row.part} {row.figure}" + (f" ({row.note})" if row.note else ""))
            continue
        energy = "unknown" if row.energy_change is None else f"{row.energy_change:+.3%}"
        value = f"{row.value:.4g} {row.unit}".removesuffix(" 1") if row.unit in _PLAIN else si(row.value, row.unit)
        table.add_row(f"{row.part}: {row.figure}", value, f"{row.latency_change:+.3%}", energy, row.note)
    out.print(table)
    if silent:
        out.print(f"no effect, or less than 0.001 %: {', '.join(silent)}", highlight=False)


def _signed(value: float, unit: str) -> str:
    return "0" if value == 0 else ("+" if value > 0 else "-") + si(abs(value), unit, 3)
