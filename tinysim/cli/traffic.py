"""``tinysim traffic``."""

from __future__ import annotations

from pathlib import Path

import click

from tinysim.cli.options import echo_json, json_option, write_text

__all__ = ["command"]


@click.command("traffic", short_help="Bytes by operator and memory, operational intensity and roofs.")
@click.argument("model")
@click.option("--device", "-d", required=True, help="Name of a board, or a YAML file.")
@click.option("--runtime", "-r", help="Runtime of the board; its first one by default.")
@click.option("--activations-in", help="Memory that holds the arena, by name.")
@click.option("--weights-in", help="Memory that holds the weights, by name.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the roofline: png, svg or pdf.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write every transfer.")
@json_option
def command(
    model: str,
    device: str,
    runtime: str | None,
    activations_in: str | None,
    weights_in: str | None,
    plot: Path | None,
    csv_file: Path | None,
    as_json: bool,
) -> None:
    """Print the bytes that each operator of MODEL moves through each memory, and the roofs above it.

    MODEL is a model file or the name of a network (see `tinysim networks`).

    \b
    Example:
      tinysim traffic vww --device nucleo-l4r5zi
      tinysim traffic vww -d nucleo-l4r5zi --plot roofline.svg --csv transfers.csv
    """
    from tinysim.estimate.engine import estimate
    from tinysim.report.traffic import print_traffic, traffic_document

    result = estimate(model, device, runtime, activations_in=activations_in, weights_in=weights_in)
    roofline = result.roofline()
    if csv_file is not None:
        write_text(csv_file, result.traffic().to_csv(index=False))
    if plot is not None:
        from tinysim.report.page import save_plot

        save_plot(roofline.plot, plot)
    if as_json:
        echo_json(traffic_document(result, roofline))
    else:
        print_traffic(result, roofline)
