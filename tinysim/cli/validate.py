"""``tinysim validate``."""

from __future__ import annotations

import click

from tinysim.cli.options import echo_json, json_option

__all__ = ["command"]


@click.command("validate")
@click.option("--suite", "-s", multiple=True, help="mlperf-tiny, edgemark, st-modelzoo or layers; all by default.")
@click.option("--split", multiple=True, help="cell, network or board; all by default.")
@json_option
def command(suite: tuple[str, ...], split: tuple[str, ...], as_json: bool) -> None:
    """Predict measured rows that were left out of the fit, beside two naive baselines.

    \b
    Example:
      tinysim validate --suite mlperf-tiny --split network
    """
    from tinysim.report.validation import print_validation, validation

    result = validation(suite, split)
    if as_json:
        echo_json(result)
    else:
        print_validation(result)
