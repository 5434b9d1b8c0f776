"""Pictures and pages that several reports share: one look, self-contained files."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinysim.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "GREY", "html_table", "new_figure", "save_plot", "save_png", "styled", "write_page"]

#: Okabe-Ito: told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#555555")
GREY = "#B8B8B8"

_STYLE: Any = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "tinysim",
}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure (inches) that no window or global state knows of.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("pictures need matplotlib: pip install 'tinysim[plot]'") from error
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
    return figure


def styled() -> AbstractContextManager[None]:
    """Context in which axes take the style of these reports."""
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def save_png(figure: Figure, path: Path, *, dpi: int = 150) -> None:
    """Write a picture.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        figure.savefig(path, dpi=dpi, format="png")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def save_plot(draw: Callable[[Axes], object], path: Path, *, width: float = 8.5, height: float = 4.5) -> None:
    """Draw into new axes and write them as the file's suffix says: png, svg or pdf.

    Raises:
        InputError: matplotlib is not installed, the suffix is another one, or the file cannot be written.
    """
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InputError(f"{path}: pictures are .png, .svg or .pdf")
    figure = new_figure(width, height)
    with styled():
        draw(figure.add_subplot())
    try:
        # A date would make the same picture differ from day to day.
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def write_page(path: Path, title: str, lead: str, tables: list[tuple[str, str]], figure: Figure) -> None:
    """One HTML file that needs nothing else: text, the picture inside, tables of rows.

    tables: (heading, HTML of the table).

    Raises:
        InputError: the file cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    image = base64.b64encode(buffer.getvalue()).decode("ascii")
    parts = "".join(f"<h2>{html.escape(heading)}</h2>\n{table}\n" for heading, table in tables)
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
img {{ width: 100%; height: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.2rem 1rem 0.2rem 0; text-align: right; border-bottom: 1px solid #ddd; }}
th:first-child, td:first-child {{ text-align: left; }}
</style></head><body>
<h1>{html.escape(title)}</h1>
<p>{html.escape(lead)}</p>
<img alt="{html.escape(title)}" src="data:image/png;base64,{image}">
{parts}</body></html>
"""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def html_table(head: list[str], rows: list[list[str]]) -> str:
    """Rows of text as an HTML table."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
