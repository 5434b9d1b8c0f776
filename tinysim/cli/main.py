"""The command `tinysim`: one module per subcommand, loaded when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

import tinysim
from tinysim.errors import TinysimError

__all__ = ["cli", "main"]

#: subcommand -> (module, one line of help)
COMMANDS = {
    "battery": ("tinysim.cli.battery", "How long does a battery last, and what eats it?"),
    "calibrate": ("tinysim.cli.calibrate", "Fit a board to a few measured runs."),
    "compare": ("tinysim.cli.compare", "Why do two estimates differ? By layer and cause."),
    "devices": ("tinysim.cli.devices", "List boards, compare them, or show one with the source of each figure."),
    "estimate": ("tinysim.cli.estimate", "Predict cycles, latency, memory and energy of one inference."),
    "harvest": ("tinysim.cli.harvest", "What does a battery-free node complete on harvested energy?"),
    "inverse": ("tinysim.cli.inverse", "The least memory, array, clock, ... with which a device meets a goal."),
    "memory": ("tinysim.cli.memory", "Draw the arena, say what makes its peak and what would lower it."),
    "networks": ("tinysim.cli.networks", "List the networks of the zoo, show one, export any as YAML."),
    "query": ("tinysim.cli.query", "Best points, Pareto front, groups or SQL of a sweep."),
    "reproduce": ("tinysim.cli.reproduce", "Predict published tables and compare."),
    "simulate": ("tinysim.cli.simulate", "Simulate one inference event by event: DMA, bus contention, timeline."),
    "sweep": ("tinysim.cli.sweep", "Cost many networks on many devices, into Parquet files."),
    "traffic": ("tinysim.cli.traffic", "Bytes by operator and memory, operational intensity and roofs."),
    "validate": ("tinysim.cli.validate", "Predict measured rows that were left out of the fit."),
}


class _Lazy(click.Group):
    """A group whose subcommands are imported when used, so that `tinysim --help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(tinysim.__version__, prog_name="tinysim")
def cli() -> None:
    """Predict what a neural network costs on a microcontroller.

    \b
    Example:
      tinysim estimate kws --device nucleo-l4r5zi --runtime tflm-cmsis-nn
    """


def main(args: list[str] | None = None) -> None:
    """Run the command; an error that a user can cause is one line on stderr and exit code 2."""
    try:
        code: Any = cli.main(args=args, prog_name="tinysim", standalone_mode=False)
    except click.exceptions.Abort:
        _fail("interrupted", 130)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except TinysimError as error:
        _fail(" ".join(str(error).split()), 2)
    except BrokenPipeError:
        # The reader (head, less) has gone; point stdout elsewhere so that the interpreter's flush is quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> None:
    click.echo(f"tinysim: {message}", err=True)
    sys.exit(code)
