"""The arena as a picture: address over time, in a terminal, as SVG and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from tinysim.report.page import COLOURS, GREY, html_table
from tinysim.report.text import console, make_table, size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinysim.deploy.deployment import Deployment
    from tinysim.deploy.fit import Remedy
    from tinysim.network.graph import Op

__all__ = ["arena_page", "arena_svg", "print_memory"]

_STEP_PX, _MIN_WIDTH_PX, _HEIGHT_PX = 26, 1110, 380
_LEFT_PX, _TOP_PX, _BOTTOM_PX, _RIGHT_PX = 64, 46, 132, 24
_LETTER_PX = 6.2
_MARK = "#B00020"


@dataclass(frozen=True)
class _Box:
    """A buffer in the picture."""

    label: str
    detail: str
    colour: str
    start: int
    stop: int
    first: int
    last: int


def _boxes(deployment: Deployment) -> list[_Box]:
    network, arena = deployment.network, deployment.arena
    buffers = arena.buffers
    maker = {t: i for i, op in enumerate(network.ops) for t in op.outputs}
    boxes = []
    for row in range(len(buffers)):
        t, n_bytes = int(buffers.tensor[row]), int(buffers.size[row])
        if t < 0:
            label, colour = "scratch" if "scratch" in buffers.name[row] else "rows ahead", GREY
            detail = buffers.name[row]
        else:
            shape = "x".join(map(str, network.tensors[t].shape[1:])) or "1"
            label = f"{network.ops[maker[t]].kind} {shape}" if t in maker else f"input {shape}"
            detail = f"{label}, tensor {t} {network.tensors[t].name}".rstrip()
            colour = COLOURS[(maker.get(t, -1) + 1) % 6]
        start = int(arena.offset[row])
        steps = int(buffers.first[row]), int(buffers.last[row])
        boxes.append(
            _Box(
                label, f"{detail}: {n_bytes:,} B at {start:,}, {_span(*steps)}", colour, start, start + n_bytes, *steps
            )
        )
    return boxes


def _span(first: int, last: int) -> str:
    begin = "before operator 0" if first == 0 else f"operator {first - 1}"
    return begin if first == last else f"{begin} to operator {last - 1}"


def arena_svg(deployment: Deployment) -> str:
    """The arena as an SVG: a column per operator, a box per buffer, the peak and the memory's size marked."""
    arena, network = deployment.arena, deployment.network
    steps = len(network.ops) + 1
    step = max(_STEP_PX, (_MIN_WIDTH_PX - _LEFT_PX - _RIGHT_PX) / steps)
    width = _LEFT_PX + steps * step + _RIGHT_PX
    memory = deployment.target.placement.activations
    limit = memory.size.si if memory.size.known else 0.0
    shown = limit if arena.peak_bytes < limit <= 1.6 * arena.peak_bytes or 0 < limit < arena.peak_bytes else 0.0
    top = 1.04 * max(arena.peak_bytes, shown, 1)
    scale = _HEIGHT_PX / top
    base = _TOP_PX + _HEIGHT_PX

    def x(t: float) -> float:
        return _LEFT_PX + t * step

    def y(address: float) -> float:
        return base - address * scale

    parts = [_grid(top, y, width - _RIGHT_PX), _names(network.ops, x, base, step)]
    peak_x = x(arena.peak_op + 1)
    parts.append(
        f'<rect x="{peak_x:.1f}" y="{_TOP_PX}" width="{step:.1f}" height="{_HEIGHT_PX}" '
        f'fill="{_MARK}" fill-opacity="0.07"/>'
    )
    parts += [_svg_box(box, x, y, step) for box in _boxes(deployment)]
    if arena.tail_bytes:
        band = f"persistent: {arena.tail_bytes:,} B"
        parts.append(
            f'<rect x="{x(0):.1f}" y="{y(arena.peak_bytes):.1f}" width="{steps * step:.1f}" '
            f'height="{arena.tail_bytes * scale:.1f}" fill="#E8E8E8" stroke="#AAA" stroke-width="0.5">'
            f"<title>{band}</title></rect>"
        )
        if arena.tail_bytes * scale > 12:
            middle = y(arena.peak_bytes - arena.tail_bytes / 2) + 4
            parts.append(f'<text x="{x(0) + 6:.1f}" y="{middle:.1f}" fill="#555">{band}</text>')
    kind = network.ops[arena.peak_op].kind if network.ops else ""
    peak = f"peak {arena.peak_bytes:,} B, made by operator {arena.peak_op} ({kind})"
    right = width - _RIGHT_PX
    if shown:
        below = shown < arena.peak_bytes and y(shown) - y(arena.peak_bytes) < 16
        parts.append(
            _line(
                y(shown), f"{memory.name} ends at {int(shown):,} B", right, "#222", begin=_MIN_WIDTH_PX / 2, below=below
            )
        )
    parts.append(_line(y(arena.peak_bytes), peak, right, _MARK))
    title = f"Arena of {network.name} on {deployment.target.device.name}, {deployment.target.runtime.name}"
    height = base + _BOTTOM_PX
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
        f'width="{width:.0f}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="{_LEFT_PX}" y="18" font-size="14" font-weight="600">{escape(title)}</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _grid(top: float, y: Callable[[float], float], right: float) -> str:
    """Lines and labels of addresses, at 4 to 8 round numbers of bytes or KiB."""
    kib = 1024.0 if top >= 2048 else 1.0
    raw = top / kib / 5
    power = 2.0 ** np.floor(np.log2(max(raw, 1)))
    lines = []
    for tick in np.arange(0.0, top, power * kib):
        lines.append(
            f'<line x1="{_LEFT_PX}" x2="{right:.1f}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#E3E3E3"/>'
            f'<text x="{_LEFT_PX - 6}" y="{y(tick) + 4:.1f}" text-anchor="end" fill="#555">'
            f"{tick / kib:g}{' KiB' if kib > 1 else ' B'}</text>"
        )
    return "\n".join(lines)


