"""Numbers and tables for a terminal."""

from __future__ import annotations

from rich.console import Console, JustifyMethod
from rich.table import Table

__all__ = ["console", "make_table", "print_markdown", "si", "size"]

#: Columns of a line that goes into a pipe.
_NO_LIMIT = 10_000
_PREFIXES = (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0), ("m", 1e-3), ("u", 1e-6), ("n", 1e-9), ("p", 1e-12))


def si(value: float | None, unit: str, digits: int = 4) -> str:
    """A number with an SI prefix.

    >>> si(0.0123, "s"), si(0.0, "J"), si(None, "J")
    ('12.3 ms', '0 J', 'unknown')
    """
    if value is None:
        return "unknown"
    if value == 0:
        return f"0 {unit}"
    prefix, scale = next(((p, s) for p, s in _PREFIXES if abs(value) >= s), _PREFIXES[-1])
    return f"{value / scale:.{digits}g} {prefix}{unit}"


def size(n_bytes: int | None) -> str:
    """Bytes as KiB beside the exact number.

    >>> size(22820), size(None)
    ('22.3 KiB (22,820 B)', 'unknown')
    """
    return "unknown" if n_bytes is None else f"{n_bytes / 1024:.1f} KiB ({n_bytes:,} B)"


def console(*, stderr: bool = False) -> Console:
    """A console; what it prints into a pipe or file is as wide as it needs, so that nothing is cut."""
    plain = Console(stderr=stderr)
    return plain if plain.is_terminal else Console(width=_NO_LIMIT, stderr=stderr)


def make_table(title: str, columns: dict[str, str]) -> Table:
    """A table; `columns` maps header to "right" (numbers), "key" (names, left) or "left" (text).

    Where a terminal is too narrow, the widest texts are folded; numbers and names stay whole.
    """
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False, padding=(0, 1))
    for header, role in columns.items():
        justify: JustifyMethod = "right" if role == "right" else "left"
        table.add_column(header, justify=justify, no_wrap=role != "left", overflow="fold")
    return table


def print_markdown(text: str) -> None:
    """Print Markdown: rendered on a terminal, as it is into a pipe."""
    from rich.markdown import Markdown

    out = Console()
    if out.is_terminal:
        out.print(Markdown(text))
    else:
        out.file.write(text)
