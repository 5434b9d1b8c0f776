"""An estimate as tables for a terminal."""

from __future__ import annotations

from rich.table import Table

from tinysim.estimate.result import Estimate
from tinysim.report.text import console, make_table, si, size

__all__ = ["print_estimate"]

_CAUSES = {
    "compute": "compute",
    "weight_stall": "stall: weights",
    "fetch_stall": "stall: code",
    "data_stall": "stall: activations",
    "overhead": "runtime overhead",
}


def print_estimate(result: Estimate, *, level: float = 0.9) -> None:
    """Print layers, totals, memory and the bottleneck."""
    out = console()
    out.print(f"[bold]{result.network}[/] on [bold]{result.device}[/] with [bold]{result.runtime}[/]", highlight=False)
    out.print(_layers(result))
    out.print()
    out.print(_totals(result, level))
    out.print()
    out.print(result.explain(), highlight=False)
    for note in result.notes:
        out.print(f"[cyan]note:[/] {note}", highlight=False)
    for gap in result.gaps:
        out.print(f"[yellow]gap:[/] {gap}", highlight=False)


def _layers(result: Estimate) -> Table:
    causes = result.cycles_by_cause
    stalls = [name for name in ("weight_stall", "fetch_stall", "data_stall", "overhead") if causes[name]]
    several = len({row.engine for row in result.layers}) > 1
    table = make_table(
        "",
        {"#": "right", "layer": "left", "kind": "left"}
        | ({"engine": "left"} if several else {})
        | {
            "MACs": "right",
            "instr.": "right",
            "cycles": "right",
            "compute": "right",
        }
        | {name.replace("_", " "): "right" for name in stalls}
        | {"time": "right", "share": "right", "energy": "right"},
    )
    for row in result.layers:
        table.add_row(
            str(row.index),
            row.name[-28:],
            row.kind,
            *([row.engine] if several else []),
            f"{row.macs:,}",
            f"{row.instructions:,}",
            f"{row.cycles:,}",
            f"{row.compute_cycles:,}",
            *(f"{getattr(row, name + '_cycles'):,}" for name in stalls),
            si(row.latency_s, "s", 3),
            f"{row.cycles / result.cycles:.1%}" if result.cycles else "",
            si(row.energy_j, "J", 3),
        )
    return table


def _totals(result: Estimate, level: float) -> Table:
    interval, memory = result.interval(level), result.memory
    table = make_table("", {"": "left", " ": "left"})
    table.show_header = False
    low, high = interval.latency_s
    table.add_row("MACs", f"{result.macs:,}")
    table.add_row("cycles", f"{result.cycles:,} at {si(result.clock_hz, 'Hz')}")
    for name, cycles in result.cycles_by_cause.items():
        if cycles:
            table.add_row(f"  {_CAUSES[name]}", f"{cycles:,} ({cycles / result.cycles:.1%})")
    table.add_row(
        "latency", f"{si(result.latency_s, 's')}   {level:.0%} interval {si(low, 's', 3)} to {si(high, 's', 3)}"
    )
    energy = si(result.energy_j, "J")
    if interval.energy_j is not None:
        energy += f"   {level:.0%} interval {si(interval.energy_j[0], 'J', 3)} to {si(interval.energy_j[1], 'J', 3)}"
    table.add_row("energy", energy)
    for name, joules in (result.energy_by_component or {}).items():
        if joules:
            table.add_row(f"  {name}", si(joules, "J", 3))
    table.add_row("SRAM arena", size(memory.sram_peak_bytes))
    table.add_row("  planned", size(memory.arena_planned_bytes))
    table.add_row("  persistent", size(memory.arena_persistent_bytes))
    for name, n_bytes in memory.arena_in.items() if len(memory.arena_in) > 1 else ():
        table.add_row(f"  in {name}", size(n_bytes))
    used = (result.accelerator or {}).get("sram_used_bytes")
    if used is not None:
        table.add_row("  of the compiler", size(used))
    table.add_row("flash", size(memory.flash_bytes))
    table.add_row("  model", size(memory.model_bytes))
    table.add_row("  code", size(memory.code_bytes))
    table.add_row("interval from", interval.basis)
    return table
