"""Options and outputs that several subcommands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tinysim.errors import InputError
from tinysim.quantities import parse_quantity

__all__ = ["Quantity", "accelerator_options", "echo_json", "json_option", "write_text"]


class Quantity(click.ParamType[float]):
    """A quantity with a unit on the command line; becomes an SI float."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.name = f"quantity [{unit}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse, naming the option in the error."""
        return parse_quantity(value, self.unit, where=param.opts[0] if param is not None else "")


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")


#: Options of `OffloadOptions`, by the names of its fields.
_ACCELERATOR = (
    click.option(
        "--offload", help="What runs on the accelerator: optimal, greedy or none; the runtime's way by default."
    ),
    click.option("--accelerator-model", help="measured, or vela: the compiler's estimate of an Ethos-U."),
    click.option("--accelerator-system", help="System configuration of the compiler, for an Ethos-U."),
    click.option("--memory-mode", help="Memory mode of the compiler, for an Ethos-U."),
    click.option(
        "--stored-weights",
        "stored_weight_bytes",
        type=Quantity("byte"),
        help='All weights as the accelerator\'s tools store them, e.g. "180 KiB".',
    ),
    click.option("--accelerator-weight-bits", type=int, help="Width to which its tools quantize the weights."),
    click.option("--activation-sparsity", type=float, help="Share of zero activations, for engines that skip them."),
)


def accelerator_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that concern the board's accelerator."""
    for option in reversed(_ACCELERATOR):
        command = option(command)
    return command


def echo_json(document: Any) -> None:
    """Print a document as JSON; NaN is not JSON and would be an error."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def write_text(path: Path, text: str) -> None:
    """Write a file.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
