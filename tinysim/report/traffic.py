"""Traffic and roofline in the terminal and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinysim.report.text import console, make_table, si

if TYPE_CHECKING:
    from tinysim.estimate.result import Estimate
    from tinysim.estimate.roofline import Roofline

__all__ = ["print_traffic", "traffic_document"]


def print_traffic(result: Estimate, roofline: Roofline) -> None:
    """Print a row per operator under its roof, and a row per memory and direction."""
    out, frame = console(), roofline.to_frame()
    out.print(f"[bold]{roofline.title}[/]", highlight=False)
    memories = [name.removesuffix("_bytes") for name in frame.columns if name.endswith("_bytes")]
    left, right = dict.fromkeys(("#", "MACs"), "right"), dict.fromkeys(("MAC/B", "MAC/s", "roof", "of it"), "right")
    table = make_table("", {"layer": "key"} | left | dict.fromkeys(memories, "right") | right | {"bound by": "key"})
    for index, row in frame.iterrows():
        table.add_row(
            row["name"][-28:],
            str(index),
            f"{row.macs:,}",
            *(si(row[f"{name}_bytes"], "B", 3) for name in memories),
            f"{row.intensity_macs_per_byte:.3g}",
            si(row.reached_macs_per_s, "", 3),
            si(row.roof_macs_per_s, "", 3),
            f"{row.efficiency:.0%}",
            row.bound,
        )
    out.print(table)
    summed = ["asked_bytes", "content_bytes", "moved_bytes", "dram_rows"]
    rows = result.traffic()
    rows = rows[rows.layer >= 0].groupby(["source", "sink", "what"], as_index=False)[summed].sum()
    numbers = dict.fromkeys(("asked", "moved", "content", "reuse", "DRAM rows"), "right")
    totals = make_table("", {"from": "key", "to": "key", "what": "key"} | numbers)
    for total in rows.to_dict(orient="records"):
        reuse = f"{total['asked_bytes'] / total['content_bytes']:.1f}" if total["content_bytes"] else ""
        totals.add_row(
            total["source"],
            total["sink"],
            total["what"],
            *(si(n_bytes, "B", 4) for n_bytes in (total["asked_bytes"], total["moved_bytes"], total["content_bytes"])),
            reuse,
            f"{total['dram_rows']:,}" if total["dram_rows"] else "",
        )
    out.print(totals)
    for gap in roofline.gaps:
        out.print(f"[yellow]gap:[/] {gap}", highlight=False)


def traffic_document(result: Estimate, roofline: Roofline) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "network": result.network,
        "device": result.device,
        "runtime": result.runtime,
        "peak_macs_per_s": roofline.peak_macs_per_s,
        "bandwidth_bytes_per_s": roofline.bandwidth_bytes_per_s,
        "gaps": list(roofline.gaps),
        "layers": roofline.to_frame().reset_index().to_dict(orient="records"),
        "transfers": result.traffic().astype(object).where(lambda f: f.notna(), None).to_dict(orient="records"),
    }
