"""``tinysim battery``."""

from __future__ import annotations

from pathlib import Path

import click

from tinysim.cli.options import Quantity, echo_json, json_option

__all__ = ["command"]


@click.command("battery", short_help="How long does a battery last, and what eats it?")
@click.argument("scenario", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", default=0, show_default=True, help="Seed of all that is random.")
@click.option("--runs", default=200, show_default=True, type=click.IntRange(2), help="Draws of the Monte Carlo.")
@click.option("--horizon", type=Quantity("s"), help='End of the event stepping, e.g. "30 day"; the cell\'s end if not.')
@click.option("--level", default=0.9, show_default=True, help="Level of the interval.")
@click.option("--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a page.")
@click.option("--png", "png_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the picture.")
@json_option
def command(
    scenario: Path,
    seed: int,
    runs: int,
    horizon: float | None,
    level: float,
    html_file: Path | None,
    png_file: Path | None,
    as_json: bool,
) -> None:
    """Lifetime of the battery of SCENARIO (YAML) with its interval, and energy by consumer.

    \b
    Example:
      tinysim battery examples/scenarios/wearable.yaml
      tinysim battery examples/scenarios/keyword_spotting.yaml --json --png kws.png
    """
    from tinysim.scenario.life import battery_life

    life = battery_life(scenario, runs=runs, seed=seed, horizon_s=horizon or float("inf"))
    life.sample.interval(level)  # a wrong level is an error before anything is written
    if html_file is not None or png_file is not None:
        from tinysim.report.battery import write_battery_page, write_battery_png

        if html_file is not None:
            write_battery_page(life, html_file, level=level)
        if png_file is not None:
            write_battery_png(life, png_file)
    if as_json:
        echo_json(life.to_dict(level))
    else:
        from tinysim.report.battery import print_battery

        print_battery(life, level=level)
