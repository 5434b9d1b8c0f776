"""Measured rows: the package's own tables, and a user's.

A row is one measured latency (and perhaps energy) of a network on a board with a runtime. Rows that repeat one
measurement (two teams, several tool versions with the same figure) share a `cell` and stay on one side of a split.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from tinysim.errors import InputError, nearest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "SUITES", "cells", "load_rows", "read_rows", "suite_rows"]

#: suite -> file in tinysim/calibrate/data
SUITES = {
    "mlperf-tiny": "mlperf_tiny.csv",
    "edgemark": "edgemark.csv",
    "st-modelzoo": "st_modelzoo.csv",
    "mcunet": "mcunet.csv",
    "layers": "layers.csv",
}

#: column -> (required, meaning)
COLUMNS = {
    "id": (False, "name of the row"),
    "network": (True, "model file or zoo name, with @float32 or @int16x8 if not int8"),
    "device": (True, "board"),
    "runtime": (True, "runtime"),
    "build": (False, "what differs from the runtime's usual build: -Os, -Ofast, nofpu, max-performance, min-ram"),
    "clock_mhz": (False, "core clock; the board's by default"),
    "memory": (False, "memory of weights and activations, by name; the board's by default"),
    "latency_ms": (True, "measured time of one inference"),
    "energy_uj": (False, "measured energy of one inference"),
    "power_mw": (False, "measured power while running"),
    "supply_v": (False, "supply voltage of the energy figure"),
    "source": (False, "where the figure is from"),
    "where": (False, "page, table or file in the source"),
}


def suite_rows(suite: str) -> pd.DataFrame:
    """The rows of a shipped suite.

    Raises:
        InputError: no such suite.
    """
    if suite not in SUITES:
        raise InputError(f"unknown suite {suite!r}; {nearest(suite, SUITES)}")
    table = read_rows(Path(str(files("tinysim.calibrate") / "data" / SUITES[suite])))
    table["suite"] = suite
    return table


def load_rows(*suites: str) -> pd.DataFrame:
    """The rows of several suites (all by default), one under the other."""
    import pandas as pd

    return pd.concat([suite_rows(suite) for suite in suites or SUITES], ignore_index=True)


def read_rows(path: Path, device: object | None = None) -> pd.DataFrame:
    """Read a table of measurements, with the columns of `COLUMNS`; `device` serves where it has no such column.

    Raises:
        InputError: the file cannot be read, a column is missing, or a latency is no positive number; names the row.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, comment="#")
    except (OSError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise InputError(f"{path}: no table of measurements: {problem}") from error
    if device is not None and "device" not in table:
        table["device"] = getattr(device, "name", str(device))
    for column, (required, meaning) in COLUMNS.items():
        if column not in table:
            if required:
                raise InputError(f"{path}: column {column!r} is missing ({meaning}); it has {', '.join(table.columns)}")
            table[column] = None
    if table.empty:
        raise InputError(f"{path}: a header and no rows")
    latency = pd.to_numeric(table["latency_ms"], errors="coerce")
    bad = table.index[~(latency > 0)]
    if len(bad):
        raise InputError(f"{path}: row {bad[0] + 2}: latency_ms {table.latency_ms[bad[0]]!r} is no number above 0")
    table["latency_ms"] = latency
    table["build"] = table["build"].astype(object).where(table["build"].notna(), "").astype(str)
    named = table["id"].notna()
    table["id"] = table["id"].where(named, path.stem + ":" + (table.index + 2).astype(str))
    table["cell"] = cells(table)
    return table


def cells(table: pd.DataFrame) -> list[str]:
    """Name of each row's cell: one network on one board with one stack, and copies of one measurement.

    Rows of one cell stay on one side of every split. Two rows are copies if network and board agree and the latencies
    differ by less than 0.2 %: tools repeat old figures under new versions.
    """
    named = table[["network", "device", "runtime", "build"]].agg("|".join, axis=1).tolist()
    root = {name: name for name in named}

    def find(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    for _, group in table.assign(name=named).sort_values("latency_ms").groupby(["network", "device"], sort=False):
        near = group["latency_ms"].to_numpy()[1:] < group["latency_ms"].to_numpy()[:-1] * 1.002
        for first, second, copied in zip(group["name"], group["name"].iloc[1:], near, strict=False):
            if copied:
                root[find(second)] = find(first)
    return [find(name) for name in named]
