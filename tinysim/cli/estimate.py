"""``tinysim estimate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinysim.cli.options import Quantity, accelerator_options, echo_json, json_option, write_text

__all__ = ["command"]


@click.command("estimate", short_help="Predict cycles, latency, memory and energy of one inference.")
@click.argument("model")
@click.option("--device", "-d", required=True, help="Name of a board, or a YAML file.")
@click.option("--runtime", "-r", help="Runtime of the board; its first one by default.")
@click.option("--clock", type=Quantity("Hz"), help='Core clock, e.g. "80 MHz"; the board\'s by default.')
@click.option("--weights-in", help="Memory that holds the weights, by name.")
@click.option(
    "--placement",
    type=click.Choice(["runtime", "fastest"]),
    default="runtime",
    help="Who places: the tools, or a search.",
)
@click.option("--activations-in", help="Memory that holds the arena, by name.")
@click.option("--code-in", help="Memory that holds the code, by name.")
@click.option("--supply", type=Quantity("V"), help='Supply voltage, e.g. "3.0 V"; the board\'s by default.')
@click.option("--regulator", type=click.Choice(["ldo", "smps", "none"]), help="Converter between supply and core.")
@click.option("--temperature", type=float, help="Junction temperature in degrees Celsius; 25 by default.")
@click.option("--build", default="", help="How the build differs: -Os, -O3+dcheck, nofpu, ...")
@click.option("--calibration", help="File written by `tinysim calibrate`.")
@accelerator_options
@click.option("--level", default=0.9, show_default=True, help="Level of the prediction interval.")
@click.option("--sensitivity", is_flag=True, help="Print what a change of each figure does, instead of layers.")
@click.option("--step", default=1.0, show_default=True, help="Change of each figure for --sensitivity, in per cent.")
@click.option("--allow-unknown", is_flag=True, help="Price unknown operators as data movement.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a row per layer.")
@json_option
def command(
    model: str,
    device: str,
    runtime: str | None,
    clock: float | None,
    weights_in: str | None,
    placement: str,
    activations_in: str | None,
    code_in: str | None,
    supply: float | None,
    regulator: str | None,
    temperature: float | None,
    build: str,
    calibration: str | None,
    level: float,
    sensitivity: bool,
    step: float,
    allow_unknown: bool,
    csv_file: Path | None,
    as_json: bool,
    **accelerator: Any,
) -> None:
    """Predict cycles, latency, memory and energy of one inference of MODEL.

    MODEL is a .tflite file or the name of a network (see `tinysim networks`).

    \b
    Example:
      tinysim estimate kws --device nucleo-l4r5zi --runtime tflm-cmsis-nn
      tinysim estimate model.tflite -d nrf5340-dk --json
      tinysim estimate kws -d nucleo-l4r5zi --sensitivity
      tinysim estimate vww -d corstone-300 --memory-mode Sram_Only
    """
    from tinysim.estimate.engine import estimate
    from tinysim.network.load import load_network

    network = load_network(model, allow_unknown=allow_unknown)
    result = estimate(
        network,
        device,
        runtime,
        clock_hz=clock,
        weights_in=weights_in,
        activations_in=activations_in,
        placement=placement,
        code_in=code_in,
        supply_v=supply,
        regulator=regulator,
        temperature_c=temperature,
        build=build,
        calibration=calibration,
        **{name: value for name, value in accelerator.items() if value is not None},
    )
    if csv_file is not None:
        write_text(csv_file, result.to_frame().to_csv())
    if sensitivity:
        from tinysim.report.comparison import print_sensitivity

        effects = result.sensitivity(step / 100)
        if as_json:
            echo_json(effects.to_dict())
        else:
            print_sensitivity(effects)
    elif as_json:
        echo_json(result.to_dict(level))
    else:
        from tinysim.report.estimate import print_estimate

        print_estimate(result, level=level)
