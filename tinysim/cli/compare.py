"""``tinysim compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinysim.cli.options import Quantity, echo_json, json_option
from tinysim.errors import InputError

__all__ = ["command"]

_TWICE = " Once for both, or twice: first A, then B."


@click.command("compare", short_help="Why do two estimates differ? By layer and cause.")
@click.argument("models", nargs=-1, required=True, metavar="MODEL [MODEL]")
@click.option("--device", "-d", multiple=True, required=True, help="Board, by name or YAML file." + _TWICE)
@click.option("--runtime", "-r", multiple=True, help="Runtime of the board; its first one by default." + _TWICE)
@click.option("--clock", multiple=True, type=Quantity("Hz"), help="Core clock." + _TWICE)
@click.option("--build", multiple=True, help="How the build differs: -Os, nofpu, ..." + _TWICE)
@click.option("--weights-in", multiple=True, help="Memory that holds the weights." + _TWICE)
@click.option("--activations-in", multiple=True, help="Memory that holds the arena." + _TWICE)
@click.option("--code-in", multiple=True, help="Memory that holds the code." + _TWICE)
@click.option("--calibration", multiple=True, help="Calibration written by `tinysim calibrate`." + _TWICE)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the causes (PNG, SVG or PDF).")
@json_option
def command(models: tuple[str, ...], plot: Path | None, as_json: bool, **options: tuple[Any, ...]) -> None:
    """Explain the difference between two estimates, A and B: boards, runtimes, clocks, builds or networks.

    \b
    Example:
      tinysim compare kws --device nucleo-l4r5zi --device nrf5340-dk
      tinysim compare kws -d nucleo-l4r5zi -r tflm-cmsis-nn -r x-cube-ai-9.0
      tinysim compare kws vww -d nucleo-l4r5zi
    """
    from tinysim.estimate.comparison import compare
    from tinysim.estimate.engine import estimate
    from tinysim.report.comparison import print_comparison

    def side(at: int) -> dict[str, Any]:
        chosen = {_KEYWORDS.get(name, name): _nth(f"--{name}", values, at) for name, values in options.items()}
        return {name: value for name, value in chosen.items() if value is not None}

    a, b = (estimate(_nth("MODEL", models, at), **side(at)) for at in (0, 1))
    result = compare(a, b)
    if plot is not None:
        from tinysim.report.page import save_plot

        save_plot(result.plot, plot)
    if as_json:
        echo_json(result.to_dict())
    else:
        print_comparison(result)


#: options whose keyword has a unit
_KEYWORDS = {"clock": "clock_hz"}


def _nth(name: str, values: tuple[Any, ...], at: int) -> Any:
    """The value of side `at`; one value serves both sides, none is None."""
    if len(values) > 2:
        raise InputError(f"{name.replace('_', '-')} is given {len(values)} times; two estimates take one or two")
    return values[min(at, len(values) - 1)] if values else None
