"""The device library as tables."""

from __future__ import annotations

from typing import Any

from tinysim.device.library import list_devices, load_device, sources
from tinysim.device.spec import Device
from tinysim.report.text import console, make_table, si

__all__ = ["device_rows", "figure_rows", "print_device", "print_devices"]


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
            ", ".join(row["runtimes"][:3]) + (f" +{len(row['runtimes']) - 3}" if len(row["runtimes"]) > 3 else ""),
        )
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
