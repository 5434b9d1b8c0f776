"""``tinysim devices``."""

from __future__ import annotations

import click

from tinysim.cli.options import echo_json, json_option

__all__ = ["command"]


@click.group("devices", invoke_without_command=True)
@click.pass_context
@json_option
def command(ctx: click.Context, as_json: bool) -> None:
    """List boards; `show` prints one with the source of each figure.

    \b
    Example:
      tinysim devices
      tinysim devices show nucleo-l4r5zi
    """
    if ctx.invoked_subcommand is not None:
        return
    from tinysim.report.devices import device_rows, print_devices

    rows = device_rows()
    if as_json:
        echo_json(rows)
    else:
        print_devices(rows)


@command.command("show")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Print a board's figures with their sources.

    \b
    Example:
      tinysim devices show nucleo-l4r5zi
    """
    from tinysim.device.library import load_device
    from tinysim.report.devices import figure_rows, print_device

    device = load_device(name)
    if as_json:
        echo_json(device.model_dump(mode="json") | {"figures": figure_rows(device)})
    else:
        print_device(device)
