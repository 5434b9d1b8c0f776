"""``tinysim validate``."""

from __future__ import annotations

import click

from tinysim.cli.options import echo_json, json_option

__all__ = ["command"]


@click.command("validate")
@click.option("--suite", "-s", multiple=True, help="mlperf-tiny, edgemark, st-modelzoo or layers; all by default.")
@click.option("--split", multiple=True, help="cell, network or board; all by default.")
@click.option("--energy", is_flag=True, help="Energies instead of latencies (of MLPerf Tiny), in about a minute.")
@json_option
def command(suite: tuple[str, ...], split: tuple[str, ...], energy: bool, as_json: bool) -> None:
    """Predict measured rows that were left out of the fit, beside naive baselines.

    \b
    Example:
      tinysim validate --suite mlperf-tiny --split network
      tinysim validate --energy
    """
    from tinysim.report.validation import energy_validation, print_energy_validation, print_validation, validation

    if energy:
        if suite:
            raise click.UsageError("--energy takes no --suite: only MLPerf Tiny has energies")
        found = energy_validation(split)
        if as_json:
            echo_json(found)
        else:
            print_energy_validation(found)
        return
    result = validation(suite, split)
    if as_json:
        echo_json(result)
    else:
        print_validation(result)
