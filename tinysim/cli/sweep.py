"""``tinysim sweep``."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinysim.cli.options import echo_json, json_option

if TYPE_CHECKING:
    from tinysim.explore.sweep import Progress

__all__ = ["command"]


@click.command("sweep", short_help="Cost many networks on many devices, into Parquet files.")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Folder of the results; SPEC's name by default.")
@click.option("--workers", "-j", type=int, help="Processes; all cores by default.")
@click.option("--scheduler", help="Address of a Dask scheduler, e.g. tcp://10.0.0.1:8786.")
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
def command(
    spec: Path, out: Path | None, workers: int | None, scheduler: str | None, quiet: bool, as_json: bool
) -> None:
    """Compute all points of SPEC (YAML); run it again after a kill and it goes on where it stopped.

    \b
    Example:
      tinysim sweep examples/sweeps/kws_clock.yaml --out results/kws_clock
      tinysim query results/kws_clock --top 5 --by energy_j
    """
    from tinysim.explore.sweep import sweep

    in_place = sys.stderr.isatty()

    def show(p: Progress) -> None:
        text = (
            f"{p.done_points:,} of {p.total_points:,} points ({p.done_points / p.total_points:.1%}), "
            f"{p.fresh_points / p.elapsed_s:,.0f} points/s, {timedelta(seconds=round(p.eta_s))} left"
        )
        last = p.done_points == p.total_points
        click.echo(f"\r\033[K{text}" if in_place else text, err=True, nl=last or not in_place)

    result = sweep(spec, out or Path(spec.stem), workers=workers, scheduler=scheduler, progress=None if quiet else show)
    if as_json:
        echo_json({"folder": str(result.folder), "points": result.n_points, "files": result.n_files})
    else:
        click.echo(f"{result.n_points:,} points in {result.files}")
