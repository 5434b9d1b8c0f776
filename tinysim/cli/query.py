"""``tinysim query``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tinysim.cli.options import json_option

__all__ = ["command"]


@click.command("query", short_help="Best points, Pareto front, groups or SQL of a sweep.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--where", help='Condition, e.g. "sram_peak_bytes < 65536".')
@click.option("--top", type=int, help="The points with the smallest --by.")
@click.option("--by", default="latency_s", show_default=True, help="Column to sort by, or to group by with --best.")
@click.option("--pareto", help="Columns to minimise together, e.g. latency_s,sram_peak_bytes.")
@click.option("--best", help="Column whose least value each group of --by has.")
@click.option("--sql", help="SQL over the table `points`.")
@json_option
def command(
    folder: Path,
    where: str | None,
    top: int | None,
    by: str,
    pareto: str | None,
    best: str | None,
    sql: str | None,
    as_json: bool,
) -> None:
    """Ask the results of a sweep.

    \b
    Example:
      tinysim query results/kws_clock --top 5 --by energy_j --where "latency_s < 0.1"
      tinysim query results/kws_clock --pareto latency_s,sram_peak_bytes
      tinysim query results/kws_clock --best energy_j --by clock_hz
    """
    from tinysim.explore.query import Points

    points = Points(folder, where=where)
    if sql is not None:
        frame = points.sql(sql)
    elif pareto is not None:
        frame = points.pareto([name.strip() for name in pareto.split(",")])
    elif best is not None:
        frame = points.group(by, best)
    else:
        frame = points.top(10 if top is None else top, by)
    click.echo(json.dumps(json.loads(frame.to_json(orient="records")), indent=2) if as_json else frame.to_string())
