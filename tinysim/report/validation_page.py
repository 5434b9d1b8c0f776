"""Validation as a page of the documentation: tables and parity plots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tinysim
from tinysim.calibrate.validate import MODELS, SPLITS
from tinysim.errors import InputError
from tinysim.report.page import COLOURS, GREY, new_figure, save_png, styled
from tinysim.report.validation import Validation

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["write_validation"]

_PRECISIONS = {"int8": COLOURS[0], "int16x8": COLOURS[2], "float32": COLOURS[1]}
_MODEL_COLOURS = dict(zip(MODELS, (COLOURS[0], GREY, COLOURS[3]), strict=True))


def write_validation(result: Validation, page: Path) -> list[Path]:
    """Write a Markdown page, and its pictures into a folder beside it that has the page's name; returns all paths.

    Raises:
        InputError: matplotlib is not installed, or a file cannot be written.
    """
    folder = page.with_suffix("")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made: {error.strerror or error}") from error
    frame = result.predictions
    written = []
    for suite in dict.fromkeys(frame["suite"]):
        written.append(folder / f"{suite}.png")
        _parity(frame[frame["suite"] == suite], written[-1])
    try:
        page.write_text(_text(result, [path.relative_to(page.parent) for path in written]), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{page}: cannot be written: {error.strerror or error}") from error
    return [page, *written]


def _parity(frame: pd.DataFrame, path: Path) -> None:
    """A row of panels, one per split: predicted against measured above, errors of all models below."""
    splits = list(dict.fromkeys(frame["split"]))
    figure = new_figure(3.2 * len(splits) + 0.4, 6.0)
    with styled():
        axes = figure.subplots(2, len(splits), squeeze=False)
        for column, split in enumerate(splits):
            rows = frame[frame["split"] == split]
            _scatter(axes[0, column], rows)
            axes[0, column].set_title(f"{split} left out, n = {len(rows)}")
            _errors(axes[1, column], rows)
        axes[0, 0].set_ylabel("predicted latency [ms]")
        axes[1, 0].set_ylabel("share of rows")
        axes[0, 0].legend(loc="upper left")
        axes[1, 0].legend(loc="lower right")
    save_png(figure, path, dpi=100)


def _scatter(ax: Axes, rows: pd.DataFrame) -> None:
    measured = rows["measured_ms"].to_numpy()
    ax.scatter(measured, rows["cycles/MAC"], s=5, color=GREY, linewidths=0, label="cycles/MAC")
    for precision, colour in _PRECISIONS.items():
        chosen = (rows["precision"] == precision).to_numpy()
        if chosen.any():
            ax.scatter(measured[chosen], rows["tinysim"][chosen], s=9, color=colour, linewidths=0, label=precision)
    ends = np.array([measured.min() / 2, measured.max() * 2])
    ax.plot(ends, ends, color="black", linewidth=0.7)
    ax.fill_between(ends, ends / 1.1, ends * 1.1, color="black", alpha=0.12, linewidth=0)
    ax.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="measured latency [ms]")
    ax.set_aspect("equal")


def _errors(ax: Axes, rows: pd.DataFrame) -> None:
    """Share of rows whose error is below x."""
    for model in MODELS:
        error = np.sort(np.abs(rows[model] / rows["measured_ms"] - 1).to_numpy())
        ax.step(error * 100, np.arange(1, len(error) + 1) / len(error), where="post", color=_MODEL_COLOURS[model],
                label=model)  # fmt: skip
    ax.axvline(10, color="black", linewidth=0.7, linestyle=":")
    ax.set(xlim=(0, 60), ylim=(0, 1), xlabel="absolute error [%]")
    ax.grid(color="0.9")


def _text(result: Validation, pictures: list[Path]) -> str:
    frame = result.predictions
    parts = [
        "# Validation",
        "",
        "Made by `tinysim validate --page docs/validation.md`; edit nothing here.",
        "",
        f"tinysim {tinysim.__version__}: {result.rows} measured rows, {result.effects} fitted effects, of which the "
        f"rows determine {result.effective_parameters:.0f}. Every row below was predicted by a fit that had not seen "
        "its group. Beside tinysim stand two baselines on the same splits, per stack and core: one cycles/MAC, and "
        "cycles/MAC by layer type.",
        "",
        "| split | left out at a time |",
        "|---|---|",
        *(f"| {split} | {SPLITS[split]} |" for split in dict.fromkeys(frame["split"])),
        "",
    ]
    for suite, picture in zip(dict.fromkeys(frame["suite"]), pictures, strict=True):
        scores = [row for row in result.scores if row["suite"] == suite]
        covered = [row for row in result.coverage if row["suite"] == suite]
        parts += [
            f"## {suite}",
            "",
            f"![Predicted against measured latency, and errors, of {suite}]({picture.as_posix()})",
            "",
            "Above: each row, the band is 10 %. Below: share of rows whose error is at most x.",
            "",
            *_table(scores),
            "",
            *_coverage(covered),
            "",
        ]
    parts += ["## What was fitted", "", "| of | parameter | effects | determined by the rows |", "|---|---|---|---|"]
    parts += [f"| {r['of']} | {r['parameter']} | {r['effects']} | {r['determined']:.1f} |" for r in result.parameters]
    parts += [
        "",
        "Figures of boards and cores (clocks, wait states, caches, cycles per instruction) are not fitted: they come "
        "from the sources that `tinysim devices show` names.",
        "",
    ]
    return "\n".join(parts)


def _table(scores: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| left out | precision | model | n | MAPE | median | p90 | within 10 % | bias | worst | worst row |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in scores:
        bold = "**" if row["model"] == "tinysim" else ""
        errors = [f"{bold}{row[name]:.1%}{bold}" for name in ("mape", "median", "p90", "within_10")]
        cells = [row["split"], row["precision"], f"{bold}{row['model']}{bold}", str(row["n"]), *errors,
                 f"{row['bias']:+.1%}", f"{row['worst']:.0%}", row["worst_row"]]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _coverage(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| left out | n | interval | rows inside | median half-width |", "|---|---|---|---|---|"]
    for row in rows:
        cells = (f"{row['level']:.0%}", f"{row['coverage']:.1%}", f"{row['half_width']:.1%}")
        lines.append(f"| {row['split']} | {row['n']} | {' | '.join(cells)} |")
    return lines