def _names(ops: Sequence[Op], x: Callable[[float], float], base: float, step: float) -> str:
    """Index and kind of each operator below its column."""
    names = []
    for i, op in enumerate(ops):
        middle = x(i + 1.5)
        names.append(
            f'<text transform="translate({middle + 4:.1f},{base + 10}) rotate(-60)" text-anchor="end" fill="#333">'
            f"{i} {escape(op.kind)}</text>"
        )
    return "\n".join(names)


def _svg_box(box: _Box, x: Callable[[float], float], y: Callable[[float], float], step: float) -> str:
    left, width = x(box.first), (box.last + 1 - box.first) * step
    upper, height = y(box.stop), y(box.start) - y(box.stop)
    rect = (
        f'<rect x="{left + 0.5:.1f}" y="{upper:.1f}" width="{width - 1:.1f}" height="{max(height, 0.6):.1f}" '
        f'fill="{box.colour}" fill-opacity="0.75" stroke="white" stroke-width="0.8">'
        f"<title>{escape(box.detail)}</title></rect>"
    )
    upright = height > 2 * width
    length, across = (height, width) if upright else (width, height)
    lines = [box.label, f"{box.stop - box.start:,} B"]
    fitting = [line for line in lines if len(line) * _LETTER_PX + 6 <= length][: int(across // 13)]
    turn = " rotate(-90)" if upright else ""
    first = 4 - 6.5 * (len(fitting) - 1)
    texts = "".join(
        f'<text transform="translate({left + width / 2:.1f},{upper + height / 2:.1f}){turn}" y="{first + 13 * k:.1f}" '
        f'text-anchor="middle" fill="#111" pointer-events="none">{escape(line)}</text>'
        for k, line in enumerate(fitting)
    )
    return rect + texts


def _line(at: float, text: str, right: float, colour: str, *, begin: float = _LEFT_PX, below: bool = False) -> str:
    return (
        f'<line x1="{_LEFT_PX}" x2="{right:.1f}" y1="{at:.1f}" y2="{at:.1f}" stroke="{colour}" stroke-dasharray="6 3"/>'
        f'<text x="{begin + 4}" y="{at + (13 if below else -4):.1f}" fill="{colour}" font-weight="600" '
        f'paint-order="stroke" stroke="white" stroke-width="3">{escape(text)}</text>'
    )


def arena_page(deployment: Deployment, ways: Sequence[Remedy]) -> str:
    """One HTML file that needs nothing else: totals, the picture, suggestions, every buffer."""
    network, arena = deployment.network, deployment.arena
    title = f"Arena of {network.name} on {deployment.target.device.name}"
    totals = [[name, text] for name, text in _totals(deployment)]
    advice = [[way.what, f"{way.peak_bytes:,}" if way.peak_bytes else "moved", _time(way), way.price] for way in ways]
    frame = arena.to_frame()
    rows = [
        [box.label, f"{box.stop - box.start:,}", f"{box.start:,}", _span(box.first, box.last)]
        for box in _boxes(deployment)
    ]
    assert len(rows) == len(frame)
    sections = [("Totals", html_table(["", ""], totals))]
    if advice:
        head = ["to need less", "arena [B]", "time", "what it takes"]
        sections.append(("Suggestions", html_table(head, advice)))
    sections.append(("Buffers", html_table(["tensor", "size [B]", "offset [B]", "lives"], rows)))
    tables = "\n".join(f"<h2>{heading}</h2>\n{table}" for heading, table in sections)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
.map {{ overflow-x: auto; border: 1px solid #ddd; border-radius: 4px; }}
.map rect:hover {{ fill-opacity: 1; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.2rem 1.2rem 0.2rem 0; text-align: left; border-bottom: 1px solid #ddd; }}
</style></head><body>
<h1>{escape(title)}</h1>
<div class="map">
{arena_svg(deployment)}</div>
{tables}
</body></html>
"""


def _time(way: Remedy) -> str:
    return "unknown" if way.extra_latency_s is None else _milliseconds(way.extra_latency_s)


def _milliseconds(seconds: float) -> str:
    """A difference of times.

    >>> _milliseconds(0.0), _milliseconds(-1.08234), _milliseconds(0.0341)
    ('+0 ms', '-1,082 ms', '+34.1 ms')
    """
    value = seconds * 1e3
    return f"{value:+,.0f} ms" if abs(value) >= 100 else f"{value:+.3g} ms"


def _totals(deployment: Deployment) -> list[tuple[str, str]]:
    arena, place = deployment.arena, deployment.target.placement
    op = deployment.network.ops[arena.peak_op].kind if deployment.network.ops else "none"
    have = int(place.activations.size.si) if place.activations.size.known else None
    return [
        ("arena", size(arena.peak_bytes)),
        ("  planned", size(arena.head_bytes)),
        ("  persistent", size(arena.tail_bytes)),
        ("no plan is below", size(arena.lower_bound_bytes)),
        ("made by", f"operator {arena.peak_op} ({op})"),
        (f"{place.activations.name} has", size(have)),
        ("flash", size(deployment.flash.total_bytes)),
        ("  weights", size(deployment.flash.weights_bytes)),
        ("  rest of the model", size(deployment.flash.metadata_bytes)),
        ("  code", size(deployment.flash.code_bytes)),
    ]


def print_memory(
    deployment: Deployment, ways: Sequence[Remedy], faster: Sequence[Remedy] = (), *, rows: int = 16
) -> None:
    """Print totals, the arena as a map of characters, and suggestions.

    rows: height of the map [lines].
    """
    out = console()
    totals = make_table("", {"": "left", " ": "left"})
    totals.show_header = False
    for name, text in _totals(deployment):
        totals.add_row(name, text)
    out.print(totals)
    width = max(20, min(out.width, 160) - 12)
    for line in _map(deployment, rows, width):
        out.print(line, no_wrap=True, crop=True)
    table = make_table("\nto need less", {"what": "left", "arena [B]": "right", "time": "right", "it takes": "left"})
    for way in ways:
        table.add_row(way.what, f"{way.peak_bytes:,}" if way.peak_bytes else "moved", _time(way), way.price)
    if ways:
        out.print(table)
    for way in faster:
        out.print(f"\nto be faster: {way.what} ({_time(way)}; it takes {way.price})", highlight=False)
    for note in deployment.layout.moved:
        out.print(f"[cyan]note:[/] {note}", highlight=False)


def _map(deployment: Deployment, rows: int, width: int) -> list[Text]:
    """Lines of the map: high addresses on top, a letter per tensor, '.' is free, '#' persists."""
    arena = deployment.arena
    steps = len(deployment.network.ops) + 1
    per_step = max(1, min(4, width // steps))
    columns = min(width, steps * per_step)
    step_of = np.arange(columns) * steps // columns
    address = (np.arange(rows)[::-1] + 0.5) * arena.peak_bytes / rows
    cells = np.full((rows, columns), ".", dtype="<U1")
    styles = np.full((rows, columns), "dim", dtype="<U24")
    cells[address >= arena.head_bytes], styles[address >= arena.head_bytes] = "#", "dim"
    letters = "abcdefghijklmnopqrstuvwxyz"
    for row, box in enumerate(_boxes(deployment)):
        inside = (address[:, None] >= box.start) & (address[:, None] < box.stop)
        mask = inside & (step_of >= box.first) & (step_of <= box.last)
        cells[mask] = "~" if box.colour == GREY else letters[row % len(letters)]
        styles[mask] = f"black on {box.colour}"
    lines = []
    for r in range(rows):
        line = Text(f"{_kib(address[r] + arena.peak_bytes / rows / 2):>10} ", style="dim")
        for letter, style in zip(cells[r], styles[r], strict=True):
            line.append(str(letter), style=str(style))
        lines.append(line)
    mark = Text(" " * 11)
    for step in step_of:
        mark.append("^" if step == arena.peak_op + 1 else " ", style="bold red")
    mark.append(f" operator {arena.peak_op} makes the peak", style="red")
    return [*lines, mark, Text(f"{'':11}operators 0 to {steps - 2}, left to right", style="dim")]


def _kib(n_bytes: float) -> str:
    """Bytes for the axis of the map.

    >>> _kib(2048.0), _kib(300.0)
    ('2.0 KiB', '300 B')
    """
    return f"{n_bytes / 1024:.1f} KiB" if n_bytes >= 1024 else f"{n_bytes:.0f} B"
