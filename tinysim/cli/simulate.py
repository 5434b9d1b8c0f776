"""``tinysim simulate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from tinysim.cli.options import Quantity, echo_json, json_option, write_text

__all__ = ["command"]


class _Dma(click.ParamType[Any]):
    """DMA traffic: bytes, source, target and period, e.g. ``288:-:sram:347us``."""

    name = "BYTES:FROM:TO[:PERIOD]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse; ``-`` stands for a peripheral."""
        from tinysim.quantities import parse_quantity
        from tinysim.simulate.workload import Traffic

        parts = str(value).split(":")
        if len(parts) not in (3, 4):
            self.fail(f"{value!r} is no DMA traffic; accepted: {self.name}, with - for a peripheral", param, ctx)
        source, target = (None if part == "-" else part for part in parts[1:3])
        return Traffic(
            name=f"dma {value}",
            n_bytes=round(parse_quantity(parts[0], "byte", where="--dma")),
            source=source,
            target=target,
            period_s=parse_quantity(parts[3], "s", where="--dma") if len(parts) == 4 else None,
        )


@click.command("simulate", short_help="Simulate one inference event by event: DMA, bus contention, timeline.")
@click.argument("model")
@click.option("--device", "-d", required=True, help="Name of a board, or a YAML file.")
@click.option("--runtime", "-r", help="Runtime of the board; its first one by default.")
@click.option("--clock", type=Quantity("Hz"), help='Core clock, e.g. "80 MHz"; the board\'s by default.')
@click.option("--dma", type=_Dma(), multiple=True, help="DMA traffic during the inference; - for a peripheral.")
@click.option("--banks", type=(str, int), multiple=True, help="Banks of a memory, e.g. --banks sram 2.")
@click.option("--arbiter", type=click.Choice(["round-robin", "fixed"]), default="round-robin", show_default=True)
@click.option("--bus", type=click.Choice(["matrix", "shared"]), default="matrix", show_default=True)
@click.option("--perfetto", type=click.Path(dir_okay=False, path_type=Path), help="Write a trace for ui.perfetto.dev.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a row per span.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write a Gantt picture (.png, .svg).")
@click.option("--progress", is_flag=True, help="Show on stderr how far the run is.")
@json_option
def command(
    model: str,
    device: str,
    runtime: str | None,
    clock: float | None,
    dma: tuple[Any, ...],
    banks: tuple[tuple[str, int], ...],
    arbiter: str,
    bus: str,
    perfetto: Path | None,
    csv_file: Path | None,
    plot: Path | None,
    progress: bool,
    as_json: bool,
) -> None:
    """Simulate one inference of MODEL event by event.

    MODEL is a .tflite file or the name of a network (see `tinysim networks`).

    \b
    Example:
      tinysim simulate vww --device nucleo-l4r5zi
      tinysim simulate vww -d nucleo-l4r5zi --dma 288:-:sram:347us --perfetto trace.json
    """
    from tinysim.deploy.deployment import deploy
    from tinysim.network.load import load_network
    from tinysim.simulate.engine import simulate

    deployment = deploy(load_network(model), device, runtime, clock_hz=clock)
    soc = {"arbiter": arbiter, "bus": bus, "banks": dict(banks)}
    timeline = simulate(deployment, soc=soc, traffic=dma, progress=_show if progress else None)
    if perfetto is not None:
        write_text(perfetto, json.dumps(timeline.to_perfetto(), allow_nan=False))
    if csv_file is not None:
        write_text(csv_file, timeline.to_frame().to_csv(index=False))
    if plot is not None:
        from tinysim.report.timeline import save_gantt

        save_gantt(timeline, plot)
    if as_json:
        target = deployment.target
        names = {"network": deployment.network.name, "device": target.device.name, "runtime": target.runtime.name}
        echo_json(names | timeline.to_dict())
    else:
        from tinysim.report.timeline import print_timeline

        print_timeline(timeline)


def _show(tick: int, events: int) -> None:
    click.echo(f"\rcycle {tick:,}, {events:,} events", nl=False, err=True)
