"""``tinysim memory``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from tinysim.cli.options import echo_json, json_option, write_text

__all__ = ["command"]


@click.command("memory", short_help="Draw the arena, say what makes its peak and what would lower it.")
@click.argument("model")
@click.option("--device", "-d", required=True, help="Name of a board, or a YAML file.")
@click.option("--runtime", "-r", help="Runtime of the board; its first one by default.")
@click.option(
    "--placement",
    type=click.Choice(["runtime", "fastest"]),
    default="runtime",
    help="Who places: the tools, or a search.",
)
@click.option("--activations-in", help="Memory that holds the arena, by name.")
@click.option("--weights-in", help="Memory that holds the weights, by name.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write the picture as SVG.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page: picture and tables.")
@json_option
def command(
    model: str,
    device: str,
    runtime: str | None,
    placement: str,
    activations_in: str | None,
    weights_in: str | None,
    svg: Path | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Draw the arena of MODEL (addresses over time), say which operator makes the peak and what would lower it.

    MODEL is a model file or the name of a network (see `tinysim networks`).

    \b
    Example:
      tinysim memory vww --device nucleo-l4r5zi
      tinysim memory vww -d nucleo-l4r5zi -r tflm-cmsis-nn --svg arena.svg --html arena.html
    """
    from tinysim.deploy.deployment import deploy
    from tinysim.deploy.fit import misfits, remedies, speedups
    from tinysim.network.load import load_network
    from tinysim.report.memory import arena_page, arena_svg, print_memory

    network = load_network(model)
    where = {"activations_in": activations_in, "weights_in": weights_in}
    deployment = deploy(network, device, runtime, placement=placement, **where)
    ways = sorted(
        remedies(deployment), key=lambda way: (way.changes_result, way.extra_latency_s is None, way.peak_bytes)
    )
    if svg is not None:
        write_text(svg, arena_svg(deployment))
    if html is not None:
        write_text(html, arena_page(deployment, ways))
    if as_json:
        echo_json(
            {
                "network": deployment.network.name,
                "device": deployment.target.device.name,
                "runtime": deployment.target.runtime.name,
                "arena": deployment.arena.to_dict(),
                "flash": asdict(deployment.flash) | {"total_bytes": deployment.flash.total_bytes},
                "memory": deployment.target.placement.activations.name,
                "misfits": list(misfits(deployment)),
                "buffers": deployment.arena.to_frame().to_dict(orient="records"),
                "suggestions": [asdict(way) for way in ways],
                "faster": [asdict(way) for way in speedups(deployment)],
            }
        )
    else:
        print_memory(deployment, ways, list(speedups(deployment)))
        for sentence in misfits(deployment):
            click.echo(f"does not fit: {sentence}")
