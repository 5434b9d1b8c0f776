"""``tinysim harvest``."""

from __future__ import annotations

from pathlib import Path

import click

from tinysim.cli.options import echo_json, json_option

__all__ = ["command"]


@click.command("harvest", short_help="What does a battery-free node complete on harvested energy?")
@click.argument("scenario", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a page.")
@click.option("--png", "png_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the picture.")
@json_option
def command(scenario: Path, html_file: Path | None, png_file: Path | None, as_json: bool) -> None:
    """Run the battery-free SCENARIO (YAML): completion rate, outages, energy ledger.

    \b
    Example:
      tinysim harvest examples/scenarios/batteryfree_msp430.yaml
      tinysim harvest examples/scenarios/batteryfree_m33.yaml --json --png week.png
    """
    from tinysim.scenario.harvest import harvest_run

    run = harvest_run(scenario)
    if html_file is not None or png_file is not None:
        from tinysim.report.harvest import write_harvest_page, write_harvest_png

        if html_file is not None:
            write_harvest_page(run, html_file)
        if png_file is not None:
            write_harvest_png(run, png_file)
    if as_json:
        echo_json(run.to_dict())
    else:
        from tinysim.report.harvest import print_harvest

        print_harvest(run)
