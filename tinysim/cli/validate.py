"""``tinysim validate``."""

from __future__ import annotations

from pathlib import Path

import click

from tinysim.cli.options import echo_json, json_option, write_text

__all__ = ["command"]


@click.command("validate")
@click.option("--suite", "-s", multiple=True, help="mlperf-tiny, edgemark, st-modelzoo or layers; all by default.")
@click.option("--split", multiple=True, help="cell, network, board or pair; all by default.")
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), help="Write a Markdown page, pictures beside.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a row per prediction.")
@click.option("--energy", is_flag=True, help="Energies instead of latencies (of MLPerf Tiny), in about a minute.")
@json_option
def command(
    suite: tuple[str, ...],
    split: tuple[str, ...],
    page: Path | None,
    csv_file: Path | None,
    energy: bool,
    as_json: bool,
) -> None:
    """Predict measured rows that were left out of the fit, beside naive baselines on the same splits.

    \b
    Example:
      tinysim validate --suite mlperf-tiny --split network
      tinysim validate --page docs/validation.md
      tinysim validate --energy
    """
    from tinysim.report.validation import energy_validation, print_energy_validation, print_validation, validate

    if energy:
        if suite or page or csv_file:
            raise click.UsageError("--energy takes no --suite (only MLPerf Tiny has energies), --page or --csv")
        found = energy_validation(split)
        if as_json:
            echo_json(found)
        else:
            print_energy_validation(found)
        return
    result = validate(suite, split)
    if csv_file is not None:
        write_text(csv_file, result.predictions.to_csv(index=False))
    if page is not None:
        from tinysim.report.validation_page import write_validation

        write_validation(result, page)
    if as_json:
        echo_json(result.to_dict())
    else:
        print_validation(result)
