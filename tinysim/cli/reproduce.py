"""``tinysim reproduce``."""

from __future__ import annotations

from pathlib import Path

import click

from tinysim.cli.options import echo_json, json_option, write_text

__all__ = ["command"]


@click.group("reproduce")
def command() -> None:
    """Predict published tables and compare.

    \b
    Example:
      tinysim reproduce survey-table1
    """


@command.command("survey-table1")
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write the page to a file.")
@json_option
def survey_table1(markdown: Path | None, as_json: bool) -> None:
    """Test a survey's claims on compressed networks: what board, input size and duty cycle makes each true?

    \b
    Example:
      tinysim reproduce survey-table1
      tinysim reproduce survey-table1 --json
    """
    from tinysim.report.survey_markdown import survey_markdown
    from tinysim.report.survey_page import survey_document
    from tinysim.report.text import print_markdown

    document = survey_document()
    text = survey_markdown(document)
    if markdown is not None:
        write_text(markdown, text)
    if as_json:
        echo_json(document)
    elif markdown is None:
        print_markdown(text)
