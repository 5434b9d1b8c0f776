"""``tinysim networks``."""

from __future__ import annotations

import click

from tinysim.cli.options import echo_json, json_option

__all__ = ["command"]


@click.command("networks")
@json_option
def command(as_json: bool) -> None:
    """List the networks of the zoo with MACs, parameters and source.

    \b
    Example:
      tinysim networks
    """
    from tinysim.report.networks import network_rows, print_networks

    rows = network_rows()
    if as_json:
        echo_json(rows)
    else:
        print_networks(rows)
