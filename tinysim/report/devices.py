"""The device library as tables."""

from __future__ import annotations

from typing import Any

from tinysim.device.library import list_devices, load_device, sources
from tinysim.device.spec import Device
from tinysim.report.text import console, make_table, si

__all__ = ["comparison_rows", "device_rows", "figure_rows", "print_comparison", "print_device", "print_devices"]


def device_rows() -> list[dict[str, Any]]:
    """One row per shipped board: name, MCU, core, clock, memories, runtimes."""
    rows = []
    for name in list_devices():
        device = load_device(name)
        on_chip = [m for m in device.memories if not m.external and m.size.known]
        rows.append(
            {
                "device": name,
                "soc": device.soc,
                "core": device.core.name,
                "clock_hz": device.clock.si,
                "sram_bytes": int(sum(m.size.si for m in on_chip if m.kind in {"sram", "tcm"})),
                "flash_bytes": int(sum(m.size.si for m in on_chip if m.kind in {"flash", "mram", "fram"})),
                "accelerator": device.accelerator,
                "runtimes": list(device.runtimes),
            }
        )
    return rows


def print_devices(rows: list[dict[str, Any]]) -> None:
    """Print the list of boards."""
    columns = {"device": "left", "MCU": "left", "core": "left", "clock": "right", "SRAM": "right", "flash": "right"}
    table = make_table("", columns | {"accelerator": "left", "runtimes": "left"})
    for row in rows:
        table.add_row(
            row["device"],
            row["soc"],
            row["core"],
            si(row["clock_hz"], "Hz", 3),
            f"{row['sram_bytes'] / 1024:,.0f} KiB",
            f"{row['flash_bytes'] / 1024:,.0f} KiB",
            row["accelerator"] or "",
            _shortened(row["runtimes"]),
        )
    console().print(table)


def _shortened(names: list[str]) -> str:
    """The first three of a list, and how many more there are."""
    return ", ".join(names[:3]) + (f" +{len(names) - 3}" if len(names) > 3 else "")


def comparison_rows(devices: list[Device]) -> list[dict[str, str]]:
    """What tells boards apart, a row per property and a column per board; "" where a board has no such thing."""
    columns = [_properties(device) for device in devices]
    names = dict.fromkeys(name for column in columns for name in column)
    # Memories of one name stand in one row; all else comes in the order of the first board.
    return [
        {"property": name} | {d.name: column.get(name, "") for d, column in zip(devices, columns, strict=True)}
        for name in names
    ]


def _properties(device: Device) -> dict[str, str]:
    core = device.core
    found = {
        "MCU": device.soc,
        "core": f"{core.name}, {core.vector if core.vector != 'none' else 'no'} SIMD, "
        f"{'FPU' if device.fpu else 'no FPU'}",
        "clock": si(device.clock.si, "Hz", 3),
    }
    for memory in device.memories:
        size = "unknown size" if not memory.size.known else f"{memory.size.si / 1024:,.0f} KiB"
        parts = [size, "external" if memory.external else "", f"{memory.line_bytes} B per access"]
        waits = memory.wait_cycles(device.clock.si, device.voltage_range)
        parts.append(f"{waits:g} wait states" if waits else "no wait states")
        for words, cache in (("I-cache", memory.instruction_cache), ("D-cache", memory.data_cache)):
            if cache is not None and cache.size.known:
                parts.append(f"{words} {cache.size.si / 1024:g} KiB")
        found[f"{memory.name} ({', '.join(memory.holds)})"] = ", ".join(part for part in parts if part)
    if device.power is not None:
        known = [p for p in device.power.run if p.current.known]
        best = max(known, key=lambda p: (p.running == "inference", p.clock.si), default=None)
        if best is not None:
            found["running"] = f"{si(best.current.si, 'A', 3)} at {best.supply.si:g} V, {best.running}"
        asleep = [state for state in device.power.sleep if state.current.known]
        if asleep:
            least = min(asleep, key=lambda state: state.current.si)
            found["deepest sleep"] = f"{si(least.current.si, 'A', 3)}, {least.name}"
    found["accelerator"] = device.accelerator or ""
    found["runtimes"] = ", ".join(device.runtimes)
    return found


def print_comparison(rows: list[dict[str, str]]) -> None:
    """Print boards side by side."""
    names = [name for name in rows[0] if name != "property"]
    table = make_table("", {"": "key"} | dict.fromkeys(names, "left"))
    for row in rows:
        cells = [row[name] for name in names]
        if row["property"] == "runtimes":
            cells = [_shortened(cell.split(", ")) for cell in cells]
        table.add_row(row["property"], *cells)
    console().print(table)


def figure_rows(device: Device) -> list[dict[str, Any]]:
    """Every figure of a board with its source."""
    known = sources()
    return [
        {
            "figure": path,
            "value": figure.value,
            "unit": figure.unit,
            "kind": figure.kind,
            "source": figure.source,
            "where": figure.where,
            "title": known.get(figure.source, {}).get("title") if figure.source else None,
        }
        for path, figure in device.figures()
    ]


def print_device(device: Device) -> None:
    """Print a board: its parts, then every figure with its source."""
    out = console()
    out.print(f"[bold]{device.name}[/]: {device.title}, {device.soc}, {device.core.title}", highlight=False)
    out.print(f"runtimes: {', '.join(device.runtimes)}", highlight=False)
    if device.notes:
        out.print(device.notes.strip(), highlight=False)
    table = make_table(
        "", {"figure": "left", "value": "right", "unit": "left", "kind": "left", "source": "left", "where": "left"}
    )
    for row in figure_rows(device):
        value = "unknown" if row["value"] is None else f"{row['value']:g}"
        table.add_row(row["figure"], value, row["unit"], row["kind"], row["source"] or "", row["where"] or "")
    out.print(table)
