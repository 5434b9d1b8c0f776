"""``tinysim calibrate``."""

from __future__ import annotations

from pathlib import Path

import click

from tinysim.cli.options import echo_json, json_option

__all__ = ["command"]


@click.command("calibrate")
@click.argument("rows", type=click.Path(path_type=Path))
@click.option("--device", "-d", help="Board of the rows, by name or YAML file; their device column by default.")
@click.option("--out", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write the effects (CSV).")
@json_option
def command(rows: Path, device: str | None, out: Path | None, as_json: bool) -> None:
    """Fit a board to a few measured runs, with the shipped calibration as prior.

    ROWS is a CSV with the columns network, device, runtime and latency_ms, and perhaps build and clock_mhz. Pass the
    written file to `tinysim estimate --calibration FILE`.

    \b
    Example:
      tinysim calibrate measured.csv --device my-board.yaml --out my-board.csv
    """
    from tinysim.calibrate.board import calibrate
    from tinysim.calibrate.rows import read_rows
    from tinysim.report.calibration import calibration_document, calibration_text, print_calibration

    result = calibrate(read_rows(rows), device)
    if out is not None:
        from tinysim.cli.options import write_text

        write_text(out, calibration_text(result, rows.name))
    if as_json:
        echo_json(calibration_document(result))
    else:
        print_calibration(result)
