"""`Points`: questions to the files of a sweep, answered by DuckDB without loading them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinysim.errors import InputError, nearest
from tinysim.explore.pareto import pareto_front

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Points"]


class Points:
    """The points of a sweep, those that meet a condition.

    Raises:
        InputError: a folder without results, a condition that is no SQL, DuckDB not installed.
    """

    def __init__(self, folder: str | Path, *, where: str | None = None) -> None:
        if importlib.util.find_spec("duckdb") is None:
            raise InputError("a query needs duckdb: pip install 'tinysim[explore]'")
        import duckdb

        files = Path(folder) / "part-*.parquet"
        if not list(Path(folder).glob("part-*.parquet")):
            raise InputError(f"{folder}: no results of a sweep there (part-*.parquet)")
        self._database = duckdb.connect()
        quoted = str(files).replace("'", "''")
        condition = f" WHERE {where}" if where else ""
        self._run(f"CREATE VIEW points AS SELECT * FROM read_parquet('{quoted}'){condition}")
        self.columns = [str(row[0]) for row in self._run("DESCRIBE points").fetchall()]

    def _run(self, sql: str) -> Any:
        import duckdb

        try:
            return self._database.execute(sql)
        except duckdb.Error as error:
            raise InputError(f"query: {str(error).splitlines()[0]}") from error

    def _column(self, name: str) -> str:
        if name not in self.columns:
            raise InputError(f"query: no column {name!r}; {nearest(name, self.columns)}")
        return f'"{name}"'

    def sql(self, sql: str) -> pd.DataFrame:
        """Any SQL over the table `points`.

        Raises:
            InputError: no SQL.
        """
        frame: pd.DataFrame = self._run(sql).df()
        return frame

    def top(self, count: int, by: str) -> pd.DataFrame:
        """The points with the smallest values of a column; ties by point.

        Raises:
            InputError: no such column.
        """
        return self.sql(f"SELECT * FROM points ORDER BY {self._column(by)}, point LIMIT {int(count)}")

    def group(self, by: str, best: str) -> pd.DataFrame:
        """Per value of `by`: number of points, least, mean and largest `best`.

        Raises:
            InputError: no such column.
        """
        key, value = self._column(by), self._column(best)
        return self.sql(
            f"SELECT {key}, count(*) AS points, min({value}) AS least, avg({value}) AS mean, max({value}) AS largest "
            f"FROM points GROUP BY {key} ORDER BY {key}"
        )

    def pareto(self, columns: Sequence[str]) -> pd.DataFrame:
        """The points that no other beats in all columns (smaller is better), sorted by the first column.

        The least last column of each combination of the others is found by DuckDB, the front among these here.

        Raises:
            InputError: no such column.
        """
        names = [self._column(name) for name in columns]
        keys, last = ", ".join(names[:-1]), names[-1]
        among = f"PARTITION BY {keys} " if keys else ""
        frame = self.sql(
            f"SELECT * FROM points QUALIFY {last} = min({last}) OVER ({among}) ORDER BY {', '.join(names)}, point"
        )
        return frame[pareto_front(frame[list(columns)].to_numpy(dtype=float))].reset_index(drop=True)
