"""``tinysim devices``."""

from __future__ import annotations

import click

from tinysim.cli.options import echo_json, json_option

__all__ = ["command"]


@click.group("devices", invoke_without_command=True)
@click.pass_context
@json_option
def command(ctx: click.Context, as_json: bool) -> None:
    """List boards; `show` prints one with the source of each figure, `compare` several side by side.

    \b
    Example:
      tinysim devices
      tinysim devices show nucleo-l4r5zi
      tinysim devices compare nucleo-l4r5zi nrf5340-dk my-board.yaml
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


@command.command("compare")
@click.argument("names", nargs=-1, required=True, metavar="BOARD BOARD...")
@json_option
def compare(names: tuple[str, ...], as_json: bool) -> None:
    """Print boards side by side: core, clock, memories with waits and caches, currents, runtimes.

    \b
    Example:
      tinysim devices compare nucleo-l4r5zi nrf5340-dk
    """
    from tinysim.device.library import load_device
    from tinysim.report.devices import comparison_rows, print_comparison

    rows = comparison_rows([load_device(name) for name in names])
    if as_json:
        echo_json(rows)
    else:
        print_comparison(rows)
