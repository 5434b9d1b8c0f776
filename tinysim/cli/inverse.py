"""``tinysim inverse``."""

from __future__ import annotations

import click

from tinysim.cli.options import Quantity, echo_json, json_option
from tinysim.errors import InputError, nearest
from tinysim.quantities import parse_quantity

__all__ = ["command"]


@click.command("inverse", short_help="The least memory, array, clock, ... with which a device meets a goal.")
@click.argument("model", metavar="MODEL")
@click.option("--device", "-d", required=True, help="Board by name or YAML file, or an accelerator that stands alone.")
@click.option("--runtime", "-r", help="Runtime of the board; its first one by default.")
@click.option("--vary", required=True, help="Parameter to be found; several with commas change together.")
@click.option("--between", nargs=2, required=True, metavar="LOW HIGH", help='Between which values: "1 KiB" "1 MiB".')
@click.option("--latency", type=Quantity("s"), help="Goal: at most so long an inference.")
@click.option("--rate", type=Quantity("Hz"), help="Goal: at least so many inferences per second.")
@click.option("--energy", type=Quantity("J"), help="Goal: at most so much energy per inference.")
@click.option("--set", "fixed", multiple=True, metavar="NAME=VALUE", help="Another parameter of the design.")
@json_option
def command(
    model: str,
    device: str,
    runtime: str | None,
    vary: str,
    between: tuple[str, str],
    latency: float | None,
    rate: float | None,
    energy: float | None,
    fixed: tuple[str, ...],
    as_json: bool,
) -> None:
    """Find the least of a parameter (the most, of wait states) with which MODEL meets a goal, by bisection.

    Also says what one per cent of each parameter of the device is worth there. Parameters: docs/explore.md, "Sweeps".

    \b
    Example:
      tinysim inverse vww -d systolic-16x16-ws --vary npu_sram_bytes --between "1 KiB" "1 MiB" \\
          --rate 30 --set "npu_dram_bytes_per_s=25 MB/s"
      tinysim inverse kws -d systolic-16x16-ws --vary npu_array_in_c,npu_array_out_c --between 1 64 --energy "20 uJ"
      tinysim inverse kws -d nucleo-l4r5zi --vary clock_hz --between "4 MHz" "120 MHz" --latency "200 ms"
    """
    from tinysim.explore.inverse import least_design
    from tinysim.report.inverse import print_answer

    given = [name for name, goal in (("latency", latency), ("rate", rate), ("energy", energy)) if goal is not None]
    if len(given) != 1:
        raise InputError(f"one goal is needed, --latency, --rate or --energy; got {' and '.join(given) or 'none'}")
    if rate is not None:
        if rate <= 0:
            raise InputError(f"--rate: {rate:g} is not above 0")
        latency = 1 / rate
    names = [name.strip() for name in vary.split(",")]
    low, high = (_value(names[0], text, "--between") for text in between)
    found = least_design(
        model,
        device,
        runtime,
        vary=names,
        low=low,
        high=high,
        goal=energy if latency is None else latency,  # type: ignore[arg-type]
        figure="energy_j" if latency is None else "latency_s",
        fixed=dict(_assignment(text) for text in fixed),
    )
    if as_json:
        echo_json(found.to_dict())
    else:
        print_answer(found)


def _assignment(text: str) -> tuple[str, float]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        raise InputError(f"--set: {text!r} is no NAME=VALUE")
    return name, _value(name, value, "--set")


def _value(name: str, text: str, option: str) -> float:
    from tinysim.explore.designs import PARAMETERS

    if name not in PARAMETERS:
        raise InputError(f"{name!r} is no parameter of a device; {nearest(name, PARAMETERS)}")
    return parse_quantity(text, PARAMETERS[name], where=f"{option} {name}")
