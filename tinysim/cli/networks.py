"""``tinysim networks``."""

from __future__ import annotations

from pathlib import Path

import click

from tinysim.cli.options import echo_json, json_option, write_text

__all__ = ["command"]

_count = click.option(
    "--count",
    type=click.Choice(["conv-fc-macs", "all-macs", "flops"]),
    default="all-macs",
    show_default=True,
    help="What counts as an operation.",
)


@click.group("networks", invoke_without_command=True)
@click.pass_context
@_count
@json_option
def command(ctx: click.Context, count: str, as_json: bool) -> None:
    """List the networks of the zoo with MACs, parameters, peak activations and source.

    A MODEL is a name of the list, or a .tflite, .onnx, .keras or .yaml file.

    \b
    Example:
      tinysim networks
      tinysim networks show kws --count flops
      tinysim networks export model.onnx -o model.yaml
    """
    if ctx.invoked_subcommand is not None:
        return
    from tinysim.report.networks import network_rows, print_networks

    rows = network_rows(count)
    if as_json:
        echo_json(rows)
    else:
        print_networks(rows)


@command.command("show")
@click.argument("model")
@_count
@json_option
def show(model: str, count: str, as_json: bool) -> None:
    """Print the totals and the layers of MODEL.

    \b
    Example:
      tinysim networks show mobilenet-v2-0.35-96
    """
    from tinysim.network.load import load_network
    from tinysim.report.networks import network_document, print_network

    document = network_document(load_network(model), count)
    if as_json:
        echo_json(document)
    else:
        print_network(document)


@command.command("export")
@click.argument("model")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write; stdout if absent."
)
def export(model: str, output: Path | None) -> None:
    """Write MODEL as YAML, which every command reads back as the same network.

    All is kept but the values of weights; their sparsity is.

    \b
    Example:
      tinysim networks export kws -o kws.yaml
      tinysim estimate kws.yaml --device nucleo-l4r5zi
    """
    from tinysim.network.description import network_to_yaml
    from tinysim.network.load import load_network

    text = network_to_yaml(load_network(model))
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of networks as YAML, for editors.

    \b
    Example:
      tinysim networks schema > network.schema.json
    """
    from tinysim.network.description import json_schema

    echo_json(json_schema())
