"""``tinysim calibrate``."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from tinysim.cli.options import echo_json, json_option

__all__ = ["command"]


@click.command("calibrate")
@click.argument("rows", type=click.Path(path_type=Path))
@click.option("--device", "-d", help="Board of the rows, by name or YAML file; their device column by default.")
@click.option(
    "--out",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the calibration; ROWS with the suffix .calibration.yaml by default.",
)
@json_option
def command(rows: Path, device: str | None, out: Path | None, as_json: bool) -> None:
    """Fit a board to a few measured runs, with the shipped calibration as prior.

    ROWS is a CSV with the columns network, runtime and latency_ms, and perhaps device, build and clock_mhz. Pass the
    written file to `tinysim estimate --calibration FILE`.

    \b
    Example:
      tinysim calibrate measured.csv --device my-board.yaml
      tinysim estimate model.tflite --device my-board.yaml --calibration measured.calibration.yaml
    """
    from tinysim.calibrate.board import calibrate
    from tinysim.report.calibration import calibration_text, print_calibration, write_calibration

    result = calibrate(rows, device)
    path = out or rows.with_suffix(".calibration.yaml")
    write_calibration(path, calibration_text(result, rows.name, date.today()))
    if as_json:
        echo_json(result.to_dict())
    else:
        print_calibration(result)
        click.echo(f"written: {path}")
